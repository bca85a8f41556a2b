import Base
import Control
import Foundation
import Wire

/// # The demo
///
/// Each step performs an action. It then looks for the effect in the controller's answers and in /proc, until the effect
/// is seen or the step's time is over. A step whose effect was not seen ends the demo with an exit status that is not
/// zero.
final class DevDemo {
    let fleet: DevFleet
    /// The process of the worker of the second half, as it was at first.
    private var kept: DevProcess?

    init(fleet: DevFleet) { self.fleet = fleet }

    private static let script = "i=0; while :; do i=$((i+1)); echo \"line $i of $$\"; sleep 0.2; done"

    func perform() throws {
        fleet.printer.note("the demo: a controller and \(fleet.names.count) agents in \(fleet.directory.root)")
        var failure: Failure?
        do {
            try enrol()
            try launchAndStop()
            try crashAndAdopt()
        } catch is DevFleet.Interrupted {
            failure = Failure(.refused, "the demo was interrupted")
        } catch {
            failure = (error as? Failure) ?? Failure(.refused, "\(error)")
            fleet.printLogs()
        }
        failure = end(failure)
        if let failure { throw failure }
        fleet.printer.note("every step was observed")
    }

    /// One step: its name, and a closure that returns what was seen.
    private func step(_ name: String, _ perform: () throws -> String) throws {
        let begin = monotonicSeconds()
        do {
            let seen = try perform()
            let text = seen.isEmpty ? name : "\(name): \(seen)"
            fleet.printer.step(text, isObserved: true, seconds: monotonicSeconds() - begin)
        } catch let error as DevFleet.Interrupted {
            throw error
        } catch {
            let lines = (error as? Failure)?.lines ?? (error as? APIError)?.lines ?? ["\(error)"]
            let text = "\(name): \(lines.joined(separator: "; "))"
            fleet.printer.step(text, isObserved: false, seconds: monotonicSeconds() - begin)
            throw Failure(.refused, "the demo failed at: \(text)")
        }
    }

    private func end(_ failure: Failure?) -> Failure? {
        let begin = monotonicSeconds()
        let complaints = fleet.stop()
        if complaints.isEmpty {
            fleet.printer.step(
                "everything is stopped and nothing is left", isObserved: true, seconds: monotonicSeconds() - begin)
            return failure
        }
        complaints.forEach(fleet.printer.error)
        let text = "everything is stopped and nothing is left: \(complaints.joined(separator: "; "))"
        fleet.printer.step(text, isObserved: false, seconds: monotonicSeconds() - begin)
        return failure ?? Failure(.refused, "the demo failed at: \(text)")
    }

    private func worker(_ name: String) throws -> WorkerView { try fleet.ask(WorkersGet(name: name)) }

    private func node(_ name: String) throws -> NodeView { try fleet.ask(NodesGet(node: name)) }
}

// MARK: Enrolment

extension DevDemo {
    private func enrol() throws {
        try step("the controller answers") {
            try fleet.startController()
            let view = try fleet.waitForController(within: 15)
            return "version \(view.version), \(view.phase.rawValue)"
        }
        try step("\(fleet.names.count) agents enrol with a token and are online") {
            try fleet.makeToken()
            for name in fleet.names { try fleet.startAgent(name) }
            let nodes = try fleet.waitForAgents(within: 30)
            return nodes.map { "\($0.name) \($0.id.short)" }.sorted().joined(separator: ", ")
        }
        try step("each heartbeat is newer than the last") {
            let nodes: [NodeView] = try fleet.ask(NodesList())
            let first = nodes.filter { fleet.names.contains($0.name) }
            return try fleet.wait(within: 10, "newer heartbeats") {
                let now: [NodeView] = try fleet.ask(NodesList())
                let steps = first.compactMap { old in
                    now.first { $0.id == old.id }?.lastHeartbeatAt.flatMap { new in
                        old.lastHeartbeatAt.map { (new - $0).milliseconds }
                    }
                }
                guard steps.count == first.count, steps.allSatisfy({ $0 > 0 }) else { return nil }
                return "after " + steps.map { "\($0) ms" }.joined(separator: ", ")
            }
        }
        try step("each agent reports its machine") {
            try fleet.wait(within: 15, "host facts") {
                let hosts = try fleet.names.compactMap { try node($0).host }
                guard hosts.count == fleet.names.count, let host = hosts.first, let memory = host.memoryTotalBytes,
                    let processors = host.processors
                else { return nil }
                return "\(processors) processors, \(Units.size(memory)), kernel \(host.kernel ?? "unknown")"
            }
        }
    }
}

// MARK: A worker's life

extension DevDemo {
    /// Runs a worker, and waits until its process is there.
    private func launch(_ name: String, on node: String) throws -> DevProcess {
        let spec = WorkerSpec(command: ["/bin/sh", "-c", DevDemo.script])
        let request = WorkersRun(name: name, node: node, spec: spec, operation: drawOperation())
        let _: WorkerView = try fleet.ask(request)
        return try fleet.wait(within: 15, "the worker's process") {
            let view = try worker(name)
            if let state = view.state, state.isFinal {
                throw Failure(.refused, "it is \(state.rawValue)\(view.reason.map { ": \($0)" } ?? "")")
            }
            guard view.state == .running, let pid = view.pid, let process = DevProcess(pid),
                process.arguments.contains(DevDemo.script)
            else { return nil }
            return process
        }
    }

    /// Waits until a line with this number is in the log; returns where the log ends then.
    private func waitForLine(_ number: Int, of name: String) throws -> (line: String, end: Int64) {
        try fleet.wait(within: 15, "line \(number) of the log") {
            let view: LogView = try fleet.ask(WorkersLogs(name: name))
            let text = String(decoding: view.bytes ?? [], as: UTF8.self)
            let line = text.split(separator: "\n").first { $0.hasPrefix("line \(number) of ") }
            return line.map { (String($0), view.nextOffset) }
        }
    }

    private func launchAndStop() throws {
        let name = "tour-1", agent = fleet.names[0]
        var process: DevProcess?
        try step("a worker runs on \(agent)") {
            let started = try launch(name, on: agent)
            process = started
            return "pid \(started.pid) is in /proc"
        }
        try step("what it writes can be read") {
            let line = try waitForLine(3, of: name).line
            guard let process, line.hasSuffix(" of \(process.pid)") else {
                throw Failure(.refused, "the line is another process's: '\(line)'")
            }
            return "'\(line)'"
        }
        try step("it is killed on command") {
            let request = WorkersStop(name: name, operation: drawOperation())
            let _: WorkerView = try fleet.ask(request)
            return try fleet.wait(within: 20, "the worker's end") {
                let view = try worker(name)
                guard let process, !process.isAlive, view.state == .stopped else { return nil }
                return "pid \(process.pid) is gone, the worker is \(view.state?.rawValue ?? "?")"
                    + (view.lastExit.map { ", \($0)" } ?? "")
            }
        }
    }
}

// MARK: A crash

extension DevDemo {
    private func crashAndAdopt() throws {
        let name = "tour-2", agent = fleet.names[1]
        var view: WorkerView?
        try step("another worker runs on \(agent)") {
            let process = try launch(name, on: agent)
            kept = process
            view = try worker(name)
            return "pid \(process.pid)"
        }
        try step("kill -9 of \(agent): the controller notices, the worker survives") {
            guard let kept, fleet.crash(agent) else { throw Failure(.refused, "the agent did not die") }
            return try fleet.wait(within: 15, "the node's absence") {
                let state = try node(agent).state
                guard state == .suspect || state == .offline else { return nil }
                guard kept.isAlive else { throw Failure(.refused, "the worker died with its agent") }
                return "the node is \(state.rawValue), pid \(kept.pid) is alive"
            }
        }
        try step("\(agent) comes back and has the same worker") {
            try fleet.startAgent(agent)
            return try fleet.wait(
                within: 30, "the worker's adoption", watching: [fleet.agents[agent]].compactMap { $0 }
            ) {
                let node = try node(agent), now = try worker(name)
                guard node.state == .online, now.isCurrent, now.state == .running, let kept, let view else {
                    return nil
                }
                guard kept.isAlive else { throw Failure(.refused, "the worker's process is gone") }
                guard now.pid == kept.pid, now.generation == view.generation, now.restarts == view.restarts else {
                    return nil
                }
                return "online, pid \(kept.pid) as before, generation \(now.generation), \(now.restarts) restarts"
            }
        }
        try step("its log continues where it was") {
            let before: LogView = try fleet.ask(WorkersLogs(name: name, offset: -1))
            return try fleet.wait(within: 10, "new lines") {
                let now: LogView = try fleet.ask(WorkersLogs(name: name, offset: before.nextOffset))
                let text = String(decoding: now.bytes ?? [], as: UTF8.self)
                guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("line ") }) else { return nil }
                return "'\(line)'"
            }
        }
        try step("that worker is killed too") {
            let request = WorkersStop(name: name, operation: drawOperation())
            let _: WorkerView = try fleet.ask(request)
            return try fleet.wait(within: 20, "the worker's end") {
                guard let kept, !kept.isAlive, try worker(name).state == .stopped else { return nil }
                return "pid \(kept.pid) is gone"
            }
        }
    }
}
