import Base

/// A part of a YAML document, with the line on which it begins, counted from 1.
indirect enum YAMLNode {
    /// `isPlain`: without quotes and not a block scalar, so that `null` means nothing rather than a word.
    case scalar(String, isPlain: Bool, line: Int)
    case sequence([YAMLNode], line: Int)
    case mapping([(key: YAMLNode, value: YAMLNode)], line: Int)

    var line: Int {
        switch self {
        case .scalar(_, _, let line), .sequence(_, let line), .mapping(_, let line): line
        }
    }

    /// What YAML's core schema reads as null.
    var isNull: Bool {
        guard case .scalar(let text, true, _) = self else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }

    /// The kind of node, for messages.
    var kind: String {
        if isNull { return "nothing" }
        return switch self {
        case .scalar: "a single value"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}

/// What is wrong at a line of a file. Line 0 means the whole file.
struct YAMLProblem: Error, Hashable {
    var line: Int
    var message: String

    init(_ line: Int, _ message: String) {
        self.line = line
        self.message = message
    }
}
