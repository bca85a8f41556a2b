import Control
import Foundation

/// `asterism dev` without `--demo`: a fleet that runs until it is interrupted.
struct DevRun {
    let fleet: DevFleet

    func perform() throws {
        var failure: Failure?
        do {
            try start()
            try watch()
        } catch is DevFleet.Interrupted {
            fleet.printer.note("stopping")
        } catch {
            failure = (error as? Failure) ?? (error as? APIError).map { Failure($0) } ?? Failure(.refused, "\(error)")
            failure?.lines.forEach(fleet.printer.error)
            fleet.printLogs()
        }
        let complaints = fleet.stop()
        complaints.forEach(fleet.printer.error)
        if let failure { throw Failure(failure.status, "the fleet has ended: \(failure.lines[0])") }
        guard complaints.isEmpty else { throw Failure(.refused, "some processes did not stop cleanly") }
        fleet.printer.note("everything is stopped")
    }

    private func start() throws {
        let printer = fleet.printer
        printer.note("the fleet's directory is \(fleet.directory.root)")
        try fleet.startController()
        _ = try fleet.waitForController(within: 15)
        try fleet.skipEvents()
        printer.note("the controller runs; \(fleet.httpHint)")
        try fleet.makeToken()
        for name in fleet.names { try fleet.startAgent(name) }
        _ = try fleet.waitForAgents(within: 30)
        try fleet.printEvents()
        printer.note("\(fleet.names.count) agents are online; try: asterism nodes --dir \(fleet.directory.root)")
        printer.note("Ctrl-C stops everything")
    }

    /// Prints events, and restarts programs that have ended, as systemd does on a real machine. So one may kill any of the
    /// programs and watch the fleet recover.
    private func watch() throws {
        var restarts: [String: DevRestarts] = [:]
        while true {
            if fleet.signals.sleep(0.25) { throw DevFleet.Interrupted() }
            for program in [fleet.controller].compactMap({ $0 }) + fleet.names.compactMap({ fleet.agents[$0] })
            where !program.isRunning {
                let now = monotonicSeconds()
                switch restarts[program.name, default: DevRestarts()].ended(at: now) {
                case .wait: break
                case .reported: fleet.printer.error("\(program.name) has ended (\(program.ending))")
                case .start:
                    fleet.printer.note("\(program.name) is started again")
                    if program.name == "controller" {
                        try fleet.startController()
                    } else {
                        try fleet.startAgent(program.name)
                    }
                case .giveUp:
                    throw Failure(.refused, "\(program.name) ends repeatedly (\(program.ending))")
                }
            }
            // A slow answer of the controller must not end the fleet.
            try? fleet.printEvents()
        }
    }
}

/// When a program that has ended is started again: after a second, and not more than five times in half a minute.
struct DevRestarts {
    enum Step {
        case reported, wait, start, giveUp
    }
    private var endedAt: Double?
    private var starts: [Double] = []

    /// Called while the program is seen to have ended.
    mutating func ended(at now: Double) -> Step {
        guard let since = endedAt else {
            endedAt = now
            return .reported
        }
        guard now - since >= 1 else { return .wait }
        starts.removeAll { now - $0 > 30 }
        guard starts.count < 5 else { return .giveUp }
        starts.append(now)
        endedAt = nil
        return .start
    }
}
