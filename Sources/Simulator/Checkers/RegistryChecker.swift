import Base
import Control

/// In the end the registry is right: a live node is online, with as many workers as run there; a dead node is not online; and
/// no node is in it without the right to enrol.
final class RegistryChecker: Checker {
    let name = "registry"

    func observe(_ fact: Fact, now: Instant) -> [String] {
        guard case .snapshot(let snapshot) = fact, let nodes = snapshot.nodes else { return [] }
        let unwelcome = snapshot.machines.filter { !$0.isWelcome }
        return nodes.compactMap { view in
            let intruder = unwelcome.first { $0.node == view.id || $0.name == view.name }
            return intruder.map { "node-\($0.index) has no good token, and was let in" }
        }
    }

    func unsettled(_ snapshot: FleetSnapshot, now: Instant) -> [String] {
        guard let nodes = snapshot.nodes else { return ["the controller does not answer"] }
        var views = Table<NodeID, NodeView>()
        for view in nodes { views[view.id] = view }
        var found: [String] = []
        for machine in snapshot.machines where machine.isWelcome {
            guard let view = views[machine.node] else {
                if machine.isUp { found.append("node-\(machine.index) lives and is no member") }
                continue
            }
            switch view.state {
            case .online:
                if !machine.isUp { found.append("node-\(machine.index) is down, and is reported to be online") }
                if machine.isUp, view.workersRunning != machine.processes.count {
                    found.append(
                        "node-\(machine.index) runs \(machine.processes.count) workers, and is reported to run "
                            + "\(view.workersRunning)")
                }
            case .suspect: found.append("node-\(machine.index) is still suspect")
            case .offline, .left, .unknown:
                if machine.isUp { found.append("node-\(machine.index) lives, and is reported to be \(view.state)") }
            }
        }
        return found
    }
}
