import Base
import Control

/// A node from which nothing can be received is out of routing at most four seconds later. This holds as long as the
/// controller itself was well, and as long as at most a twentieth of the nodes that it knows to be online were lost at once.
/// Otherwise the controller rightly doubts its own connection, and also delays its verdicts on nodes that fall silent
/// meanwhile. Nodes are lost with parts of the network, and also one by one, by full lines or new addresses. What counts is
/// what the controller received.
final class DetectionChecker: Checker {
    let name = "detection"
    static let limit = Interval.seconds(4)
    /// For datagrams in flight, and for a controller that is a little late.
    static let slack = Interval.milliseconds(1500)
    /// How close together losses count as one event, from either side.
    static let together = Interval.seconds(6)

    /// Fewer losses do not make a controller doubt its own connection, even in a small fleet.
    static let least = 3
    /// For how long verdicts are held.
    static let hold = Interval.seconds(10)

    /// By machine; the controller's own is at 0.
    private var silentSince: [Instant?]
    private var losses: [(machine: Int, at: Instant)] = []
    private var controllerWellSince = Instant.origin

    init(nodes: Int) {
        silentSince = Array(repeating: nil, count: nodes + 1)
    }

    func observe(_ fact: Fact, now: Instant) -> [String] {
        switch fact {
        case .silenced(let machine):
            guard machine < silentSince.count, silentSince[machine] == nil else { return [] }
            silentSince[machine] = now
            losses.append((machine, now))
        case .receivedAgain(let machine):
            guard machine < silentSince.count else { return [] }
            silentSince[machine] = nil
            if machine == 0 { controllerWellSince = now }
        case .snapshot(let snapshot): return overdue(snapshot, now)
        case .processStarted, .processEnded, .launchFailed, .filesRemoved, .asked, .replied, .spun, .held, .overlay:
            break
        }
        return []
    }

    private func overdue(_ snapshot: FleetSnapshot, _ now: Instant) -> [String] {
        for machine in snapshot.machines where machine.isWelcome && now - machine.lastReceived > .milliseconds(2500) {
            losses.append((machine.index, machine.lastReceived))
        }
        guard let nodes = snapshot.nodes, silentSince[0] == nil else { return [] }
        let present = nodes.count { $0.state == .online || $0.state == .suspect }
        let patience = DetectionChecker.limit + DetectionChecker.slack
        var found: [String] = []
        for machine in snapshot.machines where machine.isWelcome {
            guard machine.index < silentSince.count, let since = silentSince[machine.index] else { continue }
            let lastReport = max(since, machine.lastReceived)
            guard now - max(lastReport, controllerWellSince) > patience, !isHeld(since, of: present) else { continue }
            guard let view = nodes.first(where: { $0.id == machine.node }) else { continue }
            switch view.state {
            case .online, .suspect:
                found.append(
                    "node-\(machine.index) was last seen \(now - since) ago, and is reported to be \(view.state)"
                )
            case .offline, .left, .unknown: break
            }
        }
        return found
    }

    /// Whether so many went at once that a loss at `time` need not have been reported.
    private func isHeld(_ time: Instant, of present: Int) -> Bool {
        let together = DetectionChecker.together
        return losses.contains { first in
            guard first.at >= time - together - DetectionChecker.hold, first.at <= time + together else { return false }
            let near = losses.filter { abs(($0.at - first.at).nanoseconds) <= together.nanoseconds }
            let machines = Set(near.map(\.machine)).count
            return machines >= DetectionChecker.least && machines * 20 > present
        }
    }

    func unsettled(_ snapshot: FleetSnapshot, now: Instant) -> [String] { [] }
}
