import Base
import Control
import Foundation
import Testing
import Wire

/// Every verb against a program that answers by script.
@Suite struct VerbTests {
    /// Answers everything as a healthy fleet would.
    private static func server(_ program: StatusView.Program = .controller) throws -> FakeServer {
        try FakeServer { question, number in
            switch question {
            // The fourth is not answered.
            case .agent(.ping): .view(Sample.ping(number == 3 ? [] : [Sample.answers[number % 3]]))
            case .agent(.join), .agent(.status): .view(Sample.status(.agent))
            case .agent(.peersList): .view([Sample.peer("gpu-7", packets: 1000)])
            case .agent: .error(APIError(.invalid, "not scripted"))
            case .controller(let request): answer(request, program)
            }
        }
    }

    private static func answer(_ request: ControllerRequest, _ program: StatusView.Program) -> FakeServer.Reply {
        switch request {
        case .status: .view(Sample.status(program))
        case .nodesList: .view([Sample.node("gpu-7"), Sample.node("gpu-8", .offline)])
        case .nodesGet(let parameters):
            if parameters.node == "gpu-7" {
                .view(Sample.node("gpu-7", host: Sample.host()))
            } else {
                .error(APIError(.notFound, "there is no node '\(parameters.node)'"))
            }
        case .tokensCreate: .view(Sample.token("ast1-secret"))
        case .tokensList: .view([Sample.token(nil)])
        case .tokensGet, .tokensRevoke: .view(Sample.token(nil))
        case .workersRun(let parameters): .view(Sample.worker(parameters.name ?? "sleep-1a2b", .pending))
        case .workersList: .view([Sample.worker("trainer", .running)])
        case .workersGet(let parameters): .view(Sample.worker(parameters.name, .running))
        case .workersStop(let parameters): .view(Sample.worker(parameters.name, .stopping))
        case .workersRemove(let parameters): .view(Sample.worker(parameters.name, .stopped))
        case .workersLogs: .view(Sample.log("hello\n", from: 0, isFinal: true))
        case .eventsList:
            .view([Sample.event(1, .nodeOnline, "first heartbeat"), Sample.event(2, .workerRequested, "x")])
        case .acceleratorsList: .view([Sample.accelerator()])
        case .peersList: .view([Sample.peer("gpu-7")])
        }
    }

    static let commands: [(words: [String], shows: String)] = [
        (["status"], "bad mac"), (["nodes"], "gpu-8"), (["node", "gpu-7"], "300GiB available of 512GiB"),
        (["nodes", "gpu-7"], "300GiB"), (["peers"], "840us"), (["nodes"], "100.64.0.7"), (["peers"], "100.64.0.7"),
        (["node", "gpu-7"], "100.64.0.7, fd11:2233:4455:6677:8899:aabb:ccdd:eeff"),
        (["ping", "gpu-7", "-i", "10"], "4 sent, 3 answered, 25% lost"),
        (["gpu"], "20GiB/80GiB"), (["events"], "first heartbeat"), (["token", "create"], "ast1-secret"),
        (["token", "list"], "1/2"), (["token", "get", "00112233445566ff"], "1 of 2"),
        (["token", "revoke", "00112233445566ff"], "revoked"),
        (["peers"], "1204/1.5MiB"), (["top", "--count", "1", "--interval", "0.1"], "\"packetsPerSecondIn\":0"),
        (["worker", "ps"], "trainer"),
        (["worker", "run", "--name", "w", "--", "sleep", "60"], "w on gpu-7: running, pid 4242"),
        (["worker", "stop", "--no-wait", "w"], "w: running"), (["worker", "rm", "w"], "w: removed"),
        (["worker", "logs", "w"], "hello"), (["version"], "0.1.0"),
    ]

    @Test(arguments: commands.indices)
    func `a verb shows the fleet's answer`(_ index: Int) throws {
        let (words, shows) = Self.commands[index]
        let server = try Self.server()
        let run = try withExtendedLifetime(server) { try CommandRun.run(words, environment: Self.sockets(server)) }
        #expect(run.status == 0, "\(run.errors)")
        #expect(run.output.contains(shows), "\(run.output)")
        #expect(!run.output.contains("\u{1b}"))
    }

    /// Environment that names a server as both programs.
    private static func sockets(_ server: FakeServer) -> [String: String] {
        ["ASTERISM_SOCKET": server.path, "ASTERISM_CONTROLLER_SOCKET": server.path]
    }

    @Test(arguments: commands.indices)
    func `a verb's JSON is one document with sorted keys`(_ index: Int) throws {
        var words = Self.commands[index].words
        words.insert("--json", at: words.firstIndex(of: "--") ?? words.endIndex)
        let server = try Self.server()
        let run = try withExtendedLifetime(server) { try CommandRun.run(words, environment: Self.sockets(server)) }
        #expect(run.status == 0, "\(run.errors)")
        #expect(run.errors.isEmpty)
        let object = try run.json()
        let sorted = try JSONSerialization.data(
            withJSONObject: object, options: [.sortedKeys, .withoutEscapingSlashes])
        let squeezed = run.output.filter { !$0.isWhitespace }
        #expect(squeezed == String(decoding: sorted, as: UTF8.self).filter { !$0.isWhitespace })
    }

    @Test func `JSON is the view as the program gives it, unknown fields and large numbers included`() throws {
        let server = try FakeServer { _, number in
            .raw(
                #"{"jsonrpc":"2.0","id":\#(number + 1),"result":{"z":18446744073709551615,"new":[null,-1.5],"a":"ü/"}}"#
            )
        }
        let run = try CommandRun.run(["status", "--json", "--socket", server.path])
        #expect(
            run.output.filter { !$0.isWhitespace } == #"{"a":"ü/","new":[null,-1.5],"z":18446744073709551615}"#)
    }

    static let errors: [(APIError, Int32)] = [
        (APIError(.notFound, "there is no node 'x'"), 4), (APIError(.invalid, "wrong", field: "node"), 2),
        (APIError(.conflict, "taken"), 1), (APIError(.refused, "no"), 1), (APIError(.limit, "too many"), 1),
        (APIError(.unavailable, "no node is online"), 5), (APIError(.timeout, "no answer"), 5),
    ]

    @Test(arguments: errors)
    func `an error of the fleet is a line and a status`(_ error: APIError, _ status: Int32) throws {
        let server = try FakeServer { _, _ in .error(error) }
        for words in [["node", "x"], ["node", "x", "--json"], ["worker", "stop", "x"], ["nodes"]] {
            let run = try CommandRun.run(words + ["--socket", server.path])
            #expect(run.status == status)
            let line = (error.field.map { "\($0): " } ?? "") + error.message
            #expect(run.errors == "asterism: error: \(line)\n")
            #expect(run.output.isEmpty)
        }
    }

    @Test func `all problems of a worker are reported, without a wait`() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("w.yaml", "command: [nothere]\nuser: nobody-here\n")
        let problems = [SpecProblem("command", "there is no 'nothere'"), SpecProblem("user", "there is none")]
        let server = try FakeServer { _, _ in .error(APIError(problems)) }
        let run = try CommandRun.run(["worker", "run", file, "--socket", server.path])
        #expect(run.status == 2)
        #expect(
            run.errors
                == "asterism: error: \(file):1:10: command: there is no 'nothere'\n"
                + "asterism: error: \(file):2:7: user: there is none\n")
        #expect(server.questions.count == 1)
    }

    @Test func `a worker file with faults sends no request`() throws {
        let server = try Self.server()
        let run = try CommandRun.run(
            ["worker", "run", "-", "--socket", server.path], input: "comand: [a]\nlimits: {cpu: -1}\n")
        #expect(run.status == 2)
        #expect(
            run.errors == """
                asterism: error: standard input:1:1: comand: unknown key; did you mean 'command'?
                asterism: error: standard input:1:1: command: is missing; give the program and its arguments
                asterism: error: standard input:2:15: limits.cpu: must not be negative, as -1 is

                """)
        #expect(server.questions.isEmpty)
    }

    @Test func `options make the specification that was meant`() throws {
        let server = try Self.server()
        let run = try CommandRun.run([
            "worker", "run", "--socket", server.path, "--no-wait", "--node", "gpu-7", "--env", "B=2", "--env", "A=x=y",
            "--memory", "1GiB", "--cpu", "0.5", "--user", "ml", "--restart", "always", "--", "prog", "--json", "-x",
        ])
        #expect(run.status == 0 && run.output == "sleep-1a2b on gpu-7\n")
        guard case .workersRun(let request)? = server.controllerRequests.first else {
            Issue.record("no worker was run")
            return
        }
        var spec = WorkerSpec(command: ["prog", "--json", "-x"])
        spec.environment = [.init("A", "x=y"), .init("B", "2")]
        spec.limits.memoryBytes = 1 << 30
        spec.limits.cpuMillicores = 500
        spec.user = "ml"
        spec.restart.mode = .always
        #expect(request.spec == spec && request.node == "gpu-7")
        #expect((1...100).contains(request.operation?.utf8.count ?? 0))
    }

    @Test func `a command whose answer was lost is repeated as the same operation`() throws {
        let server = try FakeServer { question, number in
            switch question {
            case .controller(.workersRun) where number < 2: .hangUp
            case .controller(let request): Self.answer(request, .controller)
            case .agent: .hangUp
            }
        }
        let run = try CommandRun.run(["worker", "run", "--socket", server.path, "--", "sleep", "60"])
        #expect(run.status == 0, "\(run.errors)")
        let operations = server.controllerRequests.compactMap {
            if case .workersRun(let request) = $0 { request.operation } else { nil }
        }
        #expect(operations.count == 3)
        #expect(Set(operations).count == 1)
    }

    @Test func `a token whose answer was lost is not made twice`() throws {
        let server = try FakeServer { _, _ in .hangUp }
        let run = try CommandRun.run(["token", "create", "--socket", server.path])
        #expect(run.status == 3)
        #expect(server.questions.count == 1)
    }

    @Test func `a worker that fails is status 1 with its reason`() throws {
        let server = try FakeServer { question, number in
            guard case .controller(let request) = question, case .workersGet = request else {
                return .view(Sample.worker("w", .pending))
            }
            if number < 4 { return .view(Sample.worker("w", .starting)) }
            let lastExit = WorkerExit(status: 127, signal: nil, at: Sample.now)
            return .view(
                Sample.worker("w", .failed, reason: "the program cannot be run", lastExit: lastExit))
        }
        let run = try CommandRun.run(["worker", "run", "--socket", server.path, "--", "x"])
        #expect(run.status == 1)
        #expect(run.errors == "asterism: error: w failed: the program cannot be run; exit status 127\n")
        #expect(run.output == "w on gpu-7: failed\n")
    }

    @Test func `a worker that never starts is status 5`() throws {
        let server = try FakeServer { _, _ in .view(Sample.worker("w", .starting)) }
        let run = try CommandRun.run(["worker", "run", "--wait", "0.5", "--socket", server.path, "--", "x"])
        #expect(run.status == 5)
        #expect(run.errors == "asterism: error: w: did not start within 0 s; it is starting\n")
    }

    @Test func `stopping waits for the end`() throws {
        let server = try FakeServer { question, number in
            if case .controller(.workersStop) = question { return .view(Sample.worker("w", .stopping)) }
            let lastExit = WorkerExit(status: nil, signal: 15, at: Sample.now)
            return .view(
                Sample.worker("w", number < 4 ? .stopping : .stopped, desired: .stop, lastExit: lastExit))
        }
        let run = try CommandRun.run(["worker", "stop", "w", "--grace", "3s", "--socket", server.path])
        #expect(run.status == 0 && run.output == "w: stopped, killed by signal 15\n", "\(run)")
        guard case .workersStop(let request)? = server.controllerRequests.first else {
            Issue.record("no worker was stopped")
            return
        }
        #expect(request.graceSeconds == 3 && request.operation != nil)
    }

    @Test func `a ping without an answer is status 5`() throws {
        let server = try FakeServer { _, _ in
            .view(Sample.ping([]))
        }
        let run = try CommandRun.run(["ping", "x", "-c", "2", "-i", "10", "--socket", server.path])
        #expect(run.status == 5)
        #expect(run.output.contains("2 sent, 0 answered, 100% lost"))
        #expect(run.errors == "asterism: error: no answer from x\n")
    }
}
