import Control
import Foundation
import Testing
import Wire

/// A problem of a worker is reported by its field, and leaves no trace in the desired state.
@Suite struct SpecificationTests {
    /// The desired state is empty.
    private static func leavesNoTrace(_ body: (Fleet) throws -> Void) throws {
        try Fleet.with(agents: 1) { fleet in
            let revision = try #require(try fleet.nodes().first).desiredRevision
            try body(fleet)
            #expect(try fleet.workers().isEmpty)
            #expect(try fleet.ask("agent-1", .workersList, as: [WorkerView].self).isEmpty)
            #expect(try fleet.nodes().first?.desiredRevision == revision)
            let events: [EventView] = try fleet.ask(.eventsList(.init(limit: 200)))
            #expect(!events.contains { $0.kind == .workerRequested })
            let folders = try FileManager.default.contentsOfDirectory(atPath: fleet.agentData("agent-1") + "/workers")
            #expect(folders.filter { !$0.hasPrefix(".") }.isEmpty)
        }
    }

    @Test func `a worker file's faults are reported with field and line`() throws {
        try Self.leavesNoTrace { fleet in
            let cases: [(file: String, place: String)] = [
                ("command: [/bin/true]\ncolour: red\n", "w.yaml:2:1: colour: unknown key"),
                ("name: lonely\n", "command: is missing"),
                ("command: [/bin/true]\nlimits:\n  memory: -5MiB\n", "w.yaml:3:11: limits.memory: "),
                ("command: [/bin/true]\nuser: nobody-of-this-name\n", "w.yaml:2:7: user: "),
                ("command: [/bin/true]\nuser: 4294967295\n", "w.yaml:2:7: user: "),
                ("command: [/bin/true]\nuser: 0x0\n", "w.yaml:2:7: user: "),
                ("name: x\ncommand: [/nowhere/program, a]\n", "w.yaml:2:10: command: "),
                ("command: [no-such-program-anywhere]\n", "w.yaml:1:10: command: "),
            ]
            for (text, place) in cases {
                let file = fleet.path("w.yaml")
                try text.write(toFile: file, atomically: true, encoding: .utf8)
                let end = try fleet.cli(["worker", "run", file])
                #expect(end.status == 2, "\(text): \(end.status)")
                #expect(end.errors.contains(place), "\(text): \(end.errors)")
                #expect(end.bytes.isEmpty)
            }
        }
    }

    @Test func `faults on the command line are reported with their option or field`() throws {
        try Self.leavesNoTrace { fleet in
            let cases: [(arguments: [String], words: String)] = [
                (["--memory=-5MiB", "--", "/bin/true"], "memory"),
                (["--user", "no-such-user", "--", "/bin/true"], "user"),
                (["--user", "4294967295", "--", "/bin/true"], "user: '4294967295' is neither"),
                (["--user=-1", "--", "/bin/true"], "user: '-1' is neither"),
                (["--user", "00", "--", "/bin/true"], "user: '00' is neither"),
                (["--", "/nowhere/program"], "command"), ([], "command"),
                (["--colour=red", "--", "/bin/true"], "colour"),
                (["--node", "nowhere", "--", "/bin/true"], "nowhere"),
            ]
            for (arguments, words) in cases {
                let end = try fleet.cli(["worker", "run"] + arguments)
                #expect(end.status != 0, "\(arguments)")
                #expect(end.errors.contains(words), "\(arguments): \(end.errors)")
            }
        }
    }

    @Test func `HTTP reports the field of each fault`() throws {
        try Self.leavesNoTrace { fleet in
            let cases: [(body: String, status: Int, field: String)] = [
                (#"{"spec":{"command":["/bin/true"],"colour":"red"}}"#, 400, "spec.colour"),
                (#"{"spec":{}}"#, 400, "command"), (#"{"spec":{"command":[]}}"#, 400, "command"),
                (#"{"spec":{"command":["/bin/true"],"limits":{"memoryBytes":-5}}}"#, 400, "limits.memory"),
                (#"{"spec":{"command":["/bin/true"],"user":"no-such-user"}}"#, 400, "user"),
                (#"{"spec":{"command":["/bin/true"],"user":"4294967295"}}"#, 400, "user"),
                (#"{"spec":{"command":["/bin/true"],"user":" 0"}}"#, 400, "user"),
                (#"{"spec":{"command":["/bin/true"],"user":"nobody","group":"4294967295"}}"#, 400, "group"),
                (#"{"spec":{"command":["/nowhere/program"]}}"#, 400, "command"),
                (#"{"spec":{"command":["/bin/true"]},"node":"nowhere"}"#, 404, "node"),
                (#"{"spec":{"command":["/bin/true"]},"name":"not a name"}"#, 400, "name"),
            ]
            for (body, status, field) in cases {
                let answer = try HTTPAnswer("POST", "/v1/workers", body, port: fleet.httpPort)
                #expect(answer.status == status, "\(body): \(answer.body)")
                let error = try answer.error
                #expect(error.field?.hasSuffix(field) == true, "\(body): \(error)")
                #expect(error.message.contains(field.split(separator: ".").last ?? ""), "\(body): \(error)")
            }
        }
    }
}
