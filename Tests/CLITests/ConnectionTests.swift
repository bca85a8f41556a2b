import Base
import Control
import Foundation
import Testing

@Suite struct ConnectionTests {
    @Test func `without a server the status is 3 and the error names every place`() throws {
        let run = try CommandRun.run(
            ["status"], environment: ["ASTERISM_SOCKET": "/nowhere/a", "ASTERISM_CONTROLLER_SOCKET": "/nowhere/c"])
        #expect(run.status == 3)
        #expect(
            run.errors
                == "asterism: error: cannot connect to the agent at /nowhere/a: No such file or directory, nor to the "
                + "controller at /nowhere/c: No such file or directory; is it running?\n")
        let nodes = try CommandRun.run(["nodes", "--socket", "/nowhere/" + String(repeating: "x", count: 200)])
        #expect(nodes.status == 3 && nodes.errors.contains("File name too long"))
    }

    @Test func `the controller answers where there is no agent, and the table shows that`() throws {
        let server = try FakeServer { question, _ in
            if case .controller(.peersList) = question { return .view([Sample.peer("gpu-7")]) }
            return .view(Sample.status(.controller))
        }
        let environment = ["ASTERISM_SOCKET": "/nowhere/a", "ASTERISM_CONTROLLER_SOCKET": server.path]
        let peers = try CommandRun.run(["peers"], environment: environment)
        #expect(peers.status == 0)
        #expect(peers.output.hasSuffix("as seen by the controller at \(server.path)\n"))
        let status = try CommandRun.run(["status"], environment: environment)
        #expect(status.output.hasPrefix("controller"))
        // An agent's own verb does not go to the controller.
        #expect(try CommandRun.run(["ping", "x"], environment: environment).status == 3)
    }

    @Test func `a named socket is asked which program it belongs to`() throws {
        let server = try FakeServer { question, _ in
            if case .controller(.peersList) = question { return .view([Sample.peer("gpu-7")]) }
            return .view(Sample.status(.agent))
        }
        let run = try CommandRun.run(["peers", "--socket", server.path])
        #expect(run.output.hasSuffix("as seen by the agent at \(server.path)\n"))
    }

    @Test func `a directory of dev has the sockets of its fleet`() throws {
        let server = try FakeServer { _, _ in .view(Sample.status(.agent)) }
        let folder = try TemporaryFolder()
        for name in ["agent-10", "agent-2"] {
            try FileManager.default.createDirectory(
                atPath: folder.path("agents/\(name)"), withIntermediateDirectories: true)
        }
        try FileManager.default.createSymbolicLink(
            atPath: folder.path("agents/agent-2/agent.sock"), withDestinationPath: server.path)
        #expect(try CommandRun.run(["status", "--dir", folder.root]).status == 0)
        #expect(try CommandRun.run(["status"], environment: ["ASTERISM_DIR": folder.root]).status == 0)
        #expect(try CommandRun.run(["ping", "x", "--dir", folder.root, "--agent", "agent-10"]).status == 3)
    }

    @Test func `a program that never answers is status 5`() throws {
        let server = try FakeServer { _, _ in .silence }
        let run = try CommandRun.run(["nodes", "--timeout", "0.3", "--socket", server.path])
        #expect(run.status == 5)
        #expect(run.errors == "asterism: error: \(server.path): no answer in time\n")
    }

    @Test func `an answer that is none is an error and no crash`() throws {
        for text in [
            "nonsense", "[]", "{}", #"{"jsonrpc":"2.0","id":1}"#, #"{"jsonrpc":"2.0","id":99,"result":[]}"#,
            #"{"jsonrpc":"2.0","id":1,"result":{"x":1}}"#, #"{"jsonrpc":"2.0","id":1,"result":[{"id":5}]}"#,
            #"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"?"}}"#,
        ] {
            let server = try FakeServer { _, _ in .raw(text) }
            let run = try CommandRun.run(["nodes", "--socket", server.path])
            #expect(run.status == 1, "\(text)")
            #expect(run.errors.hasPrefix("asterism: error: "))
            #expect(run.output.isEmpty)
        }
    }

    @Test func `on a terminal a table fits, and has colour unless that is unwanted`() throws {
        let server = try FakeServer { _, _ in .view([Sample.node("gpu-7")]) }
        for columns in [40, 80, 120] as [UInt16] {
            let run = try CommandRun.run(
                ["nodes", "--socket", server.path], environment: ["TERM": "xterm", "NO_COLOR": "1"],
                output: .terminal(columns: columns))
            #expect(run.status == 0 && !run.lines.isEmpty)
            for line in run.lines { #expect(line.count <= Int(columns), "\(line)") }
            #expect(!run.output.contains("\u{1b}"))
        }
        let colour = try CommandRun.run(
            ["nodes", "--socket", server.path], environment: ["TERM": "xterm"], output: .terminal(columns: 120))
        #expect(colour.output.contains("\u{1b}[32monline\u{1b}[0m"))
        let dumb = try CommandRun.run(
            ["nodes", "--socket", server.path], environment: ["TERM": "dumb"], output: .terminal(columns: 120))
        #expect(!dumb.output.contains("\u{1b}"))
        let json = try CommandRun.run(
            ["nodes", "--json", "--socket", server.path], environment: ["TERM": "xterm"], output: .terminal(columns: 40)
        )
        #expect(!json.output.contains("\u{1b}") && json.output.contains(Sample.id.hex))
    }
}
