import Base
import Control
import Wire

/// # What the controller reports, compared with the true state
///
/// Takes a snapshot of the fleet every few seconds while faults happen. In the end it lets pairs of nodes exchange pings, and
/// takes snapshots until all checkers are satisfied or the time is over.
final class SnapshotTaker {
    /// Two nodes, one of which pings the other.
    private struct Pair {
        let from: Int
        let to: Int
        var isAnswered = false

        init(from: Int, to: Int) {
            self.from = from
            self.to = to
        }
    }

    private static let lookEvery = Interval.milliseconds(2500)

    private unowned let simulation: Simulation
    private var pairs: [Pair] = []

    init(of simulation: Simulation) { self.simulation = simulation }

    private var now: Instant { simulation.now }
    private var machines: [Machine] { simulation.machines }

    func begin() { simulation.schedule(.look(index: 0), at: now + SnapshotTaker.lookEvery) }

    func look(_ index: Int) {
        guard !simulation.isHealed else { return }
        snapshot()
        simulation.schedule(.look(index: Int32(index + 1)), at: now + SnapshotTaker.lookEvery)
    }

    @discardableResult
    private func snapshot() -> FleetSnapshot {
        simulation.counts.looks += 1
        var nodes: [NodeView]?
        var workers: [WorkerView]?
        let controller = machines[0]
        if controller.isUp, let process = controller.controller {
            let local = controller.local(now)
            if case .nodes(let views) = process.look(.nodesList, now: local) { nodes = views }
            let all = ControllerRequest.workersList(WorkersList())
            if case .workers(let views) = process.look(all, now: local) { workers = views }
            simulation.programs.flush(controller)
        }
        let truths = machines.dropFirst().map { machine in
            FleetSnapshot.Machine(
                index: machine.index, node: machine.nodeID, name: machine.name, isUp: machine.isUp,
                isWelcome: machine.isWelcome, lastReceived: machine.lastReceived, processes: machine.host.living,
                overlay4: simulation.overlay.certifiedAddress(of: machine))
        }
        let snapshot = FleetSnapshot(
            machines: truths, nodes: nodes, workers: workers,
            pairs: pairs.map { (from: $0.from, to: $0.to, answered: $0.isAnswered) },
            overlayRequests: simulation.overlay.reached)
        simulation.note(.snapshot(snapshot))
        for machine in machines where machine.isUp {
            let holdings = machine.program?.holdings(machines: machines.count, now: machine.local(now)) ?? []
            for holding in holdings {
                simulation.note(
                    .held(machine: machine.index, what: holding.what, count: holding.count, limit: holding.limit))
            }
            simulation.programs.flush(machine)
        }
        simulation.record(.checked, -1, UInt64(nodes?.count ?? 0), UInt64(workers?.count ?? 0))
        return snapshot
    }

    /// Runs until all checkers are satisfied, or the time is over.
    func settle() {
        let end = now + simulation.scenario.settle
        choosePairs()
        simulation.overlay.choosePairs()
        var complaints: [(checker: String, text: String)] = []
        repeat {
            simulation.overlay.askPairs()
            askPairs()
            simulation.advance(to: min(end, now + .seconds(2)))
            let snapshot = snapshot()
            guard !simulation.hasFailed else { return }
            complaints = simulation.complaints(snapshot)
        } while !complaints.isEmpty && now < end
        guard complaints.isEmpty else { return simulation.fail(complaints.prefix(20)) }
        // A settled fleet must stay settled.
        simulation.advance(to: now + .seconds(3))
        snapshot()
    }

    // MARK: - Pairs

    private func choosePairs() {
        let all = (1...simulation.scenario.nodes).filter { !machines[$0].isRetired }
        guard all.count > 1 else { return }
        for _ in 0..<simulation.scenario.operators.pings {
            let from = all[simulation.random.index(below: all.count)]
            let to = all[simulation.random.index(below: all.count)]
            if from != to { pairs.append(Pair(from: from, to: to)) }
        }
    }

    private func askPairs() {
        for index in pairs.indices where !pairs[index].isAnswered {
            let machine = machines[pairs[index].from]
            guard machine.isUp, let agent = machine.agent else { continue }
            let peer = machines[pairs[index].to]
            agent.ping(RequestID(UInt64(index)), peer.nodeID, now: machine.local(now))
            simulation.programs.flush(machine)
        }
    }

    /// The answer to a `ping` of `askPairs`.
    func handlePong(_ id: RequestID, _ isSuccess: Bool) {
        guard Int(id.value) < pairs.count, isSuccess else { return }
        pairs[Int(id.value)].isAnswered = true
    }
}
