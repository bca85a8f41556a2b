import Control
import Foundation

/// `asterism dev` without the tour: a fleet until it is interrupted.
struct DevRun {
    let fleet: DevFleet

    func perform() throws {
        var failure: Failure?
        do {
            try start()
            try watch()
        } catch is DevFleet.Interrupted {
            fleet.teller.note("stopping")
        } catch {
            failure = (error as? Failure) ?? (error as? APIError).map { Failure($0) } ?? Failure(.refused, "\(error)")
            failure?.lines.forEach(fleet.teller.error)
            fleet.tellLogs()
        }
        let complaints = fleet.stop()
        complaints.forEach(fleet.teller.error)
        if let failure { throw Failure(failure.status, "the fleet has ended: \(failure.lines[0])") }
        guard complaints.isEmpty else { throw Failure(.refused, "not everything stopped as it should") }
        fleet.teller.note("everything is stopped")
    }

    private func start() throws {
        let teller = fleet.teller
        teller.note("the fleet lies in \(fleet.directory.root)")
        try fleet.startController()
        _ = try fleet.waitForController(within: 15)
        try fleet.skipEvents()
        teller.note("the controller runs, with HTTP at http://127.0.0.1:\(fleet.httpPort)/")
        try fleet.makeToken()
        for name in fleet.names { try fleet.startAgent(name) }
        _ = try fleet.waitForAgents(within: 30)
        try fleet.tellEvents()
        teller.note("\(fleet.names.count) agents are online; try: asterism nodes --dir \(fleet.directory.root)")
        teller.note("Ctrl-C stops everything")
    }

    /// Tells what happens. An agent that ends is told of; without a controller there is no fleet.
    private func watch() throws {
        var ended: [String] = []
        while true {
            if fleet.signals.sleep(0.25) { throw DevFleet.Interrupted() }
            guard let controller = fleet.controller, controller.isRunning else {
                throw Failure(.refused, "the controller has ended (\(fleet.controller?.ending ?? "?"))")
            }
            for name in fleet.names {
                guard let agent = fleet.agents[name], !agent.isRunning, !ended.contains(name) else { continue }
                ended.append(name)
                fleet.teller.error("\(name) has ended (\(agent.ending)); its log is \(agent.log)")
            }
            // A slow moment of the controller is not the end of the fleet.
            try? fleet.tellEvents()
        }
    }
}
