package import Base
package import Wire

// One path of a set, and what people are told of it.

extension PathSet {
    struct Probe {
        var token: UInt64
        var sentAt: Instant
        var isMissed = false
        /// This machine slept meanwhile: an answer says that the path lives, and nothing of its round trip.
        var isUntimed = false
    }

    struct Path {
        let address: PathAddress
        var round = RoundTripEstimator()
        var probes: [Probe] = []
        /// In a row.
        var missed = 0
        var isAlive = false
        var answeredAt: Instant?
        var heardAt: Instant?
        /// When the newest probe that was answered had been sent.
        var answeredProbeAt = Instant.origin
        /// And the newest that was not answered in time.
        var missedProbeAt = Instant.origin
        /// Not to be taken until then.
        var barredUntil = Instant.origin
        var bar = Interval.zero
        var nextProbe: Instant?
        /// Position in the schedule of first shots; `nil` when it is over.
        var shot: Int?
        var timesFaster = 0
        /// Probes that were sent only to know how fast a relay is.
        var comparisons = 0

        init(_ address: PathAddress) { self.address = address }

        /// The lower, the better: straight, straight over TCP, over a relay, over a relay that is reached over TCP, and the
        /// same with a second relay.
        var tier: Int { address.hops * 2 + (address.isTCP ? 1 : 0) }

        /// A probe that is not answered for longer is lost; of a path that was never measured not much is expected.
        var patience: Interval {
            guard isTimed else { return .milliseconds(400) }
            return min(max(.milliseconds(150), round.smoothed + round.variation * 4 + .milliseconds(50)), .seconds(2))
        }
        var isTimed: Bool { round.hasSample }
    }

    /// What is known of one path, for people.
    package struct Facts: Hashable, Sendable {
        package var address: PathAddress
        package var isPrimary: Bool
        /// It answers. The one in use may not, where no other one does.
        package var isAlive: Bool
        package var roundTrip: Interval?
        /// Since when the newest answer to a probe, and the newest authentic datagram, came that way.
        package var sinceAnswered: Interval?
        package var sinceHeard: Interval?
        /// Probes unanswered in a row.
        package var missed: Int
        /// How long it is not to be taken, having failed.
        package var barredFor: Interval?
        /// First shots are under way.
        package var isPunching: Bool
        /// Since when the newest probe is on its way, or was, and what has become of it; `nil` where there was none.
        package var sinceProbed: Interval?
        package var probe: ProbeOutcome?
    }

    package enum ProbeOutcome: String, Hashable, Sendable, CaseIterable {
        case answered, waiting, unanswered
    }

    private func newestProbe(_ path: Path) -> (sentAt: Instant, outcome: ProbeOutcome)? {
        if let open = path.probes.last, open.sentAt >= path.answeredProbeAt {
            return (open.sentAt, open.isMissed ? .unanswered : .waiting)
        }
        return path.answeredProbeAt > .origin ? (path.answeredProbeAt, .answered) : nil
    }

    /// This machine stood still for so long: what was not answered meanwhile was perhaps not heard.
    package mutating func slept(_ length: Interval) {
        for index in paths.indices {
            for place in paths[index].probes.indices where !paths[index].probes[place].isMissed {
                paths[index].probes[place].sentAt = paths[index].probes[place].sentAt + length
                paths[index].probes[place].isUntimed = true
            }
        }
    }

    package func facts(now: Instant) -> [Facts] {
        paths.indices.map { index in
            let path = paths[index], probe = newestProbe(paths[index])
            return Facts(
                address: path.address, isPrimary: index == primaryIndex, isAlive: path.isAlive && !isLost(index),
                roundTrip: path.isTimed ? path.round.smoothed : nil, sinceAnswered: path.answeredAt.map { now - $0 },
                sinceHeard: path.heardAt.map { now - $0 }, missed: path.missed,
                barredFor: path.barredUntil > now ? path.barredUntil - now : nil, isPunching: path.shot != nil,
                sinceProbed: probe.map { now - $0.sentAt }, probe: probe?.outcome)
        }
    }
}
