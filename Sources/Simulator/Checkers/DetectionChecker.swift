import Base
import Control

/// A node that cannot be received is out of routing four seconds later at the latest, as long as the controller itself was
/// well and as long as no more than a twentieth of those that it knows to be there went at once: then it is right to doubt
/// itself, and to hold its verdicts on anyone who falls silent meanwhile, too. Nodes go with parts of the network, and also
/// one by one, by lines that are full or addresses that are new; what counts is what the controller got to receive.
final class DetectionChecker: Checker {
    let name = "detection"
    static let limit = Interval.seconds(4)
    /// For what was on its way, and for the controller's being a little late.
    static let slack = Interval.milliseconds(1500)
    /// How close together losses count as one event, from either side.
    static let together = Interval.seconds(6)

    /// Fewer do not make a controller doubt itself, however small its fleet.
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
