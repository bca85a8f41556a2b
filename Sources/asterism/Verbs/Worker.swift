import ArgumentParser
import Base
import Control
import Foundation
import Platform
import Wire

struct Worker: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs, lists, reads, stops and removes workers.", discussion: "Each of them takes --json.",
        subcommands: [WorkerRun.self, WorkerList.self, WorkerLogs.self, WorkerStop.self, WorkerRemove.self])
}

struct WorkerList: Verb {
    static let configuration = CommandConfiguration(
        commandName: "ps", abstract: "Lists workers.",
        discussion: "A state with a question mark may be outdated: its node is not online.", aliases: ["list"])

    @OptionGroup var common: Common
    @Option(help: "Only the workers of this node.") var node: String?

    func perform() throws {
        let link = try common.link(.controller)
        let answer = try link.call(WorkersList(node: node))
        try show(answer) { workers in
            workers.isEmpty ? "no workers\n" : WorkerList.table(workers, wallClock()).render(terminal)
        }
    }

    static func table(_ workers: [WorkerView], _ now: UnixTime) -> Table {
        var table = Table([
            .init("NAME", least: 8), .init("STATE"), .init("NODE", least: 6, importance: 8),
            .init("PID", right: true, importance: 7), .init("AGE", right: true, importance: 6),
            .init("RESTARTS", right: true, importance: 2), .init("GEN", right: true, importance: 1),
            .init("LOG", right: true, importance: 0), .init("LAST EXIT", least: 8, importance: 3),
            .init("COMMAND", least: 10, importance: 5), .init("REASON", least: 8, importance: 4),
        ])
        for worker in workers {
            table.add([
                .init(worker.name), .init(worker.stateText, worker.style), .init(worker.nodeName ?? worker.node?.short),
                .init(worker.pid.map { "\($0)" }), .init(worker.startedAt.map { Units.age(now - $0) }),
                .init("\(worker.restarts)"), .init("\(worker.generation)"), .init(Units.size(worker.logBytes)),
                .init(worker.lastExit?.description), .init(worker.command.joined(separator: " ")), .init(worker.reason),
            ])
        }
        return table
    }
}

extension WorkerView {
    /// The state that the agent reports, and the desired one where it differs.
    var stateText: String {
        let reported = state.map { $0.rawValue + (isCurrent ? "" : "?") } ?? "unknown"
        switch desired {
        case .run: return reported
        case .stop: return state?.isFinal == true || state == .stopping ? reported : "\(reported), to stop"
        case .none: return state?.isFinal == true ? reported : "\(reported), not desired"
        }
    }

    var style: Terminal.Style {
        guard isCurrent else { return .caution }
        switch state {
        case .running: return .good
        case .failed, .stuck: return .bad
        case .pending, .starting, .backoff, .stopping, nil: return .caution
        case .succeeded, .stopped: return .plain
        }
    }
}

/// The operation id of a command: 128 random bits. A request that is repeated after a lost connection has the same id.
func drawOperation() -> String {
    let words = (Entropy.word(), Entropy.word())
    func digits(_ word: UInt64) -> String {
        let text = String(word, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }
    return "cli-" + digits(words.0) + digits(words.1)
}

struct WorkerStop: Verb {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "Stops workers.",
        discussion:
            "Waits until no process is left: the stop signal, the grace period, then SIGKILL to every descendant.")

    @OptionGroup var common: Common
    @Argument(help: "The workers' names.") var names: [String]
    @Option(help: ArgumentHelp("Replaces the specification's grace: 10s, 0.", valueName: "time")) var grace: String?
    @Flag(help: "Return when the command is accepted, without waiting for the end.") var noWait = false
    @Option(help: ArgumentHelp("Seconds to wait, in addition to the grace period.", valueName: "seconds"))
    var wait: Double =
        30

    func perform() throws {
        let link = try common.link(.controller)
        var views: [JSONValue] = []
        let seconds = try graceSeconds()
        var asked: [WorkerView] = []
        for name in names {
            let request = WorkersStop(name: name, operation: drawOperation(), graceSeconds: seconds)
            asked.append(try link.call(request).view())
        }
        for worker in asked {
            var answer = try link.call(WorkersGet(name: worker.name))
            if !noWait {
                answer = try WorkerWait(link: link, worker: worker).untilEnded(
                    within: wait + Double(seconds ?? 10), first: answer)
            }
            views.append(try answer.json)
            if !common.json {
                let view: WorkerView = try answer.view()
                writeOut("\(view.name): \(view.stateText)\(view.lastExit.map { ", \($0)" } ?? "")".printable + "\n")
            }
        }
        if common.json { writeOut(try JSONText.document(names.count == 1 ? views[0] : .array(views))) }
    }

    private func graceSeconds() throws(Failure) -> Int64? {
        guard let grace else { return nil }
        do throws(Units.Problem) {
            let seconds = try Units.seconds(grace)
            guard (0...86_400).contains(seconds) else {
                throw Units.Problem(message: "must be 0 to a day, not \(grace)")
            }
            return seconds
        } catch {
            throw Failure(.usage, "grace: \(error.message)")
        }
    }
}

struct WorkerRemove: Verb {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Removes workers that have ended, and their logs.",
        discussion: "A worker that still runs is refused; stop it first.", aliases: ["remove"])

    @OptionGroup var common: Common
    @Argument(help: "The workers' names.") var names: [String]

    func perform() throws {
        let link = try common.link(.controller)
        var views: [JSONValue] = []
        for name in names {
            let request = WorkersRemove(name: name, operation: drawOperation())
            views.append(try link.call(request).json)
            if !common.json { writeOut("\(name.printable): removed\n") }
        }
        if common.json { writeOut(try JSONText.document(names.count == 1 ? views[0] : .array(views))) }
    }
}

/// Polls one generation of a worker until it has the expected state.
struct WorkerWait {
    let link: Link
    let worker: WorkerView
    static let pollMicroseconds: UInt32 = 100_000

    /// Until it runs or has ended.
    func untilRunning(within seconds: Double) throws -> Answer<WorkerView> {
        try until(within: seconds, "did not start within \(Int(seconds)) s", first: nil) { view in
            view.state == .running || view.state == .stuck || (view.state?.isFinal ?? false)
        }
    }

    /// Until none of its processes is left.
    func untilEnded(within seconds: Double, first: Answer<WorkerView>) throws -> Answer<WorkerView> {
        try until(within: seconds, "did not end in time", first: first) { $0.state?.isFinal ?? false }
    }

    private func until(
        within seconds: Double, _ complaint: String, first: Answer<WorkerView>?, _ isThere: (WorkerView) -> Bool
    ) throws -> Answer<WorkerView> {
        let end = monotonicSeconds() + seconds
        var answer = try first ?? get()
        while true {
            let view: WorkerView = try answer.view()
            guard view.generation == worker.generation else {
                throw Failure(.refused, "\(view.name): was run again by another operator")
            }
            if isThere(view) { return answer }
            guard monotonicSeconds() < end else {
                let reason = view.reason.map { " (\($0))" } ?? ""
                throw Failure(.unavailable, "\(view.name): \(complaint); it is \(view.stateText)\(reason)")
            }
            usleep(WorkerWait.pollMicroseconds)
            answer = try get()
        }
    }

    private func get() throws -> Answer<WorkerView> { try link.call(WorkersGet(name: worker.name)) }
}
