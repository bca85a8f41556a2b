import Base
package import Daemon

/// # The configuration in force, and its origin
///
/// The file's values become options that stand before those of the command line, and ArgumentParser reads them all. A key
/// that the command line gives replaces the file's whole, lists as well.
package struct EffectiveConfiguration: Sendable {
    package enum Origin: Hashable, Sendable {
        case flag
        case file(String, line: Int)
        case `default`
    }
    package struct Value: Hashable, Sendable {
        package var text: String
        package var origin: Origin
    }

    package let program: DaemonProgram
    package let file: ConfigurationFile
    /// For ArgumentParser: the file's options, then the command line's.
    package let arguments: [String]
    private let given: [(name: String, values: [Value])]

    /// `commandLine`: the words after the program's name.
    package init(
        _ file: ConfigurationFile, commandLine: [String], for program: DaemonProgram
    ) {
        self.program = program
        self.file = file
        var given = EffectiveConfiguration.scan(commandLine, program)
        var words: [String] = []
        for entry in file.entries where !given.contains(where: { $0.name == entry.key.name }) {
            let values = entry.values.map { Value(text: $0.text, origin: .file(file.path, line: $0.line)) }
            given.append((entry.key.name, values))
            for value in values {
                if entry.key.kind != .flag {
                    words.append("\(entry.key.option)=\(value.text)")
                } else if value.text == "true" {
                    words.append(entry.key.option)
                }
            }
        }
        self.given = given
        arguments = words + commandLine
    }

    /// The options of the command line that have keys. ArgumentParser has accepted the words already.
    private static func scan(_ words: [String], _ program: DaemonProgram) -> [(name: String, values: [Value])] {
        var found: [(name: String, values: [Value])] = []
        var position = 0
        while position < words.count, words[position] != "--" {
            let word = words[position]
            position += 1
            guard word.hasPrefix("--") else { continue }
            let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts.first.map(String.init), let key = program.key(name) else { continue }
            var text = parts.count == 2 ? String(parts[1]) : "true"
            if parts.count == 1, key.kind != .flag, position < words.count {
                text = words[position]
                position += 1
            }
            let value = Value(text: text, origin: .flag)
            if let known = found.firstIndex(where: { $0.name == name }) {
                // The last value counts where an option may not be repeated.
                found[known].values = key.isRepeated ? found[known].values + [value] : [value]
            } else {
                found.append((name, [value]))
            }
        }
        return found
    }

    /// Whether the file or the command line gives the key.
    package func isGiven(_ name: String) -> Bool { given.contains { $0.name == name } }

    /// The values in force; those by default where nothing is given.
    package func values(of key: ConfigurationKey) -> [Value] {
        if let own = given.first(where: { $0.name == key.name }) { return own.values }
        return key.defaults.map { Value(text: $0, origin: .default) }
    }

    /// A message about an option, with the place that it is from: `PATH:LINE: listen: ...` or `--listen: ...`.
    package func describe(_ error: StartError) -> String {
        guard error.option.hasPrefix("--"), let key = program.key(String(error.option.dropFirst(2))) else {
            return error.description
        }
        let values = values(of: key)
        let place = error.index.flatMap { values.indices.contains($0) ? values[$0].origin : nil }
        guard case .file(let path, let line)? = place ?? values.first?.origin else { return error.description }
        return "\(path):\(line): \(key.name): \(error.message)"
    }

    /// Keys whose values differ from those of `other`, in the order of the table.
    package func changed(from other: EffectiveConfiguration) -> [ConfigurationKey] {
        program.keys.filter { key in values(of: key).map(\.text) != other.values(of: key).map(\.text) }
    }

    /// With the values of `other` for keys that a reload does not change.
    package func keeping(_ other: EffectiveConfiguration) -> EffectiveConfiguration {
        let kept = program.keys.filter { !$0.isReloaded }.map(\.name)
        return EffectiveConfiguration(
            self,
            given: given.filter { !kept.contains($0.name) } + other.given.filter { kept.contains($0.name) })
    }

    private init(_ old: EffectiveConfiguration, given: [(name: String, values: [Value])]) {
        (program, file, arguments) = (old.program, old.file, old.arguments)
        self.given = given
    }
}
