import Base
import Wire

/// # Whether the primary still works
///
/// A doubt begins with the first probe of the primary that is missed, or with an unknown address from which the peer is
/// received. While it lasts, data travels on a second path too and both are probed often: every 50 ms, on long ways every
/// third of a round trip, which may be long because they are full. After a second without any answer it goes more slowly.
struct PathDoubt: Sendable {
    static let every = Interval.milliseconds(50)
    /// Of paths other than the primary and the one that would take its place.
    private static let restEvery = Interval.milliseconds(250)
    /// Before TCP is tried.
    private static let probesBeforeTCP = 8
    /// So many probes, of all paths together, go out fast, and then more slowly; after the latter only while data is sent.
    private static let fastProbes = 60
    private static let slowProbes = 120

    private(set) var since: Instant?
    private var probes = 0
    /// An unknown address from which the peer was received: it may have moved there.
    private(set) var newAddress: PathAddress?
    private(set) var receivedNewAt: Instant?

    /// False where it has begun already.
    mutating func begin(_ now: Instant) -> Bool {
        guard since == nil else { return false }
        since = now
        probes = 0
        return true
    }

    mutating func end() { self = PathDoubt() }

    /// The peer was received from an address that was not known.
    mutating func receivedNew(_ address: PathAddress, _ now: Instant) {
        newAddress = address
        receivedNewAt = now
    }

    /// The peer is at `path` and no more at `primary`: both were probed since it was received there.
    func hasMoved(to path: Path, from primary: Path) -> Bool {
        guard let receivedNewAt, let newAddress, path.address == newAddress, path.tier <= primary.tier else {
            return false
        }
        return path.answeredProbeAt >= receivedNewAt && primary.missedProbeAt >= receivedNewAt
            && primary.answeredProbeAt < receivedNewAt
    }

    /// Whether an answer to a probe of the primary ends the doubt. What the peer reported before it was received
    /// elsewhere reports nothing of where it is.
    func isEnded(byAnswerToProbeAt time: Instant) -> Bool { receivedNewAt.map { time >= $0 } ?? true }

    /// A probe went out; true where it is time to try TCP.
    mutating func countProbe() -> Bool {
        probes += 1
        return probes == PathDoubt.probesBeforeTCP
    }

    /// Until that path is probed again; `nil` where nothing answers and nothing is sent. `counts`: it is the primary or the
    /// one that would take its place.
    func wait(roundTrip: Interval?, isActive: Bool, counts: Bool) -> Interval? {
        guard isActive || probes < PathDoubt.slowProbes else { return nil }
        let wait: Interval =
            probes < PathDoubt.fastProbes
            // On a line that is full, round trips are long, and probes that came faster than they would only fill it further.
            ? min(max(PathDoubt.every, (roundTrip ?? .zero) / 3), .milliseconds(500))
            : probes < PathDoubt.slowProbes ? .milliseconds(250) : .seconds(1)
        // Of the rest enough to know that they are there.
        return counts ? wait : max(wait, PathDoubt.restEvery)
    }

    /// Since the first probe of the primary that is still unanswered (`missedAt`), or since doubt began where that was
    /// before; `nil` where there is none.
    func length(missedAt: Instant?, _ now: Instant) -> Interval? {
        guard let since else { return nil }
        return now - min(since, missedAt ?? since)
    }
}
