import Base
import Control
import Foundation
import Testing
import Wire

/// Crashes of every program, while workers run: nothing is lost, nothing is done twice.
@Suite struct RestartTests {
    /// Appends to a file when it begins, waits for another file, and ends with the status in it.
    private static func waiter(_ fleet: Fleet, _ name: String, status: Int) -> [String] {
        let file = fleet.path("go-\(name)"), starts = fleet.path("starts-\(name)")
        return ["/bin/sh", "-c", "echo $$ >> \(starts); while [ ! -e \(file) ]; do sleep 0.05; done; exit \(status)"]
    }

    private static func go(_ fleet: Fleet, _ name: String) throws {
        let pid = try #require(try fleet.worker(name).pid)
        try "".write(toFile: fleet.path("go-\(name)"), atomically: true, encoding: .utf8)
        try eventually("worker \(name) is gone") { !ProcessFacts.isAlive(pid) }
    }

    private static func starts(_ fleet: Fleet, _ name: String) throws -> Int {
        try String(contentsOfFile: fleet.path("starts-\(name)"), encoding: .utf8).split(separator: "\n").count
    }

    private static func check(_ fleet: Fleet, _ facts: [String: ProcessFacts], after what: String) throws {
        try eventually("all workers run, after \(what)") {
            let views = try fleet.workers().filter { facts[$0.name] != nil }
            return views.count == facts.count && views.allSatisfy { $0.state == .running && $0.isCurrent }
        }
        for view in try fleet.workers() {
            guard let before = facts[view.name] else { continue }
            #expect(view.pid == before.pid, "\(view.name) has another pid after \(what)")
            #expect(ProcessFacts(before.pid)?.startTime == before.startTime, "\(view.name) is another process")
            #expect(view.restarts == 0)
            #expect(try starts(fleet, view.name) == 1, "\(view.name) was started twice")
        }
    }

    @Test func `twenty workers survive kill -9 of controller and agents, and ends meanwhile are reported`()
        throws
    {
        try Fleet.with(agents: 3) { fleet in
            var facts: [String: ProcessFacts] = [:]
            let names = (1...20).map { "worker-\($0)" }
            for (index, name) in names.enumerated() {
                let file = fleet.path("starts-\(name)")
                let command = ["/bin/sh", "-c", "echo $$ >> \(file); exec sleep 600"]
                try fleet.run(name, command, node: "agent-\(index % 3 + 1)")
            }
            for number in 1...3 {
                let name = "ends-7-\(number)"
                try fleet.run(name, Self.waiter(fleet, name, status: 7), node: "agent-\(number)")
            }
            try fleet.run("ends-5", Self.waiter(fleet, "ends-5", status: 5), node: "agent-1")
            try fleet.run("ends-0", Self.waiter(fleet, "ends-0", status: 0), node: "agent-2")
            for name in names { facts[name] = ProcessFacts(try #require(try fleet.wait(for: name, .running).pid)) }
            for name in ["ends-5", "ends-0", "ends-7-1", "ends-7-2", "ends-7-3"] { try fleet.wait(for: name, .running) }
            #expect(Set(facts.values.map(\.pid)).count == 20)

            let controller = try #require(fleet.controller)
            controller.end()
            #expect(controller.endSignal == SIGKILL)
            // Without controller and agents, two workers end.
            let pids = try ["ends-5", "ends-0"].map { name in
                try #require(
                    try fleet.ask(name == "ends-5" ? "agent-1" : "agent-2", .workersList, as: [WorkerView].self)
                        .first { $0.name == name }?.pid)
            }
            for name in ["ends-5", "ends-0"] {
                try "".write(toFile: fleet.path("go-\(name)"), atomically: true, encoding: .utf8)
            }
            try eventually("both are gone") { !pids.contains(where: ProcessFacts.isAlive) }
            try fleet.startController()
            try Self.check(fleet, facts, after: "kill -9 of the controller")
            #expect(try fleet.wait(for: "ends-5", .failed).lastExit?.status == 5)
            #expect(try fleet.wait(for: "ends-0", .succeeded).lastExit?.status == 0)

            for number in 1...3 {
                let agent = try fleet.agent("agent-\(number)")
                agent.end()
                #expect(agent.endSignal == SIGKILL)
                try Self.go(fleet, "ends-7-\(number)")
                try fleet.startAgent("agent-\(number)")
                let ended = try fleet.wait(for: "ends-7-\(number)", .failed)
                #expect(ended.lastExit?.status == 7)
                #expect(ended.lastExit?.signal == nil)
                try Self.check(fleet, facts, after: "kill -9 of agent-\(number)")
            }
            #expect(try fleet.workers().count == 25)
            // The agents report the same as the controller.
            let reported = try (1...3).flatMap { try fleet.ask("agent-\($0)", .workersList, as: [WorkerView].self) }
            #expect(Set(reported.compactMap { $0.state == .running ? $0.pid : nil }) == Set(facts.values.map(\.pid)))
        }
    }

    @Test func `an agent and the controller killed at once come back to the same workers`() throws {
        try Fleet.with(agents: 1) { fleet in
            let file = fleet.path("starts-only")
            try fleet.run("only", ["/bin/sh", "-c", "echo $$ >> \(file); exec sleep 600"])
            let pid = try #require(try fleet.wait(for: "only", .running).pid)
            let facts = ["only": try #require(ProcessFacts(pid))]
            fleet.controller?.send(SIGKILL)
            try fleet.agent("agent-1").send(SIGKILL)
            fleet.controller?.end()
            try fleet.agent("agent-1").end()
            try fleet.startAgent("agent-1")
            try fleet.startController()
            try Self.check(fleet, facts, after: "kill -9 of both")
        }
    }

    @Test func `crashes in the middle of launches lose no worker and start none twice`() throws {
        try Fleet.with(agents: 1) { fleet in
            let names = (0..<12).map { "worker-\($0)" }
            for (number, name) in names.enumerated() {
                let file = fleet.path("starts-\(name)")
                try fleet.run(name, ["/bin/sh", "-c", "echo $$ >> \(file); exec sleep 600"])
                // An answered request stays desired, whichever program dies now, and however far the launch has come.
                usleep(UInt32(number / 2) * 3000)
                if number % 2 == 0 {
                    try fleet.agent("agent-1").end()
                    try fleet.startAgent("agent-1")
                } else {
                    fleet.controller?.end()
                    try fleet.startController()
                }
                try fleet.waitUntilOnline(1)
            }
            for name in names {
                let view = try fleet.wait(for: name, .running)
                #expect(view.restarts == 0)
                try eventually("\(name) has begun") { try Self.starts(fleet, name) > 0 }
            }
            for name in names { #expect(try Self.starts(fleet, name) == 1, "\(name) was started twice") }
            #expect(Set(try fleet.workers().compactMap(\.pid)).count == names.count)
        }
    }

    @Test func `a stop that is asked for while the agent is dead is done when it is back`() throws {
        try Fleet.with(agents: 1) { fleet in
            try fleet.run("later", ["/bin/sleep", "600"])
            let pid = try #require(try fleet.wait(for: "later", .running).pid)
            try fleet.agent("agent-1").end()
            let _: WorkerView = try fleet.ask(.workersStop(.init(name: "later")))
            #expect(ProcessFacts.isAlive(pid))
            try fleet.startAgent("agent-1")
            try fleet.wait(for: "later", .stopped)
            #expect(!ProcessFacts.isAlive(pid))
        }
    }

    @Test func `SIGTERM leaves workers running, and the next start adopts them`() throws {
        try Fleet.with(agents: 1) { fleet in
            let file = fleet.path("starts-only")
            try fleet.run("only", ["/bin/sh", "-c", "echo $$ >> \(file); exec sleep 600"])
            let pid = try #require(try fleet.wait(for: "only", .running).pid)
            let facts = ["only": try #require(ProcessFacts(pid))]

            let agent = try fleet.agent("agent-1")
            agent.send(SIGTERM)
            #expect(agent.hasEnded(within: 5))
            #expect(agent.exitStatus == 0)
            #expect(ProcessFacts.isAlive(pid))
            try fleet.startAgent("agent-1")
            try Self.check(fleet, facts, after: "SIGTERM of the agent")

            let controller = try #require(fleet.controller)
            controller.send(SIGTERM)
            #expect(controller.hasEnded(within: 5))
            #expect(controller.exitStatus == 0)
            #expect(ProcessFacts.isAlive(pid))
            #expect(try fleet.agent("agent-1").isRunning)
            try fleet.startController()
            try Self.check(fleet, facts, after: "SIGTERM of the controller")
        }
    }
}
