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
