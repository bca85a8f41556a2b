package import Base
package import Wire

// What people and the layer above learn of a peer's paths.

extension PathSet {
    /// Why data changed its path.
    package enum Cause: String, Hashable, Sendable, CaseIterable {
        /// There was none before.
        case first
        /// A class better, such as direct in place of relayed.
        case better
        case faster
        /// Datagrams of the peer come from there, and no longer from the old address.
        case moved
        /// Probes of the old one went unanswered.
        case silent
        /// The relay is gone, or reached by another path, or the node's own address is gone.
        case withdrawn
        /// A person requested it so (`asterism debug`).
        case debug
    }

    package struct Transition: Hashable, Sendable {
        package let at: Instant
        package let from: PathAddress?
        package let to: PathAddress
        package let cause: Cause
        /// How long the old path had been in doubt, where it was left because of silence or because the peer had moved.
        package let elapsed: Interval?
    }

    /// What is known of one path, for people.
    package struct Facts: Hashable, Sendable {
        package let address: PathAddress
        package let isPrimary: Bool
        /// It answers. The path in use may not, if no other one does.
        package let isAlive: Bool
        package let roundTrip: Interval?
        /// Times since the newest answer to a probe, and since the newest authentic datagram, on this path.
        package let sinceAnswered: Interval?
        package let sinceReceived: Interval?
        /// Probes unanswered in a row.
        package let missed: Int
        /// How long it is not to be used after a failure.
        package let barredFor: Interval?
        /// Hole-punch probes are under way.
        package let isPunching: Bool
        /// Time since the newest probe was sent, and its state; `nil` where there was none.
        package let sinceProbed: Interval?
        package let probe: ProbeOutcome?

        init(_ path: Path, isPrimary: Bool, now: Instant) {
            let probe = path.newestProbe
            address = path.address
            self.isPrimary = isPrimary
            isAlive = path.isAlive && !path.isLost
            roundTrip = path.isTimed ? path.round.smoothed : nil
            sinceAnswered = path.answeredAt.map { now - $0 }
            sinceReceived = path.receivedAt.map { now - $0 }
            missed = path.missed
            barredFor = path.barredUntil > now ? path.barredUntil - now : nil
            isPunching = path.isPunching
            sinceProbed = probe.map { now - $0.sentAt }
            self.probe = probe?.outcome
        }
    }

    package enum ProbeOutcome: String, Hashable, Sendable, CaseIterable {
        case answered, waiting, unanswered
    }

    package func facts(now: Instant) -> [Facts] {
        paths.indices.map { Facts(paths[$0], isPrimary: $0 == paths.primaryIndex, now: now) }
    }
}

extension Path {
    fileprivate var newestProbe: (sentAt: Instant, outcome: PathSet.ProbeOutcome)? {
        if let open = probes.last, open.sentAt >= answeredProbeAt {
            return (open.sentAt, open.isMissed ? .unanswered : .waiting)
        }
        return answeredProbeAt > .origin ? (answeredProbeAt, .answered) : nil
    }
}
