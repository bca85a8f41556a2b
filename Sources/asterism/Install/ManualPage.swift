import Base

/// # Manual pages
///
/// They are made from a program's description of its command line, in the macros of man(7). The verbs of `asterism` are
/// subsections of one page. An option that most verbs have is described once.
enum ManualPage {
    /// The page of a program, in the section of commands (1) or of daemons (8).
    static func text(_ tool: ToolInfo, section: Int) -> String {
        let command = tool.command
        let name = command.commandName
        let verbs = leaves(command, path: [])
        let common = commonOptions(verbs.map(\.command))
        let (description, statuses) = command.sections
        var page = Page(name, section: section, command.abstract ?? "")
        page.heading("SYNOPSIS")
        page.line(synopsis(command, [name], leavingOut: []))
        page.heading("DESCRIPTION")
        page.prose(command.abstract ?? "")
        page.prose(description)
        let options = command.shownArguments
        if !options.isEmpty {
            page.heading("OPTIONS")
            options.forEach { page.option($0) }
        }
        if !verbs.isEmpty {
            page.heading("COMMANDS")
            for verb in verbs {
                page.subheading(([name] + verb.path).joined(separator: " "))
                page.line(synopsis(verb.command, [name] + verb.path, leavingOut: common))
                page.prose(verb.command.abstract ?? "")
                page.prose(verb.command.sections.text)
                verb.command.shownArguments.filter { !common.contains($0) && !isHelp($0) }.forEach { page.option($0) }
            }
            page.heading("COMMON OPTIONS")
            page.prose("Most commands have these.")
            common.forEach { page.option($0) }
        }
        if !statuses.isEmpty {
            page.heading("EXIT STATUS")
            statuses.forEach { page.item($0.status, $0.meaning) }
        }
        page.heading("FILES")
        for file in ManualPage.files[name] ?? [] { page.item(file.path, file.meaning) }
        page.heading("SEE ALSO")
        page.references(to: name)
        return page.text
    }

    /// asterism-shim has no command line for people.
    static var shim: String {
        var page = Page("asterism-shim", section: 8, "Keeps one worker of asterismd.")
        page.heading("SYNOPSIS")
        page.line("\\fBasterism\\-shim\\fR")
        page.heading("DESCRIPTION")
        page.prose(
            """
            asterismd(8) starts one asterism-shim for each worker. It starts the worker's program, writes its log, \
            collects the descendants that the program leaves, and records its exit. It outlives the agent, so workers \
            continue to run while the agent is restarted or upgraded. Do not run it by hand.
            """)
        page.heading("FILES")
        page.item("/var/lib/asterism/workers", "A directory for each worker, with its log and exit record.")
        page.heading("SEE ALSO")
        page.references(to: "asterism-shim")
        return page.text
    }

    private static let files: [String: [(path: String, meaning: String)]] = [
        "asterism": [
            ("/run/asterism/agent.sock", "The socket of this machine's agent."),
            ("/run/asterism-controller/controller.sock", "The socket of the controller, for root and group asterism."),
        ],
        "asterismd": [
            ("/etc/asterism/agent.yaml", "The configuration. Each key is an option of the same name."),
            ("/var/lib/asterism", "The node's identity and membership, and its workers."),
            ("/run/asterism/agent.sock", "The socket that asterism(1) uses."),
        ],
        "asterism-controller": [
            ("/etc/asterism/controller.yaml", "The configuration. Each key is an option of the same name."),
            ("/var/lib/asterism-controller", "The database, with the keys of the fleet in it."),
            ("/run/asterism-controller/controller.sock", "The socket that asterism(1) uses."),
        ],
    ]

    /// The verbs without subcommands, by depth.
    private static func leaves(
        _ command: ToolInfo.Command, path: [String]
    ) -> [(path: [String], command: ToolInfo.Command)] {
        command.verbs.flatMap { verb in
            let own = path + [verb.commandName]
            return verb.verbs.isEmpty ? [(own, verb)] : leaves(verb, path: own)
        }
    }

    /// The options that more than half of the verbs have, with the same text.
    private static func commonOptions(_ verbs: [ToolInfo.Command]) -> [ToolInfo.Argument] {
        var seen: [ToolInfo.Argument] = []
        for argument in verbs.flatMap(\.shownArguments) where argument.kind != .positional && !isHelp(argument) {
            if !seen.contains(argument) { seen.append(argument) }
        }
        return seen.filter { argument in
            verbs.count { $0.shownArguments.contains(argument) } * 2 > verbs.count
        }
    }

    private static func isHelp(_ argument: ToolInfo.Argument) -> Bool {
        argument.longName == "help" || argument.longName == "version"
    }

    private static func synopsis(
        _ command: ToolInfo.Command, _ path: [String], leavingOut common: [ToolInfo.Argument]
    ) -> String {
        var words = ["\\fB\(path.map(Page.escaped).joined(separator: " "))\\fR"]
        let own = command.shownArguments.filter { !isHelp($0) }
        if own.contains(where: { $0.kind != .positional }) || !common.isEmpty { words.append("[\\fIoptions\\fR]") }
        for argument in own where argument.kind == .positional {
            let value = "\\fI\(Page.escaped(argument.valueName ?? "value"))\\fR" + (argument.isRepeating ? "..." : "")
            words.append(argument.isOptional ? "[\(value)]" : value)
        }
        if !command.verbs.isEmpty { words.append("\\fIcommand\\fR ...") }
        return words.joined(separator: " ")
    }
}

/// Text in the macros of man(7).
private struct Page {
    private(set) var text: String

    init(_ name: String, section: Int, _ abstract: String) {
        let title = Page.escaped(name.uppercased())
        let summary = abstract.hasSuffix(".") ? String(abstract.dropLast()) : abstract
        text = """
            .TH \(title) \(section) "" "Asterism \(AsterismVersion.current)" "Asterism"
            .ad l
            .nh
            .SH NAME
            \(Page.escaped(name)) \\- \(Page.escaped(summary.prefix(1).lowercased() + summary.dropFirst()))

            """
    }

    mutating func heading(_ title: String) { text += ".SH \(title)\n" }
    mutating func subheading(_ title: String) { text += ".SS \(Page.escaped(title))\n" }
    /// A line that is escaped.
    mutating func line(_ line: String) { text += line + "\n" }

    /// Paragraphs, with lines that are indented as they are.
    mutating func prose(_ prose: String) {
        for paragraph in prose.split(separator: "\n\n") {
            text += ".PP\n"
            var isVerbatim = false
            for line in paragraph.split(separator: "\n") {
                let printsVerbatim = line.hasPrefix("  ")
                if printsVerbatim != isVerbatim { text += printsVerbatim ? ".nf\n" : ".fi\n" }
                isVerbatim = printsVerbatim
                text += Page.escaped(String(line)) + "\n"
            }
            if isVerbatim { text += ".fi\n" }
        }
    }

    mutating func item(_ term: String, _ meaning: String) {
        text += ".TP\n\\fB\(Page.escaped(term))\\fR\n\(Page.escaped(meaning))\n"
    }

    mutating func option(_ argument: ToolInfo.Argument) {
        let value = argument.valueName.map { "\\fI\(Page.escaped($0))\\fR" } ?? ""
        var term = (argument.names ?? []).map { "\\fB\(Page.escaped($0.text))\\fR" }.joined(separator: ", ")
        if argument.kind == .positional { term = value } else if argument.kind == .option { term += " \(value)" }
        var meaning = argument.abstract ?? ""
        if let standard = argument.defaultValue, !standard.isEmpty { meaning += " (default: \(standard))" }
        if let discussion = argument.discussion { meaning += " \(discussion)" }
        let words = meaning.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        text += ".TP\n\(term)\n\(Page.escaped(words))\n"
    }

    mutating func references(to own: String) {
        let all = [("asterism", 1), ("asterism-controller", 8), ("asterism-shim", 8), ("asterismd", 8)]
        let others = all.filter { $0.0 != own }.map { "\\fB\(Page.escaped($0.0))\\fR(\($0.1))" }
        text += others.joined(separator: ", ") + "\n"
    }

    /// Text as groff takes it literally: groff_char(7). A dot or an apostrophe at the start of a line is a request.
    static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "\\": result += "\\e"
            case "-": result += "\\-"
            case "'": result += "\\(aq"
            case "…": result += "..."
            default: result.append(character)
            }
        }
        return result.hasPrefix(".") ? "\\&" + result : result
    }
}
