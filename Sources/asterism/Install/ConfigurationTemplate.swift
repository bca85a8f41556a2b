/// A daemon's configuration file as it is installed: each key with its meaning and its default, commented out.
///
/// Keys are the options of the command line, so the file is generated from them.
enum ConfigurationTemplate {
    /// Options that are only for the command line. A token is a secret: the file names another file with it.
    private static let commandOnly: Set = [
        "config", "check-config", "print-config", "new-fleet", "join-token", "help", "version",
    ]

    static func text(_ tool: ToolInfo, service: String) -> String {
        let program = tool.command.commandName
        var blocks = [
            """
            # Configuration of \(program). Each key is an option of the command line, see \(program)(8).
            # Defaults are commented out. A value of the command line replaces the one here.
            #
            # Check this file:  \(program) --check-config
            # Apply changes:    systemctl reload \(service)
            """
        ]
        for argument in keys(tool) {
            guard let name = argument.longName else { continue }
            let comment = wrapped(argument.abstract ?? "", width: 76).map { "# \($0)" }
            blocks.append((comment + ["#\(name): \(value(argument))"]).joined(separator: "\n"))
        }
        return blocks.joined(separator: "\n\n") + "\n"
    }

    /// The options that have a key.
    static func keys(_ tool: ToolInfo) -> [ToolInfo.Argument] {
        tool.command.shownArguments.filter { argument in
            guard argument.kind != .positional, let name = argument.longName else { return false }
            return !commandOnly.contains(name)
        }
    }

    private static func value(_ argument: ToolInfo.Argument) -> String {
        if argument.kind == .flag { return "false" }
        if argument.isRepeating { return "[]" }
        return argument.defaultValue ?? (argument.valueName ?? "value").uppercased()
    }

    private static func wrapped(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        for word in text.split(separator: " ") {
            if let last = lines.last, last.count + 1 + word.count <= width {
                lines[lines.count - 1] = "\(last) \(word)"
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}
