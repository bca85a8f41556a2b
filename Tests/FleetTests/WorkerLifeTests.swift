import Control
import Foundation
import Testing
import Wire

/// Restart policies, stops and removals, as a whole fleet does them.
@Suite struct WorkerLifeTests {
    /// Prints the number of its run, and then executes `body` with that number in `$n`.
    private static func counting(_ fleet: Fleet, _ name: String, _ body: String) -> [String] {
        let file = fleet.path("n-\(name)")
        return [
            "/bin/sh", "-c",
            "n=$(cat \(file) 2>/dev/null || echo 0); n=$((n+1)); echo $n > \(file); echo run $n; \(body)",
        ]
    }

    private static func restart(_ mode: RestartPolicy.Mode, most: Int64 = 10) -> RestartPolicy {
        var policy = RestartPolicy()
        policy.mode = mode
        policy.maxRestarts = most
        policy.delaySeconds = 0
        policy.maxDelaySeconds = 1
        return policy
    }

    @Test func `on-failure restarts until it succeeds, and the log goes on`() throws {
        try Fleet.with(agents: 1) { fleet in
            let command = Self.counting(fleet, "flaky", "[ $n -ge 4 ] && exit 0; exit 3")
            try fleet.run("flaky", command) { $0.restart = Self.restart(.onFailure) }
            let end = try fleet.wait(for: "flaky", .succeeded, within: 30)
            #expect(end.restarts == 3)
            #expect(end.lastExit?.status == 0)
            #expect(String(decoding: try fleet.log("flaky"), as: UTF8.self) == "run 1\nrun 2\nrun 3\nrun 4\n")
        }
    }

    @Test func `always restarts after success too, and stop ends it for good`() throws {
        try Fleet.with(agents: 1) { fleet in
            try fleet.run("again", Self.counting(fleet, "again", "exit 0")) {
                $0.restart = Self.restart(.always, most: 60)
            }
            try eventually("three restarts") { try fleet.worker("again").restarts >= 3 }
            let _: WorkerView = try fleet.ask(.workersStop(.init(name: "again")))
            let end = try fleet.wait(for: "again", .stopped)
            usleep(1_500_000)
            #expect(try fleet.worker("again").restarts == end.restarts)
            let runs = String(decoding: try fleet.log("again"), as: UTF8.self).split(separator: "\n").count
            #expect(
                runs == Int(end.restarts) + 1 || runs == Int(end.restarts), "\(runs) runs, \(end.restarts) restarts")
        }
    }

    @Test func `a spent budget is a failure with that reason, and the budget outlives a crash of the agent`() throws {
        try Fleet.with(agents: 1) { fleet in
            try fleet.run("failing", Self.counting(fleet, "failing", "exit 4")) {
                $0.restart = Self.restart(.onFailure, most: 3)
                $0.restart.delaySeconds = 1
            }
            try eventually("a first restart") { try fleet.worker("failing").restarts >= 1 }
            try fleet.agent("agent-1").end()
            try fleet.startAgent("agent-1")
            let end = try fleet.wait(for: "failing", .failed, within: 30)
            #expect(end.restarts == 3)
            #expect(end.lastExit?.status == 4)
            #expect(end.reason?.contains("budget") == true, "\(end.reason ?? "no reason")")
            #expect(String(decoding: try fleet.log("failing"), as: UTF8.self) == "run 1\nrun 2\nrun 3\nrun 4\n")
        }
    }

    @Test func `a worker that ignores TERM is killed with all its children after its grace`() throws {
        try Fleet.with(agents: 1) { fleet in
            let file = fleet.path("child")
            try fleet.run(
                "stubborn",
                ["/bin/sh", "-c", "trap '' TERM; setsid sleep 600 & echo $! > \(file); while :; do sleep 0.2; done"]
            ) { $0.stop.graceSeconds = 1 }
            let pid = try #require(try fleet.wait(for: "stubborn", .running).pid)
            try eventually("its child is there") { FileManager.default.contents(atPath: file)?.last == 10 }
            let text = try String(contentsOfFile: file, encoding: .utf8)
            let child = try #require(Int32(text.trimmingCharacters(in: .newlines)))
            let begin = monotonicSeconds()
            let command = try fleet.cli(["worker", "stop", "stubborn", "--json"])
            let elapsed = monotonicSeconds() - begin
            #expect(command.status == 0, "\(command.errors)")
            let end: WorkerView = try command.view()
            #expect(end.state == .stopped)
            #expect(end.lastExit?.signal == SIGKILL)
            #expect(elapsed >= 0.9)
            #expect(!ProcessFacts.isAlive(pid) && !ProcessFacts.isAlive(child))
        }
    }

    @Test func `the grace covers the whole worker, also while the agent is killed and started again`() throws {
        try Fleet.with(agents: 1) { fleet in
            let file = fleet.path("saved")
            let save = """
                trap 'trap - TERM; sleep 2; echo x > \(file); exit 0' TERM
                echo up; while :; do sleep 0.1; done
                """
            try fleet.run("training", ["/bin/sh", "-c", "sh -c \"$0\"; echo done", save]) {
                $0.stop.graceSeconds = 30
            }
            try eventually("it is up") { try fleet.log("training") == Array("up\n".utf8) }
            let _: WorkerView = try fleet.ask(.workersStop(.init(name: "training")))
            try eventually("it is stopping") { try fleet.worker("training").state == .stopping }
            try fleet.agent("agent-1").end()
            #expect(!FileManager.default.fileExists(atPath: file))
            try fleet.startAgent("agent-1")
            let end = try fleet.wait(for: "training", .stopped, within: 15)
            #expect(end.lastExit?.signal == SIGTERM)
            #expect(FileManager.default.fileExists(atPath: file))
        }
    }

    @Test func `a worker that obeys TERM ends by it, can be removed, and its name used again`() throws {
        try Fleet.with(agents: 1) { fleet in
            let first = try fleet.run("meek", ["/bin/sleep", "600"])
            let pid = try #require(try fleet.wait(for: "meek", .running).pid)
            let refused = try fleet.cli(["worker", "rm", "meek"])
            #expect(refused.status == 1)
            #expect(refused.errors.contains("stop it first"), "\(refused.errors)")
            #expect(try fleet.cli(["worker", "stop", "meek"]).status == 0)
            let end = try fleet.worker("meek")
            #expect(end.state == .stopped && end.lastExit?.signal == SIGTERM)
            #expect(!ProcessFacts.isAlive(pid))
            #expect(try fleet.cli(["worker", "rm", "meek"]).status == 0)
            // Until its node has reported that it is gone, it is shown as one to be removed.
            #expect(try fleet.workers().allSatisfy { $0.desired == .none })
            try eventually("nothing is left of it") { try fleet.workers().isEmpty }
            #expect(try fleet.cli(["worker", "logs", "meek"]).status == 4)
            try eventually("its folder is gone") {
                try FileManager.default.contentsOfDirectory(atPath: fleet.agentData("agent-1") + "/workers")
                    .allSatisfy { !$0.contains("meek") }
            }
            let second = try fleet.run("meek", ["/bin/sleep", "600"])
            #expect(second.generation > first.generation)
            try fleet.wait(for: "meek", .running)
        }
    }

    @Test func `an operation that is asked for twice is done once, across a crash of the controller`() throws {
        try Fleet.with(agents: 1) { fleet in
            let request = ControllerRequest.workersRun(
                .init(spec: WorkerSpec(command: ["/bin/sleep", "600"]), operation: "once-only"))
            let first: WorkerView = try fleet.ask(request)
            let second: WorkerView = try fleet.ask(request)
            #expect(first.name == second.name && first.generation == second.generation)
            try fleet.wait(for: first.name, .running)
            fleet.controller?.end()
            try fleet.startController()
            let third: WorkerView = try fleet.ask(request)
            #expect(first.name == third.name && first.generation == third.generation)
            #expect(try fleet.workers().count == 1)
            #expect(try fleet.ask("agent-1", .workersList, as: [WorkerView].self).count == 1)
        }
    }

    @Test func `an unknown node and a taken name are reported, and change nothing`() throws {
        try Fleet.with(agents: 2) { fleet in
            let unknown = #expect(throws: APIError.self) {
                try fleet.run("a", ["/bin/sleep", "600"], node: "nowhere")
            }
            #expect(unknown?.code == .notFound)
            try fleet.run("a", ["/bin/sleep", "600"], node: "agent-1")
            let pid = try fleet.wait(for: "a", .running).pid
            for node in ["agent-1", "agent-2"] {
                let taken = #expect(throws: APIError.self) { try fleet.run("a", ["/bin/sleep", "600"], node: node) }
                #expect(taken?.code == .conflict && taken?.field == "name")
            }
            #expect(try fleet.workers().count == 1)
            #expect(try fleet.worker("a").pid == pid)
            let dead = #expect(throws: APIError.self) { try fleet.worker("b") }
            #expect(dead?.code == .notFound)
        }
    }

    @Test func `a node that is down takes no worker, and leaves no trace of the request`() throws {
        try Fleet.with(agents: 2) { fleet in
            try fleet.agent("agent-2").end()
            try eventually("it is known to be down") {
                try fleet.nodes().first { $0.name == "agent-2" }?.state == .offline
            }
            let down = #expect(throws: APIError.self) { try fleet.run("a", ["/bin/sleep", "600"], node: "agent-2") }
            #expect(down?.code == .unavailable || down?.code == .timeout)
            #expect(try fleet.workers().isEmpty)
            let elsewhere = try fleet.run("a", ["/bin/sleep", "600"])
            #expect(elsewhere.nodeName == "agent-1")
        }
    }
}
