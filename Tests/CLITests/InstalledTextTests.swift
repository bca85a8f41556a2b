import Control
import Foundation
import Testing

@testable import asterism

/// Texts that are generated from the programs' own descriptions.
@Suite struct InstalledTextTests {
    private static let programs = ["asterism", "asterismd", "asterism-controller"]

    private static func tool(_ name: String) throws -> ToolInfo { try ToolInfo.of("\(CommandRun.directory)/\(name)") }

    /// The options that `--help` lists.
    private static func helpOptions(_ name: String) throws -> [String] {
        let text = try Subprocess.output(["\(CommandRun.directory)/\(name)", "--help"])
        let option = try Regex(#"^  (?:-[a-z], )?--([a-z0-9-]+)"#, as: (Substring, Substring).self)
        return text.split(separator: "\n").compactMap { $0.firstMatch(of: option).map { String($0.1) } }
    }

    @Test(arguments: programs)
    func `a manual page describes every option of the program`(_ name: String) throws {
        let section = name == "asterism" ? 1 : 8
        let page = ManualPage.text(try InstalledTextTests.tool(name), section: section)
        let title = name.uppercased().replacing("-", with: "\\-")
        #expect(page.hasPrefix(".TH \(title) \(section) "))
        let options = try InstalledTextTests.helpOptions(name)
        #expect(options.count >= 2)
        for option in options {
            let escaped = "--\(option)".replacing("-", with: "\\-")
            #expect(page.contains("\\fB\(escaped)\\fR"), "--\(option)")
        }
        for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "FILES", "SEE ALSO"] {
            #expect(page.contains("\n.SH \(heading)\n"), "\(heading)")
        }
    }

    @Test func `the page of the command has each verb, the shared options once, and the exit statuses`() throws {
        let page = ManualPage.text(try InstalledTextTests.tool("asterism"), section: 1)
        for verb in ["asterism worker run", "asterism token create", "asterism install", "asterism why"] {
            #expect(page.contains("\n.SS \(verb)\n"), "\(verb)")
        }
        #expect(page.components(separatedBy: "\\fB\\-\\-timeout\\fR").count == 2)
        let statuses = page.components(separatedBy: "\n.SH EXIT STATUS\n").last ?? ""
        for status in ExitStatus.allCases {
            #expect(statuses.contains(".TP\n\\fB\(status.rawValue)\\fR\n"), "\(status)")
        }
        // Verbs that are hidden from --help have no place here.
        #expect(!page.contains("bench-serve") && !page.contains("bench\\-serve"))
    }

    @Test(arguments: programs + ["asterism-shim"])
    func `groff formats the pages without a warning`(_ name: String) throws {
        guard Subprocess.find("groff") != nil else { return print("skipped: groff is not installed") }
        let page =
            name == "asterism-shim"
            ? ManualPage.shim
            : ManualPage.text(try InstalledTextTests.tool(name), section: name == "asterism" ? 1 : 8)
        let folder = try TemporaryFolder()
        let path = try folder.write("page", page)
        let result = try Subprocess.run(["groff", "-man", "-ww", "-z", "-Kutf8", "-Tutf8", path])
        #expect(result.status == 0 && result.output.isEmpty, "\(result.output)")
    }

    @Test func `text is literal in a manual page`() throws {
        let json = #"""
            {"serializationVersion": 0, "command": {"commandName": "x", "abstract": "Does 'this'.",
             "discussion": ".TH is text.\n'nor this\n  a table\n\nb\\s\n\nExit status:\n  0  done\n  7  odd\n\nEnd.",
             "arguments": [{"kind": "option", "shouldDisplay": true, "isOptional": true, "isRepeating": false,
              "names": [{"kind": "short", "name": "n"}, {"kind": "long", "name": "no-op"}], "valueName": "a-b",
              "defaultValue": "z", "abstract": "Is\n nothing."}]}}
            """#
        let tool = try JSONDecoder().decode(ToolInfo.self, from: Data(json.utf8))
        let page = ManualPage.text(tool, section: 1)
        #expect(page.contains(".PP\n\\&.TH is text.\n\\(aqnor this\n.nf\n  a table\n.fi\n.PP\nb\\es\n"))
        #expect(page.contains(".SH EXIT STATUS\n.TP\n\\fB0\\fR\ndone\n.TP\n\\fB7\\fR\nodd\n"))
        #expect(page.contains(".PP\nEnd.\n"))
        #expect(page.contains(".TP\n\\fB\\-n\\fR, \\fB\\-\\-no\\-op\\fR \\fIa\\-b\\fR\nIs nothing. (default: z)\n"))
        #expect(page.contains("x \\- does \\(aqthis\\(aq\n"))
    }

    @Test(arguments: ["asterismd", "asterism-controller"])
    func `a configuration file has a key for each option, and sets none`(_ name: String) throws {
        let text = ConfigurationTemplate.text(try InstalledTextTests.tool(name), service: name)
        let lines = text.split(separator: "\n")
        #expect(lines.allSatisfy { $0.hasPrefix("#") })
        let keys = lines.compactMap { line -> String? in
            guard !line.hasPrefix("# "), let colon = line.firstIndex(of: ":") else { return nil }
            return String(line[line.index(after: line.startIndex)..<colon])
        }
        let commandOnly: Set = [
            "help", "version", "join-token", "config", "check-config", "print-config", "new-fleet",
        ]
        #expect(keys == (try InstalledTextTests.helpOptions(name)).filter { !commandOnly.contains($0) })
        #expect(keys.contains("log-level") && text.contains("\n#log-level: info\n"))
    }

    @Test(arguments: ["asterismd", "asterism-controller"])
    func `the daemon accepts its configuration file, as it is and with all defaults written out`(_ name: String) throws
    {
        let tool = try InstalledTextTests.tool(name)
        let text = ConfigurationTemplate.text(tool, service: name)
        // Of these, the template shows what kind of value they take.
        let placeholders = ConfigurationTemplate.keys(tool).filter {
            $0.kind == .option && !$0.isRepeating && $0.defaultValue == nil
        }.compactMap(\.longName)
        let folder = try TemporaryFolder()
        var written = 0
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            guard line.hasPrefix("#"), !line.hasPrefix("# "), let colon = line.firstIndex(of: ":") else { return line }
            guard !placeholders.contains(String(line[..<colon].dropFirst())) else { return line }
            written += 1
            return line.dropFirst()
        }
        #expect(written > 5)
        for (file, content) in [("as-it-is", text), ("defaults", lines.joined(separator: "\n"))] {
            let path = try folder.write(file, content)
            let program = "\(CommandRun.directory)/\(name)"
            let result = try Subprocess.run([program, "--config", path, "--check-config"])
            #expect(result.status == 0, "\(file): \(result.output)")
            #expect(result.output.hasPrefix("\(path): ok"), "\(file): \(result.output)")
        }
    }

    @Test func `completions are for the program's own name`() throws {
        let folder = try TemporaryFolder()
        let run = try CommandRun.run(["install", "agent", "--root", folder.path("r")])
        #expect(run.status == 0, "\(run.errors)")
        let share = folder.path("r/usr/local/share")
        func text(_ path: String) throws -> String { try String(contentsOfFile: "\(share)/\(path)", encoding: .utf8) }
        #expect(try text("zsh/site-functions/_asterismd").hasPrefix("#compdef asterismd\n"))
        #expect(try text("bash-completion/completions/asterismd").contains("complete"))
        #expect(try text("fish/vendor_completions.d/asterism.fish").contains("complete -c 'asterism'"))
    }
}
