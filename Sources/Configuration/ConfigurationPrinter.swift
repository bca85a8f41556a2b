import Base

extension EffectiveConfiguration {
    /// Every key with the value in force and its origin, as a file that can be read again. A key without a value is
    /// commented out.
    package var printed: String {
        var lines: [String] = []
        for key in program.keys {
            let values = values(of: key)
            if key.isHidden, !isGiven(key.name) { continue }
            if values.isEmpty, let note = key.defaultNote, !isGiven(key.name) {
                lines.append("# \(key.name):  # default: \(note)")
            } else if values.isEmpty {
                lines.append("\(key.name): []  # \(isGiven(key.name) ? file.path : "default")")
            } else if key.isRepeated {
                lines.append("\(key.name):")
                for value in values { lines.append("  - \(YAMLScalar.text(value.text))  # \(value.origin)") }
            } else {
                lines.append("\(key.name): \(YAMLScalar.text(values[0].text))  # \(values[0].origin)")
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension EffectiveConfiguration.Origin: CustomStringConvertible {
    package var description: String {
        switch self {
        case .flag: "flag"
        case .file(let path, let line): "\(path):\(line)"
        case .default: "default"
        }
    }
}

/// Text as a YAML scalar: as it is where every reader takes it for this text, else in double quotes.
enum YAMLScalar {
    static func text(_ text: String) -> String {
        isPlain(text) ? text : "\"" + text.unicodeScalars.map(escaped).joined() + "\""
    }

    private static func isPlain(_ text: String) -> Bool {
        guard let first = text.unicodeScalars.first, let last = text.unicodeScalars.last else { return false }
        let special = "-?:,[]{}#&*!|>'\"%@` \t"
        guard !special.unicodeScalars.contains(first), last != ":", last != " ", last != "\t" else { return false }
        guard !text.contains(": "), !text.contains(" #") else { return false }
        // What YAML 1.1 takes for a truth value is text here; `~` is null.
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
