/// Names and values under each other, for one thing in detail.
struct Details {
    private var lines: [(name: String, cell: Table.Cell)] = []

    /// Unknown values are left out.
    mutating func add(_ name: String, _ value: String?, _ style: Terminal.Style = .plain) {
        if let value { lines.append((name, Table.Cell(value, style))) }
    }

    func render(_ terminal: Terminal) -> String {
        let width = lines.reduce(0) { max($0, $1.name.displayWidth) } + 2
        return lines.reduce("") { text, line in
            let padding = String(repeating: " ", count: width - line.name.displayWidth)
            // A narrow terminal wraps long values and does not cut them.
            return text + terminal.styled(line.name, .faint) + padding
                + terminal.styled(line.cell.text, line.cell.style) + "\n"
        }
    }
}
