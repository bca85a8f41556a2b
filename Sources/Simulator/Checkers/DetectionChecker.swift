import Base
import Control

/// A node that cannot be heard is out of routing four seconds later at the latest, as long as the controller itself was
/// well and as long as no more than a twentieth of the fleet went at once, in which case it is right to doubt itself.
final class DetectionChecker: Checker {
    let name = "detection"
    static let limit = Interval.seconds(4)
    /// For what was on its way, and for the controller's being a little late.
    static let slack = Interval.milliseconds(1500)
    /// How close together losses count as one event, from either side.
    static let together = Interval.seconds(6)

    /// By machine; the controller's own is at 0.
    private var silentSince: [Instant?]
    private var lossTimes: [Instant] = []
    private var controllerWellSince = Instant.origin
    private let nodes: Int

    init(nodes: Int) {
        self.nodes = nodes
        silentSince = Array(repeating: nil, count: nodes + 1)
    }

    func observe(_ fact: Fact, now: Instant) -> [String] {
        switch fact {
        case .silenced(let machine):
            guard machine < silentSince.count, silentSince[machine] == nil else { return [] }
            silentSince[machine] = now
            lossTimes.append(now)
        case .heardAgain(let machine):
            guard machine < silentSince.count else { return [] }
            silentSince[machine] = nil
            if machine == 0 { controllerWellSince = now }
        case .surveyed(let survey): return overdue(survey, now)
        case .processStarted, .processEnded, .launchFailed, .filesRemoved, .asked, .replied, .spun, .held: break
        }
        return []
    }

    private func overdue(_ survey: Survey, _ now: Instant) -> [String] {
        guard let nodes = survey.nodes, silentSince[0] == nil else { return [] }
        let patience = DetectionChecker.limit + DetectionChecker.slack
        var found: [String] = []
        for machine in survey.machines where machine.isWelcome {
            guard machine.index < silentSince.count, let since = silentSince[machine.index] else { continue }
            let lastWord = max(since, machine.lastHeard)
            guard now - max(lastWord, controllerWellSince) > patience, !isMassLoss(around: since) else { continue }
            guard let view = nodes.first(where: { $0.id == machine.node }) else { continue }
            switch view.state {
            case .online, .suspect:
                found.append("node-\(machine.index) was last heard \(now - since) ago, and is said to be \(view.state)")
            case .offline, .left, .unknown: break
            }
        }
        return found
    }

    private func isMassLoss(around time: Instant) -> Bool {
        let lost = lossTimes.count { abs(($0 - time).nanoseconds) <= DetectionChecker.together.nanoseconds }
        return lost * 20 > nodes
    }

    func unsettled(_ survey: Survey, now: Instant) -> [String] { [] }
}
