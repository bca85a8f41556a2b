import Base
import YAML

/// A configuration file as it was read: for each key the values with their lines.
package struct ConfigurationFile: Sendable {
    package struct Entry: Hashable, Sendable {
        package var key: ConfigurationKey
        package var line: Int
        package var values: [Value]
    }
    package struct Value: Hashable, Sendable {
        package var text: String
        package var line: Int
    }

    package let path: String
    package let entries: [Entry]

    /// Without any key.
    package init(path: String) {
        self.path = path
        entries = []
    }

    /// Reads `bytes`, the content of the file at `path`. Throws everything that is wrong, by line.
    package init(path: String, _ bytes: [UInt8], for program: DaemonProgram) throws(ConfigurationErrors) {
        self.path = path
        var builder = Builder(program: program)
        do throws(YAMLProblems) {
            let text = try YAMLText(bytes, as: .configuration)
            if let root = try YAMLReader.read(text) { builder.add(root: root) }
        } catch { builder.problems += error.all }
        guard builder.problems.isEmpty else {
            let problems = builder.problems.enumerated().sorted {
                ($0.element.line, $0.offset) < ($1.element.line, $1.offset)
            }
            throw ConfigurationErrors(
                problems.map {
                    $0.element.line == 0
                        ? "\(path): \($0.element.message)" : "\(path):\($0.element.line): \($0.element.message)"
                })
        }
        entries = builder.entries
    }
}

/// Lines for a person, each with the file and the place.
package struct ConfigurationErrors: Error, Hashable, Sendable {
    package var lines: [String]

    package init(_ lines: [String]) { self.lines = lines }
}

/// Makes entries of the document's tree.
private struct Builder {
    let program: DaemonProgram
    var entries: [ConfigurationFile.Entry] = []
    var problems: [YAMLProblem] = []

    mutating func add(root: YAMLNode) {
        guard case .mapping(let members, _) = root else {
            problems.append(
                YAMLProblem(root.place, "\(root.kind) where keys with values are expected, such as 'log-level: info'"))
            return
        }
        var lines: [(name: String, line: Int)] = []
        for (key, value) in members {
            guard case .scalar(let name, _, let place) = key else {
                problems.append(YAMLProblem(key.place, "\(key.kind) where a key is expected"))
                continue
            }
            if let first = lines.first(where: { $0.name == name }) {
                problems.append(YAMLProblem(place, "'\(name)' is given twice, first at line \(first.line)"))
                continue
            }
            lines.append((name, place.line))
            guard let known = program.key(name) else {
                problems.append(YAMLProblem(place, unknown(name)))
                continue
            }
            if let values = values(of: value, for: known) {
                entries.append(ConfigurationFile.Entry(key: known, line: place.line, values: values))
            }
        }
    }

    private func unknown(_ name: String) -> String {
        let spelling = Builder.kebab(name)
        for option in [name, spelling] {
            if let why = program.commandOnly[option] { return "'\(name)' cannot be set in a file: \(why)" }
        }
        let names = program.keys.filter { !$0.isHidden }.map(\.name)
        let meant = names.contains(spelling) ? spelling : EditDistance.nearest(to: spelling, in: names)
        return "unknown key '\(name)'" + (meant.map { "; did you mean '\($0)'?" } ?? "")
    }

    /// `logLevel`, `log_level`, `LOG_LEVEL` and `--log-level` as `log-level`.
    private static func kebab(_ name: String) -> String {
        var result = ""
        var last: Character = "-"
        for character in name {
            if character.isUppercase, last.isLowercase || last.isNumber { result.append("-") }
            result.append(contentsOf: character == "_" || character == " " ? "-" : character.lowercased())
            last = character
        }
        return String(result.drop { $0 == "-" })
    }

    // MARK: - Values

    private mutating func values(of node: YAMLNode, for key: ConfigurationKey) -> [ConfigurationFile.Value]? {
        if node.isNull {
            return refuse(node, "'\(key.name)' has no value; give one, or comment the line out")
        }
        switch node {
        case .scalar(let text, _, let place):
            return checked(text, key, place)
        case .sequence(let items, _):
            guard key.isRepeated else { return refuse(node, "'\(key.name)' takes one value, not a list") }
            var all: [ConfigurationFile.Value] = []
            for item in items {
                guard case .scalar(let text, _, let place) = item, !item.isNull else {
                    return refuse(item, "'\(key.name)' is a list of single values, and this is \(item.kind)")
                }
                all += checked(text, key, place) ?? []
            }
            return all
        case .mapping(let members, _):
            guard key.kind == .labels else {
                let expected = key.isRepeated ? "a list of values" : "one value"
                return refuse(node, "'\(key.name)' takes \(expected), not a mapping")
            }
            return labels(members, key)
        }
    }

    private mutating func labels(
        _ members: [(key: YAMLNode, value: YAMLNode)], _ key: ConfigurationKey
    ) -> [ConfigurationFile.Value]? {
        var all: [ConfigurationFile.Value] = []
        for (name, value) in members {
            guard case .scalar(let name, _, let place) = name, case .scalar(let text, _, _) = value, !value.isNull
            else {
                return refuse(value, "'\(key.name)' is a mapping of names to single values, and this is \(value.kind)")
            }
            guard !name.contains("=") else { return refuse(value, "'\(name)': the name of a label has no '='") }
            all.append(ConfigurationFile.Value(text: "\(name)=\(text)", line: place.line))
        }
        return all
    }

    private mutating func checked(_ text: String, _ key: ConfigurationKey, _ place: YAMLPlace) -> [ConfigurationFile
        .Value]?
    {
        switch key.kind {
        case .integer where Int(text) == nil:
            problems.append(YAMLProblem(place, "\(key.name): '\(text)' is not a whole number"))
            return nil
        case .flag where text != "true" && text != "false":
            problems.append(YAMLProblem(place, "\(key.name): '\(text)' is neither true nor false"))
            return nil
        default: return [ConfigurationFile.Value(text: text, line: place.line)]
        }
    }

    private mutating func refuse(_ node: YAMLNode, _ message: String) -> [ConfigurationFile.Value]? {
        problems.append(YAMLProblem(node.place, message))
        return nil
    }
}
