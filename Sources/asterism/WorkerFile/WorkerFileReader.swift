import Wire
import YAML

/// Walks the tree of a worker file and collects problems as it goes.
struct WorkerFileReader {
    private(set) var problems: [FileProblem] = []
    private var file = WorkerFile()

    mutating func read(_ text: String) -> WorkerFile {
        guard let root = root(of: text) else {
            if problems.isEmpty { report("", "the file is empty; a worker needs a command", .start) }
            return file
        }
        guard let keys = mapping(root, "") else { return file }
        readTop(keys)
        for problem in file.spec.problemsAsWritten() where !isReported(problem.field) {
            report(problem.field, problem.message, file.places.nearest(problem.field))
        }
        return file
    }

    private mutating func root(of text: String) -> YAMLNode? {
        do throws(YAMLProblems) { return try YAMLReader.read(try YAMLText(Array(text.utf8), as: .document)) } catch {
            for problem in error.all {
                report("", "not YAML: \(problem.message)", max(problem.place, .start))
            }
            return nil
        }
    }

    private mutating func report(_ field: String, _ message: String, _ place: YAMLPlace) {
        problems.append(FileProblem(field, message, at: place))
    }

    /// A field without a value because of a known problem needs no second one.
    private func isReported(_ field: String) -> Bool {
        problems.contains { $0.field == field || (!$0.field.isEmpty && field.hasPrefix($0.field + ".")) }
    }
}

// MARK: The fields

extension WorkerFileReader {
    private static let topKeys = [
        "name", "node", "command", "environment", "workingDirectory", "user", "group", "limits", "restart", "stop",
        "log",
        "priority", "labels",
    ]

    private mutating func readTop(_ keys: [Entry]) {
        for entry in known(keys, WorkerFileReader.topKeys, in: "") {
            switch entry.key {
            case "name":
                file.name = string(entry)
                if let name = file.name, !WorkerSpec.isName(name) {
                    let rule = "letters, digits, '-', '_' and '.', at most 63, the first a letter or digit"
                    report("name", "'\(name)' is not a name: \(rule)", entry.valuePlace)
                }
            case "node": file.node = string(entry)
            case "command": readCommand(entry)
            case "environment":
                let pairs = pairs(entry, "a variable's name and its value")
                file.spec.environment = pairs.map { EnvironmentVariable($0.0, $0.1) }
            case "workingDirectory": file.spec.workingDirectory = string(entry)
            case "user": file.spec.user = string(entry)
            case "group": file.spec.group = string(entry)
            case "limits": readLimits(entry)
            case "restart": readRestart(entry)
            case "stop": readStop(entry)
            case "log": readLog(entry)
            case "priority":
                if let priority: WorkerPriority = choice(entry) { file.spec.priority = priority }
            case "labels": file.spec.labels = pairs(entry, "a label's name and its value").map { Label($0.0, $0.1) }
            default: preconditionFailure("the key \(entry.key) is listed and not read")
            }
        }
    }

    private mutating func readCommand(_ entry: Entry) {
        switch entry.value {
        case .sequence(let items, _):
            var arguments: [String] = []
            for (index, item) in items.enumerated() {
                let argument = Entry(key: "\(index)", path: "command.\(index)", keyPlace: item.place, value: item)
                guard let text = string(argument, allowsEmpty: true) else { continue }
                arguments.append(text)
            }
            file.spec.command = arguments
        case .scalar(let text, _, _) where !entry.value.isNull:
            let words = text.split(separator: " ").map { "\"\($0)\"" }.joined(separator: ", ")
            report("command", "must be a list, not a string; write [\(words)]", entry.valuePlace)
        case .scalar:
            // A key without a value counts as missing; problems() reports it.
            break
        case .mapping:
            report("command", "must be a list of the program and its arguments", entry.valuePlace)
        }
    }

    private mutating func readLimits(_ entry: Entry) {
        guard let keys = mapping(entry.value, entry.path) else { return }
        for entry in known(keys, ["memory", "cpu", "processes", "openFiles"], in: entry.path) {
            switch entry.key {
            case "memory": file.spec.limits.memoryBytes = quantity(entry, Units.bytes)
            case "cpu": file.spec.limits.cpuMillicores = quantity(entry, Units.millicores)
            case "processes": file.spec.limits.processes = integer(entry)
            default: file.spec.limits.openFiles = integer(entry)
            }
        }
    }

    private mutating func readRestart(_ entry: Entry) {
        guard let keys = mapping(entry.value, entry.path) else { return }
        for entry in known(keys, ["policy", "maxRestarts", "window", "delay", "maxDelay"], in: entry.path) {
            switch entry.key {
            case "policy":
                if let mode: RestartPolicy.Mode = choice(entry) { file.spec.restart.mode = mode }
            case "maxRestarts": set(&file.spec.restart.maxRestarts, integer(entry))
            case "window": set(&file.spec.restart.windowSeconds, quantity(entry, Units.seconds))
            case "delay": set(&file.spec.restart.delaySeconds, quantity(entry, Units.seconds))
            default: set(&file.spec.restart.maxDelaySeconds, quantity(entry, Units.seconds))
            }
        }
    }

    private mutating func readStop(_ entry: Entry) {
        guard let keys = mapping(entry.value, entry.path) else { return }
        for entry in known(keys, ["signal", "grace"], in: entry.path) {
            switch entry.key {
            case "signal":
                guard let name = string(entry) else { continue }
                file.spec.stop.signal = name.hasPrefix("SIG") ? String(name.dropFirst(3)) : name
            default: set(&file.spec.stop.graceSeconds, quantity(entry, Units.seconds))
            }
        }
    }

    private mutating func readLog(_ entry: Entry) {
        guard let keys = mapping(entry.value, entry.path) else { return }
        for entry in known(keys, ["maxSize", "maxFiles"], in: entry.path) {
            switch entry.key {
            case "maxSize": set(&file.spec.log.maxFileBytes, quantity(entry, Units.bytes))
            default: set(&file.spec.log.maxFiles, integer(entry))
            }
        }
    }

    private func set(_ field: inout Int64, _ value: Int64?) {
        if let value { field = value }
    }
}

// MARK: Values

extension WorkerFileReader {
    /// A key with its value, somewhere in the file.
    struct Entry {
        var key: String
        var path: String
        var keyPlace: YAMLPlace
        var value: YAMLNode

        var valuePlace: YAMLPlace { value.place }
    }

    /// The keys of a mapping. No value at all is an empty mapping.
    private mutating func mapping(_ node: YAMLNode, _ path: String) -> [Entry]? {
        switch node {
        case .mapping(let members, _):
            var entries: [Entry] = []
            for (key, value) in members {
                guard case .scalar(let name, _, let place) = key else {
                    report(path, "has a key that is not a word", key.place)
                    continue
                }
                guard !entries.contains(where: { $0.key == name }) else {
                    report(name, "is given twice", place)
                    continue
                }
                let full = path.isEmpty ? name : "\(path).\(name)"
                entries.append(Entry(key: name, path: full, keyPlace: place, value: value))
            }
            return entries
        case .scalar where node.isNull: return []
        case .scalar, .sequence:
            report(path, "must be a mapping of names to values, not \(node.kind)", node.place)
            return nil
        }
    }

    /// The entries that have a meaning; the others are problems.
    private mutating func known(_ entries: [Entry], _ names: [String], in path: String) -> [Entry] {
        entries.filter { entry in
            file.places[entry.path] = entry.valuePlace
            if names.contains(entry.key) { return true }
            let hint = Suggestion.nearest(to: entry.key, in: names).map { "; did you mean '\($0)'?" } ?? ""
            report(entry.path, "unknown key\(hint)", entry.keyPlace)
            return false
        }
    }

    /// A scalar as it is written: `5`, `true` and `"5"` are all text where text is expected.
    private mutating func string(_ entry: Entry, allowsEmpty: Bool = false) -> String? {
        guard case .scalar(let text, _, _) = entry.value else {
            report(entry.path, "must be a single value, not \(entry.value.kind)", entry.valuePlace)
            return nil
        }
        guard !entry.value.isNull else {
            let hint = allowsEmpty ? "; write \"\" for an empty one" : "; leave it out, or give it one"
            report(entry.path, "has no value\(hint)", entry.valuePlace)
            return nil
        }
        return text
    }

    private mutating func integer(_ entry: Entry) -> Int64? {
        guard let text = string(entry) else { return nil }
        guard let value = Int64(text) else {
            report(entry.path, "must be a whole number, not '\(text)'", entry.valuePlace)
            return nil
        }
        return natural(value, text, entry)
    }

    /// No number in a worker file may be negative.
    private mutating func natural(_ value: Int64, _ text: String, _ entry: Entry) -> Int64? {
        if value >= 0 { return value }
        report(entry.path, "must not be negative, as \(text) is", entry.valuePlace)
        return nil
    }

    private mutating func quantity(_ entry: Entry, _ parse: (String) throws(Units.Problem) -> Int64) -> Int64? {
        guard let text = string(entry) else { return nil }
        do throws(Units.Problem) {
            return natural(try parse(text), text, entry)
        } catch {
            report(entry.path, error.message, entry.valuePlace)
            return nil
        }
    }

    private mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(_ entry: Entry) -> Choice? {
        guard let text = string(entry) else { return nil }
        if let choice = Choice(rawValue: text) { return choice }
        let names = Choice.allCases.map(\.rawValue)
        let hint = Suggestion.nearest(to: text, in: names).map { "; did you mean '\($0)'?" } ?? ""
        report(entry.path, "'\(text)' is none of \(names.joined(separator: ", "))\(hint)", entry.valuePlace)
        return nil
    }

    /// Names and values, sorted by name, as a specification needs them.
    private mutating func pairs(_ entry: Entry, _ meaning: String) -> [(String, String)] {
        if case .sequence = entry.value {
            report(entry.path, "must be a mapping of \(meaning), as in {NAME: value}, not a list", entry.valuePlace)
            return []
        }
        guard let entries = mapping(entry.value, entry.path) else { return [] }
        var pairs: [(String, String)] = []
        for entry in entries {
            file.places[entry.path] = entry.keyPlace
            if let value = string(entry, allowsEmpty: true) { pairs.append((entry.key, value)) }
        }
        return pairs.sorted { $0.0 < $1.0 }
    }
}
