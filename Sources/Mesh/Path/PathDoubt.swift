import Base
import Wire

/// # Whether the primary still works
///
/// A doubt begins with the first probe of the primary that is missed, or with an unknown address from which the peer is
/// received. During a doubt, data is also sent on a second path, and both are probed often: every 50 ms, or every third of a
/// round trip on slow paths, which may be slow because they are full. After a second without any answer the rate is lower.
struct PathDoubt: Sendable {
    static let every = Interval.milliseconds(50)
    /// The interval for paths other than the primary and the one that would replace it.
    private static let restEvery = Interval.milliseconds(250)
    /// Probes before TCP is tried.
    private static let probesBeforeTCP = 8
    /// So many probes, of all paths together, are sent at the fast rate, and then more at a slow rate; after these, only
    /// while data is sent.
    private static let fastProbes = 60
    private static let slowProbes = 120

    private(set) var since: Instant?
    private var probes = 0
    /// An unknown address from which datagrams of the peer came: it may have moved there.
    private(set) var newAddress: PathAddress?
    private(set) var receivedNewAt: Instant?

    /// False where it has already begun.
    mutating func begin(_ now: Instant) -> Bool {
        guard since == nil else { return false }
        since = now
        probes = 0
        return true
    }

    mutating func end() { self = PathDoubt() }

    /// A datagram of the peer came from an unknown address.
    mutating func receivedNew(_ address: PathAddress, _ now: Instant) {
        newAddress = address
        receivedNewAt = now
    }

    /// The peer is at `path` and no longer at `primary`: both were probed since a datagram came from there.
    func hasMoved(to path: Path, from primary: Path) -> Bool {
        guard let receivedNewAt, let newAddress, path.address == newAddress, path.tier <= primary.tier else {
            return false
        }
        return path.answeredProbeAt >= receivedNewAt && primary.missedProbeAt >= receivedNewAt
            && primary.answeredProbeAt < receivedNewAt
    }

    /// Whether an answer to a probe of the primary ends the doubt. An answer from before the datagram from the new address
    /// does not show where the peer is now.
    func isEnded(byAnswerToProbeAt time: Instant) -> Bool { receivedNewAt.map { time >= $0 } ?? true }

    /// A probe was sent; true where it is time to try TCP.
    mutating func countProbe() -> Bool {
        probes += 1
        return probes == PathDoubt.probesBeforeTCP
    }

    /// Until that path is probed again; `nil` where nothing answers and nothing is sent. `counts`: it is the primary or the
    /// one that would replace it.
    func wait(roundTrip: Interval?, isActive: Bool, counts: Bool) -> Interval? {
        guard isActive || probes < PathDoubt.slowProbes else { return nil }
        let wait: Interval =
            probes < PathDoubt.fastProbes
            // On a full link, round trips are long, and probes at a faster rate would only fill it further.
            ? min(max(PathDoubt.every, (roundTrip ?? .zero) / 3), .milliseconds(500))
            : probes < PathDoubt.slowProbes ? .milliseconds(250) : .seconds(1)
        // The other paths only need to be known to work.
        return counts ? wait : max(wait, PathDoubt.restEvery)
    }

    /// Since the first probe of the primary that is still unanswered (`missedAt`), or since doubt began where that was
    /// before; `nil` where there is none.
    func length(missedAt: Instant?, _ now: Instant) -> Interval? {
        guard let since else { return nil }
        return now - min(since, missedAt ?? since)
    }
}
