/// The types of one file and what they store, found by counting braces. The formatter puts each declaration on a line
/// of its own, so lines are enough.
struct Declarations {
    /// A type or an extension.
    struct Block {
        enum Kind: String {
            case `struct`, `class`, `enum`, `protocol`, `extension`
        }
        let kind: Kind
        /// As declared: `PathSet`, or `PathSet.Probe` for an extension of a nested type.
        let name: String
        /// Names from the outermost type inwards, this one's last.
        let path: [String]
        let isPrivate: Bool
        /// Indices into the file's lines.
        let lines: ClosedRange<Int>

        var isTopLevel: Bool { path.count == 1 }
        /// `PathSet`, for an extension of `PathSet.Probe` as well.
        var outermost: String { String(path[0].split(separator: ".")[0]) }
    }

    struct StoredProperty {
        /// Such as `PathSet.Probe`.
        let owner: String
        let name: String
        /// Only the type, or its file, can assign to it.
        let isOwned: Bool
    }

    private(set) var blocks: [Block] = []
    private(set) var properties: [StoredProperty] = []

    private struct Open {
        let kind: Block.Kind
        let name: String
        let isPrivate: Bool
        let line: Int
        let depth: Int
    }

    init(_ file: SourceFile) throws {
        let type = try Regex(
            #"^\s*(?:@\w+(?:\([^)]*\))?\s+)*((?:[a-z]+(?:\([a-z]+\))?\s+)*)(struct|class|enum|protocol|extension)\s+([A-Z][A-Za-z0-9_.]*)"#,
            as: (Substring, Substring, Substring, Substring).self)
        let property = try Regex(
            #"^\s*(?:@\w+(?:\([^)]*\))?\s+)*((?:[a-z]+(?:\([a-z]+\))?\s+)*)(var|let)\s+(\w+|\()"#,
            as: (Substring, Substring, Substring, Substring).self)
        var open: [Open] = []
        var depth = 0
        for (number, line) in file.code.enumerated() {
            if let match = line.firstMatch(of: type), line.contains("{"), !match.1.contains("class"),
                let kind = Block.Kind(rawValue: String(match.2))
            {
                open.append(
                    Open(
                        kind: kind, name: String(match.3), isPrivate: match.1.contains("private"), line: number,
                        depth: depth))
            } else if let owner = open.last, owner.kind == .struct || owner.kind == .class, depth == owner.depth + 1,
                let match = line.firstMatch(of: property), Declarations.isStored(line, modifiers: match.1)
            {
                properties.append(
                    StoredProperty(
                        owner: open.map(\.name).joined(separator: "."), name: String(match.3),
                        isOwned: match.1.contains("private") || match.2 == "let"))
            }
            depth += line.count { $0 == "{" } - line.count { $0 == "}" }
            while let last = open.last, depth <= last.depth {
                let path = open.map(\.name)
                open.removeLast()
                blocks.append(
                    Block(
                        kind: last.kind, name: last.name, path: path, isPrivate: last.isPrivate,
                        lines: last.line...number))
            }
        }
        blocks.sort { $0.lines.lowerBound < $1.lines.lowerBound }
    }

    /// A computed property opens its braces before any `=`, and observers do not make one computed.
    private static func isStored(_ line: String, modifiers: Substring) -> Bool {
        guard !modifiers.split(separator: " ").contains("static") else { return false }
        guard let brace = line.firstIndex(of: "{") else { return true }
        let body = line[line.index(after: brace)...].drop { $0 == " " }
        return line[..<brace].contains("=") || body.hasPrefix("didSet") || body.hasPrefix("willSet")
    }
}
