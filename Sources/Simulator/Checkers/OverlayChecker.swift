import Base
import Control

/// Every request for an overlay address ends, and eventually with a session that carries packets. A packet arrives at most
/// once, unchanged, and at the right node. An IPv4 address always belongs to the same node.
final class OverlayChecker: Checker {
    let name = "overlay"
    private struct OverlayRequest {
        var machine: Int
        var address: IPAddress
        var isNobodys: Bool
        var by: Instant
    }
    private var open: [OverlayRequest] = []
    /// Packets that have not arrived yet, with their receivers. A packet that arrives twice is missing here the second time.
    private var sent = Table<UInt64, Int>()
    private var owners = Table<IPAddress, NodeID>()
    private var addresses = Table<NodeID, IPAddress>()

    /// The agent's twelve seconds, and the delay of a slow disk.
    static let patience = Interval.seconds(16)

    func observe(_ fact: Fact, now: Instant) -> [String] {
        switch fact {
        case .overlay(let machine, let fact): return observe(fact, of: machine, now)
        case .snapshot(let snapshot): return overdue(snapshot, now) + owned(snapshot)
        case .processStarted, .processEnded, .launchFailed, .filesRemoved, .asked, .replied, .spun, .held, .silenced,
            .receivedAgain:
            return []
        }
    }

    private func observe(_ fact: OverlayFact, of machine: Int, _ now: Instant) -> [String] {
        switch fact {
        case .overlayRequested(let address, let isNobodys):
            if !open.contains(where: { $0.machine == machine && $0.address == address }) {
                open.append(
                    OverlayRequest(
                        machine: machine, address: address, isNobodys: isNobodys, by: now + OverlayChecker.patience))
            }
        case .ended(let address, let failure):
            guard let index = open.firstIndex(where: { $0.machine == machine && $0.address == address }) else {
                return ["node-\(machine) reported the outcome of \(address), which it was not asked for"]
            }
            let request = open.remove(at: index)
            if request.isNobodys, failure == nil { return ["node-\(machine) reached \(address), which is nobody's"] }
        case .packetSent(let number, let to): sent[number] = to
        case .packetCame(let number):
            guard let number, let to = sent[number] else {
                return ["node-\(machine) got a packet that nobody has sent so"]
            }
            sent.remove(number)
            if to != machine { return ["node-\(machine) got packet \(number), which was for node-\(to)"] }
        case .forgotten: open.removeAll { $0.machine == machine }
        case .delayed:
            for index in open.indices where open[index].machine == machine {
                open[index].by = now + OverlayChecker.patience
            }
        }
        return []
    }

    private func overdue(_ snapshot: FleetSnapshot, _ now: Instant) -> [String] {
        let late = open.filter { request in
            request.by < now && snapshot.machines.contains { $0.index == request.machine && $0.isUp }
        }
        return late.map { "node-\($0.machine) never reported the outcome of \($0.address)" }
    }

    /// An address counts once the node's disk holds it: before that, a crash of the controller may undo it.
    private func owned(_ snapshot: FleetSnapshot) -> [String] {
        var found: [String] = []
        for machine in snapshot.machines {
            guard let address = machine.overlay4 else { continue }
            if let owner = owners[address], owner != machine.node {
                found.append("\(address) belongs to \(machine.name), and to another node")
            }
            if let known = addresses[machine.node], known != address {
                found.append("\(machine.name) had \(known), and has \(address) now")
            }
            owners[address] = machine.node
            addresses[machine.node] = address
        }
        var shown = Table<IPAddress, Bool>()
        for node in snapshot.nodes ?? [] {
            guard let address = node.overlay4 else {
                found.append("\(node.name) has no IPv4 address")
                continue
            }
            if shown[address] != nil { found.append("\(address) is reported to belong to two nodes") }
            shown[address] = true
            if let known = addresses[node.id], known != address {
                found.append("\(node.name) has \(known), and is reported to have \(address)")
            }
        }
        return found
    }

    func unsettled(_ snapshot: FleetSnapshot, now: Instant) -> [String] {
        snapshot.overlayRequests.filter { !$0.isReached }.map {
            "node-\($0.from) cannot reach node-\($0.to) by its address"
        }
    }
}
