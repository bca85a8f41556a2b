import Control
import Foundation
import Testing

/// The table of verbs in `API.md`, and the commands that verbs name.
@Suite struct VerbTableTests {
    private static let page = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Sources/asterism/asterism.docc/API.md")

    private static var rows: [String] {
        let both = Set(AgentRequest.verbs.map { "\($0)" })
        let controller = ControllerRequest.verbs.map { verb in
            let http = verb.route.map { "`\($0.method.rawValue) \($0.template)`" } ?? ""
            return row(verb.verb, both.contains("\(verb)") ? "both" : "controller", http, verb.answerName)
        }
        let shared = Set(ControllerRequest.verbs.map { "\($0)" })
        let agent = AgentRequest.verbs.filter { verb in !shared.contains("\(verb)") }
        return controller + agent.map { verb in row(verb.verb, "agent", "", verb.answerName) }
    }

    private static func row(_ verb: VerbDescription, _ program: String, _ http: String, _ answer: String) -> String {
        let commands = verb.commands.map { "`\($0)`" }.joined(separator: ", ")
        return "| `\(verb.method)` | \(program) | \(http) | \(commands) | \(answer) | \(verb.summary) |"
    }

    @Test func `the page holds the table as it is derived from the verbs`() throws {
        let text = try String(contentsOf: Self.page, encoding: .utf8)
        let table = text.split(separator: "\n").filter { line in
            line.hasPrefix("| `") && line.split(separator: "|", omittingEmptySubsequences: false).count == 8
        }
        #expect(table.map(String.init) == Self.rows, "it should be\n\(Self.rows.joined(separator: "\n"))")
    }

    @Test func `methods of one program have different names`() {
        #expect(Set(VerbMethod<ControllerRequest>.allCases).count == ControllerRequest.verbs.count)
        #expect(Set(VerbMethod<AgentRequest>.allCases).count == AgentRequest.verbs.count)
    }

    /// A verb is decoded under its own method, so the lists and the cases agree.
    @Test func `each verb is read under its name`() throws {
        for request in Self.samples {
            let call = try JSONEncoder().encode(JSONRPCCall(id: .number(1), request))
            let read = try JSONDecoder().decode(JSONRPCCall<AgentRequest>.self, from: call)
            #expect(try read.request.get() == request)
            #expect(VerbMethod<AgentRequest>.allCases.contains(request.method))
        }
        #expect(Set(Self.samples.map(\.method)) == Set(VerbMethod<AgentRequest>.allCases))
    }

    private static let samples: [AgentRequest] = [
        .status, .peersList, .ping(PingPeer(peer: "a", count: 1)), .join(JoinFleet(token: "t")), .workersList,
        .acceleratorsList, .benchStart(BenchStart(peer: "a")), .why(ExplainPaths(peer: "a")), .netcheck,
        .debugRebind(RebindSockets(port: 1)), .debugDropPath(DropPath(peer: "a", path: "direct")),
        .debugRelayOnly(RelayOnly(peer: "a", isOn: true)), .captureStart(CaptureStart(peer: "a", layer: .inner)),
        .captureRead(CaptureRead(capture: 1)), .captureStop(CaptureStop(capture: 1)),
    ]

    /// The words of a command before its arguments, which are in capitals.
    private static func words(_ command: String) -> [String] {
        Array(command.split(separator: " ").map(String.init).prefix { word in word == word.lowercased() })
    }

    @Test func `the commands that verbs name are there`() throws {
        let controller = ControllerRequest.verbs.flatMap { $0.verb.commands }
        let agent = AgentRequest.verbs.flatMap { $0.verb.commands }
        for command in Set((controller + agent).map(Self.words)) {
            let run = try CommandRun.run(command + ["--help"])
            #expect(run.output.contains("USAGE: asterism \(command.joined(separator: " "))"))
        }
    }
}
