import Configuration
import Control
import Foundation
import Testing

/// The real programs: what they accept and refuse, with which messages and which status.
@Suite(.serialized) struct DaemonStartTests {
    static let programs = [DaemonProgram.agent, DaemonProgram.controller]

    /// What `--experimental-dump-help` states about an option.
    private struct Declared: Decodable {
        struct Name: Decodable {
            var name: String
        }
        var names: [Name]?
        var defaultValue: String?
        var isRepeating: Bool
        var kind: String
        var shouldDisplay: Bool
    }
    private struct Dump: Decodable {
        struct Command: Decodable {
            var arguments: [Declared]
        }
        var command: Command
    }

    @Test(arguments: [0, 1]) func `every option of the command line has a key of the same kind and default`(
        index: Int
    ) throws {
        let program = Self.programs[index]
        try withFolder { folder in
            let run = try DaemonRun.run(program.name, ["--experimental-dump-help"], in: folder)
            #expect(run.status == 0)
            let dump = try JSONDecoder().decode(Dump.self, from: Data(run.text.utf8))
            var names: [String] = []
            for option in dump.command.arguments {
                let name = try #require(option.names?.last?.name)
                names.append(name)
                if program.commandOnly[name] != nil { continue }
                let key = try #require(program.key(name), "--\(name) has no key")
                #expect(key.isRepeated == option.isRepeating, "\(name)")
                #expect((key.kind == .flag) == (option.kind == "flag"), "\(name)")
                #expect(key.isHidden == !option.shouldDisplay, "\(name)")
                // ArgumentParser shows no default of a flag.
                #expect(key.defaults.first == (key.kind == .flag ? "false" : option.defaultValue), "\(name)")
            }
            #expect(names.count > 10)
            for key in program.keys { #expect(names.contains(key.name), "'\(key.name)' is no option") }
            for name in program.commandOnly.keys { #expect(names.contains(name), "'\(name)' is no option") }
        }
    }

    @Test(arguments: [0, 1]) func `what is printed is a file that is checked without a fault, and nothing is touched`(
        index: Int
    ) throws {
        let program = Self.programs[index]
        try withFolder { folder in
            let file = "\(folder)/made.yaml", data = "\(folder)/data"
            try write("log-level: debug\nname: chosen\n", file)
            let words = ["--config", file, "--data", data, "--socket", "\(folder)/s.sock"]
            let printed = try DaemonRun.run(program.name, words + ["--print-config"], in: folder)
            #expect(printed.status == 0)
            #expect(printed.text.contains("log-level: debug  # \(file):1\n"), "\(printed.text)")
            #expect(printed.text.contains("data: \(data)  # flag\n") && printed.text.contains("  # default"))
            try write(printed.text, file)
            let checked = try DaemonRun.run(program.name, ["--config", file, "--check-config"], in: folder)
            #expect(checked.status == 0 && checked.text == "\(file): ok\n", "\(checked.text)")
            #expect(access(data, F_OK) != 0 && access("\(folder)/s.sock", F_OK) != 0)
            // The print of the print is the same, but for the origins.
            func values(_ text: String) -> [String] {
                text.split(separator: "\n").map { String($0.prefix { $0 != "#" }) }
            }
            let again = try DaemonRun.run(program.name, ["--config", file, "--print-config"], in: folder)
            #expect(values(again.text) == values(printed.text))
        }
    }

    @Test func `all errors of a file are reported at once, with their places, and nothing is touched`() throws {
        try withFolder { folder in
            let file = "\(folder)/a.yaml", data = "\(folder)/data"
            try write("listen: here\nlable: a=b\nsite: x\n", file)
            let unknown = try DaemonRun.run("asterismd", ["--config", file, "--data", data], in: folder)
            #expect(unknown.status == 2)
            #expect(unknown.text == "asterismd: error: \(file):2: unknown key 'lable'; did you mean 'label'?\n")
            try write(
                "listen: here\nlabel: [a=1, b]\nallow:\n  - icmp\n  - sctp\noverlay: maybe\nlog-level: loud\n", file)
            for mode in [[], ["--check-config"]] {
                let wrong = try DaemonRun.run(
                    "asterismd", ["--config", file, "--data", data, "--site", "no site"] + mode, in: folder)
                #expect(wrong.status == 2)
                let lines = wrong.text.split(separator: "\n").map(String.init)
                for start in [
                    "\(file):1: listen: 'here' is not IP:PORT", "\(file):2: label: 'b' is not NAME=VALUE",
                    "\(file):5: allow: 'sctp'", "\(file):6: overlay: 'maybe' is none of auto, off, required",
                    "\(file):7: log-level: 'loud' is none of trace", "--site: 'no site' is not a name",
                ] {
                    #expect(lines.contains { $0.hasPrefix("asterismd: error: \(start)") }, "\(start): \(wrong.text)")
                }
                #expect(lines.count == 6)
            }
            #expect(access(data, F_OK) != 0)
        }
    }

    @Test func `in the journal each error has its priority`() throws {
        try withFolder { folder in
            let run = try DaemonRun.run(
                "asterism-controller", ["--config", "none", "--relay", "maybe", "--listen", "x"], in: folder,
                environment: ["JOURNAL_STREAM=8:1"])
            #expect(run.status == 2)
            #expect(
                run.text == """
                    <3>asterism-controller: error: --listen: 'x' is not IP:PORT or [IPv6]:PORT
                    <3>asterism-controller: error: --relay: 'maybe' is neither on nor off

                    """)
        }
    }

    /// Words of the agent's command line, and what refuses them.
    static let refused: [(words: [String], text: String)] = [
        (["--name", String(repeating: "a", count: 64)], "--name: '"),
        (["--name", "-x"], "error: "), (["--name", "two words"], "--name: 'two words' is not a name"),
        (["--site", String(repeating: "a", count: 64)], "--site: '"),
        (["--label", "a=1", "--label", "a=2"], "--label: 'a' is given twice"),
        (["--label", "a=" + String(repeating: "x", count: 64)], "at most 63 bytes"),
        ((0..<17).flatMap { ["--label", "l\($0)=x"] }, "17 labels, and a node has at most 16"),
        (["--data-plane-threads", "3"], "--data-plane-threads: 3 is neither 1 nor"),
        (["--data-plane-threads", "x"], "'x'"),
        (["--tcp-listen", "0.0.0.0:0"], "--tcp-listen: "), (["--stun", "x"], "--stun: 'x' is not HOST:PORT"),
        (["--port-mapping", "x"], "--port-mapping: "), (["--crypto-accelerate", "x"], "--crypto-accelerate: "),
        (["--bench", "x"], "--bench: "), (["--overlay-interface", "a/b"], "--overlay-interface: "),
        (["--accelerators", "x"], "--accelerators: "), (["--shim", "/nowhere"], "--shim: /nowhere is not a program"),
        (["--config", "/nowhere.yaml"], "/nowhere.yaml: No such file or directory"),
        (["--config", "/tmp"], "/tmp: not a regular file"),
    ]

    @Test(arguments: refused.indices) func `a wrong value ends the start without a usage block`(index: Int) throws {
        let (words, text) = Self.refused[index]
        try withFolder { folder in
            let none = words.contains("--config") ? [] : ["--config", "none"]
            let run = try DaemonRun.run("asterismd", none + ["--check-config"] + words, in: folder)
            #expect(run.status == (text.contains("not a regular file") ? 1 : 2), "\(run)")
            #expect(run.text.contains(text), "\(run.text)")
            #expect(!run.text.contains("Usage:") && run.text.hasPrefix("asterismd: error: "), "\(run.text)")
        }
    }

    @Test func `a controller is advertised by addresses and by a few names`() throws {
        try withFolder { folder in
            func check(_ places: [String]) throws -> (status: Int32?, text: String) {
                try DaemonRun.run(
                    "asterism-controller",
                    ["--config", "none", "--check-config"] + places.flatMap { ["--advertise", $0] },
                    in: folder)
            }
            let names = (0..<5).map { "c\($0).example.org:7950" }
            #expect(try check(["192.0.2.1:7950", "[2001:db8::1]:7950"] + names.prefix(4)).status == 0)
            let many = try check(names)
            #expect(many.status == 2 && many.text.contains("--advertise: at most 16 addresses and 4 names"), "\(many)")
            for wrong in ["0.0.0.0:7950", "192.0.2.1", "192.0.2.1:0", "name", "name:0", "10.0.0.300:7950"] {
                let run = try check([wrong])
                #expect(run.status == 2 && run.text.contains("--advertise: '\(wrong)'"), "\(run)")
            }
        }
    }

    @Test func `an unknown option shows the usage, and help shows the statuses`() throws {
        try withFolder { folder in
            for program in Self.programs {
                let unknown = try DaemonRun.run(program.name, ["--nonsense"], in: folder)
                #expect(unknown.status == 2)
                #expect(
                    unknown.text.hasPrefix("\(program.name): error: Unknown option '--nonsense'"), "\(unknown.text)")
                #expect(unknown.text.contains("USAGE:") || unknown.text.contains("Usage:"), "\(unknown.text)")
                let help = try DaemonRun.run(program.name, ["--help"], in: folder)
                #expect(help.status == 0)
                for status in [Control.ExitStatus.ok, .refused, .usage, .unavailable] {
                    #expect(help.text.contains("  \(status.rawValue)  \(try #require(status.daemonMeaning))"))
                }
                #expect(try DaemonRun.run(program.name, ["--version"], in: folder).status == 0)
            }
        }
    }

    @Test(.enabled(if: geteuid() == 0, "the rule is for root"))
    func `root does not use a file that others may write`() throws {
        try withFolder { folder in
            let file = "\(folder)/a.yaml", words = ["--config", file, "--check-config"]
            for (mode, owner, group, writer) in [
                (0o666, 0, 0, "any user"), (0o664, 0, 12, "group 12"), (0o644, 65_534, 0, "its owner, uid 65534,"),
            ] as [(UInt32, uid_t, gid_t, String)] {
                try write("site: a\n", file)
                try #require(chown(file, owner, group) == 0 && chmod(file, mode) == 0)
                let run = try DaemonRun.run("asterismd", words, in: folder)
                #expect(run.status == 1 && run.text.contains("\(file): \(writer) may write this file"), "\(run)")
                try #require(chown(file, 0, 0) == 0)
            }
            try write("site: a\n", file, mode: 0o664)
            #expect(try DaemonRun.run("asterismd", words, in: folder).status == 0)
        }
    }
}
