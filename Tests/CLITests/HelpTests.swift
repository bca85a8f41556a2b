import Base
import Foundation
import Testing

@Suite struct HelpTests {
    static let verbs: [[String]] = [
        ["dev"], ["token", "create"], ["token", "list"], ["token", "get"], ["token", "revoke"], ["join"], ["status"],
        ["nodes"], ["node"],
        ["peers"], ["ping"], ["why"], ["capture"], ["debug", "rebind"], ["debug", "drop-path"],
        ["debug", "relay-only"], ["worker", "run"], ["worker", "ps"], ["worker", "logs"], ["worker", "stop"],
        ["worker", "rm"],
        ["gpu"], ["events"], ["netcheck"], ["version"], ["install"], ["uninstall"], ["token"], ["worker"], ["debug"],
    ]

    @Test(arguments: verbs)
    func `each verb has help, which names JSON`(_ verb: [String]) throws {
        let run = try CommandRun.run(verb + ["--help"])
        #expect(run.status == 0 && run.errors.isEmpty)
        #expect(run.output.contains("--json"))
        #expect(run.output.contains("USAGE: asterism \(verb.joined(separator: " "))"))
    }

    @Test func `the help of the program lists the exit statuses`() throws {
        let run = try CommandRun.run(["--help"])
        for status in 0...5 { #expect(run.output.contains("  \(status)  ")) }
    }

    @Test func `the version is that of all programs`() throws {
        let run = try CommandRun.run(["--version"])
        #expect(run.output == AsterismVersion.current + "\n" && run.status == 0)
    }

    @Test(arguments: ["bash", "zsh", "fish"])
    func `there are completions for each shell`(_ shell: String) throws {
        let run = try CommandRun.run(["--generate-completion-script", shell])
        #expect(run.status == 0 && run.errors.isEmpty)
        #expect(run.output.contains("worker") && run.output.contains("json"))
    }

    @Test(arguments: [
        ["bogus"], ["ping"], ["ping", "x", "--count", "0"], ["nodes", "--bogus"], ["worker", "run"],
        ["worker", "logs", "x", "--tail", "1", "--bytes", "1"], ["token", "revoke", "xyz"],
        ["token", "create", "--ttl", "1x"],
        ["token", "create", "--uses", "0"], ["join"], ["join", "nonsense"], ["dev", "--agents", "0"],
        ["status", "--timeout", "0"], ["nodes", "--agent", "x"], ["status", "--json", "--prometheus"],
        ["ping", "x", "--until-direct", "--via", "direct"], ["debug", "rebind", "--port", "0"],
        ["debug", "drop-path", "x"],
        ["debug", "relay-only", "x", "maybe"], ["capture", "--inner", "--outer"],
        ["capture", "-w", "f", "--count", "0"],
        ["capture", "-w", "f", "--seconds", "0"], ["capture", "--json"],
    ])
    func `a wrong command line is status 2 and a line on the standard error`(_ arguments: [String]) throws {
        let run = try CommandRun.run(arguments)
        #expect(run.status == 2)
        #expect(run.output.isEmpty)
        #expect(run.errors.hasPrefix("asterism: error: "))
    }
}
