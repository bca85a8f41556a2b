import Base

/// Text as a YAML scalar: plain where every reader reads it as this text, else in double quotes.
enum YAMLScalar {
    static func text(_ text: String) -> String {
        isPlain(text) ? text : "\"" + text.unicodeScalars.map(escaped).joined() + "\""
    }

    private static func isPlain(_ text: String) -> Bool {
        guard let first = text.unicodeScalars.first, let last = text.unicodeScalars.last else { return false }
        let special = "-?:,[]{}#&*!|>'\"%@` \t"
        guard !special.unicodeScalars.contains(first), last != ":", last != " ", last != "\t" else { return false }
        guard !text.contains(": "), !text.contains(" #") else { return false }
        // A boolean of YAML 1.1 is text here; `~` is null.
        guard text != "~", text.lowercased() != "null" else { return false }
        return text.unicodeScalars.allSatisfy {
            $0.value >= 0x20 && $0.value != 0x7f && !(0x80...0x9f).contains($0.value)
        }
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "\"": "\\\""
        case "\\": "\\\\"
        case "\n": "\\n"
        case "\t": "\\t"
        case let scalar where scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value):
            "\\x" + [UInt8(truncatingIfNeeded: scalar.value)].hex
        default: String(Character(scalar))
        }
    }
}
