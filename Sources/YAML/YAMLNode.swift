/// A part of a YAML document, with the place at which it begins.
package indirect enum YAMLNode {
    /// `isPlain`: without quotes and not a block scalar, so that `null` is no value and not a word.
    case scalar(String, isPlain: Bool, at: YAMLPlace)
    case sequence([YAMLNode], at: YAMLPlace)
    case mapping([(key: YAMLNode, value: YAMLNode)], at: YAMLPlace)

    package var place: YAMLPlace {
        switch self {
        case .scalar(_, _, let place), .sequence(_, let place), .mapping(_, let place): place
        }
    }

    package var line: Int { place.line }

    /// What YAML's core schema reads as null. A quoted "" is a value (YAML 1.2.2, section 10.2.1.1).
    package var isNull: Bool {
        guard case .scalar(let text, true, _) = self else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// The kind of node, for messages.
    package var kind: String {
        if isNull { return "nothing" }
        return switch self {
        case .scalar: "a single value"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}

/// A line and a column of a file, both from 1. Line 0 means the whole file.
package struct YAMLPlace: Hashable, Comparable, Sendable {
    package let line: Int
    package let column: Int

    package init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    package static let start = YAMLPlace(line: 1, column: 1)
    package static let wholeFile = YAMLPlace(line: 0, column: 0)

    package static func < (a: YAMLPlace, b: YAMLPlace) -> Bool { (a.line, a.column) < (b.line, b.column) }
}
