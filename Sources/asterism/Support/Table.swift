/// # Tables that fit
///
/// Columns are as wide as their widest cell. Where that is more than the terminal has, the widest column that may shrink
/// is reduced step by step, down to its least width. When all are reduced, whole columns are removed, the least
/// important first. The first column always stays. Columns without a value in any row are removed first. Without a width
/// nothing is cut or removed, so that `grep` and `awk` see everything.
struct Table {
    struct Column {
        var title: String
        var alignsRight = false
        /// The least width to which it shrinks; `nil` for one that does not.
        var least: Int?
        /// Columns with a lower value are removed first when there is no room; `nil` for one that is removed last.
        var importance: Int?

        init(_ title: String, right alignsRight: Bool = false, least: Int? = nil, importance: Int? = nil) {
            self.title = title
            self.alignsRight = alignsRight
            self.least = least
            self.importance = importance
        }
    }

    struct Cell {
        var text: String
        var style: Terminal.Style
        let isUnknown: Bool

        /// `nil`, which is what is not known, shows as a dash.
        init(_ text: String?, _ style: Terminal.Style = .plain) {
            self.text = text.map(\.printable) ?? "-"
            self.style = text == nil ? .faint : style
            isUnknown = text == nil
        }
    }

    private(set) var columns: [Column]
    private(set) var rows: [[Cell]] = []
    private static let gap = 2

    init(_ columns: [Column]) { self.columns = columns }

    mutating func add(_ cells: [Cell]) {
        precondition(cells.count == columns.count, "\(cells.count) cells for \(columns.count) columns")
        rows.append(cells)
    }

    /// The lines, with a line break after each.
    func render(_ terminal: Terminal) -> String {
        let layout = layout(terminal.width)
        var text = line(columns.map { Cell($0.title, .heading) }, layout, terminal)
        for row in rows { text += line(row, layout, terminal) }
        return text
    }

    /// The columns that are shown, and their widths.
    private func layout(_ limit: Int?) -> [(column: Int, width: Int)] {
        var shown = columns.indices.map { column in
            (
                column: column,
                width: rows.reduce(columns[column].title.displayWidth) {
                    max($0, $1[column].text.displayWidth)
                }
            )
        }
        guard let limit else { return shown }
        if !rows.isEmpty {
            shown.removeAll { place in
                columns[place.column].importance != nil && rows.allSatisfy { $0[place.column].isUnknown }
            }
        }
        func excess() -> Int {
            shown.reduce(0) { $0 + $1.width } + Table.gap * (shown.count - 1) - limit
        }
        while true {
            shrink(&shown, by: excess())
            guard excess() > 0, shown.count > 1 else { break }
            let candidates = shown.indices.dropFirst()
            let goes = candidates.min { importance(shown[$0].column) < importance(shown[$1].column) }
            // There is one: more than one column is shown.
            shown.remove(at: goes!)
            for place in shown.indices { shown[place].width = naturalWidth(shown[place].column) }
        }
        if excess() > 0 { shown[0].width = max(1, shown[0].width - excess()) }
        return shown
    }

    private func importance(_ column: Int) -> Int { columns[column].importance ?? .max }

    private func naturalWidth(_ column: Int) -> Int {
        rows.reduce(columns[column].title.displayWidth) { max($0, $1[column].text.displayWidth) }
    }

    private func shrink(_ shown: inout [(column: Int, width: Int)], by excess: Int) {
        var excess = excess
        while excess > 0 {
            let places = shown.indices.filter { place in
                columns[shown[place].column].least.map { shown[place].width > $0 } ?? false
            }
            guard let widest = places.max(by: { shown[$0].width < shown[$1].width }) else { return }
            shown[widest].width -= 1
            excess -= 1
        }
    }

    private func line(_ cells: [Cell], _ layout: [(column: Int, width: Int)], _ terminal: Terminal) -> String {
        var text = ""
        for (place, shown) in layout.enumerated() {
            let cell = cells[shown.column]
            let cut = cell.text.cut(to: shown.width)
            let padding = String(repeating: " ", count: shown.width - cut.displayWidth)
            let isLast = place == layout.count - 1
            let styled = terminal.styled(cut, cell.style)
            if columns[shown.column].alignsRight { text += padding + styled } else { text += styled }
            if !isLast {
                text += columns[shown.column].alignsRight ? "" : padding
                text += String(repeating: " ", count: Table.gap)
            }
        }
        return text + "\n"
    }
}
