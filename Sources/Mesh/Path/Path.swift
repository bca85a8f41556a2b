import Base
import Wire

/// # One path to a peer, and its probing
///
/// A path knows what its probes have shown: whether it answers, how long an answer takes, and how long it is not used after a
/// failure. It decides nothing about other paths; `PathSet` compares them.
///
/// A direct path that was never open is punched: a schedule of first probes (`punchTimes`) that both ends send at the same
/// time, so that both ends' NATs let the other one in.
struct Path: Sendable {
    struct Probe: Sendable {
        let token: UInt64
        fileprivate(set) var sentAt: Instant
        fileprivate(set) var isMissed = false
        /// This machine was suspended meanwhile: an answer shows that the path works, but not its round trip.
        fileprivate(set) var isUntimed = false
    }

    /// What the answer to a probe shows.
    struct Answer: Sendable {
        /// When the probe was sent.
        let sentAt: Instant
        /// The answer came back over the path on which the probe went out. Otherwise it shows nothing about either path.
        let isSameWay: Bool
    }

    /// Probes lost in a row before another path is used.
    static let missedLimit = 6
    /// So many probes are remembered.
    static let probesKept = 16
    /// The choice of a relay uses the whole round trip over it, from several answers.
    private static let comparisonLimit = 4
    private static let compareEvery = Interval.milliseconds(200)
    /// So many answers in a row must be faster before a path counts as faster than another.
    private static let fasterLimit = 3
    private static let bars = (least: Interval.seconds(30), most: Interval.minutes(10))
    /// When hole-punch probes go to a candidate (milliseconds after the first), then one per second up to twelve seconds.
    static let punchTimes: [Int64] = [
        0, 200, 500, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000, 10_000, 11_000, 12_000,
    ]

    let address: PathAddress
    private(set) var round = RoundTripEstimator()
    /// Sent and not answered, the oldest first.
    private(set) var probes: [Probe] = []
    /// Probes missed in a row.
    private(set) var missed = 0
    private(set) var isAlive = false
    private(set) var answeredAt: Instant?
    private(set) var receivedAt: Instant?
    /// When the newest probe that was answered had been sent.
    private(set) var answeredProbeAt = Instant.origin
    /// And the newest that was not answered in time.
    private(set) var missedProbeAt = Instant.origin
    /// Not to be used until then.
    private(set) var barredUntil = Instant.origin
    private var bar = Interval.zero
    private(set) var nextProbe: Instant?
    /// Position in the schedule of hole-punch probes; `nil` when it is over.
    private var punchStep: Int?
    private var timesFaster = 0
    /// Probes that were sent only to know how fast a relay is.
    private var comparisons = 0

    init(_ address: PathAddress) { self.address = address }

    // MARK: - State

    /// Lower is better: direct, direct over TCP, over a relay, over a relay that is reached by TCP, and the same with a
    /// second relay.
    var tier: Int { address.hops * 2 + (address.isTCP ? 1 : 0) }
    var isTimed: Bool { round.hasSample }
    var isPunching: Bool { punchStep != nil }
    /// So many probes were missed that another path is to be used.
    var isLost: Bool { missed >= Path.missedLimit }

    /// A probe without an answer for longer than this is lost; a path that was never measured has a long limit.
    var patience: Interval {
        guard isTimed else { return .milliseconds(400) }
        return min(max(.milliseconds(150), round.smoothed + round.variation * 4 + .milliseconds(50)), .seconds(2))
    }

    /// When the oldest probe in flight counts as missed.
    var missDeadline: Instant? { probes.first { !$0.isMissed }.map { $0.sentAt + patience } }
    /// When the oldest missed probe that is remembered was sent.
    var firstMissedAt: Instant? { probes.first(where: \.isMissed)?.sentAt }
    var lastProbeAt: Instant? { probes.last?.sentAt }

    /// Nothing was received by this path for so long.
    func isSilent(for time: Interval, _ now: Instant) -> Bool { now - (receivedAt ?? .origin) >= time }

    // MARK: - What happens

    /// An authentic datagram came by this path.
    mutating func noteReceived(_ now: Instant) { receivedAt = now }

    /// A session was made over this path.
    mutating func established(_ now: Instant) {
        receivedAt = now
        isAlive = true
        missed = 0
    }

    /// A longer path with the same first part was open, so this one is.
    mutating func inherited(_ now: Instant) {
        isAlive = true
        receivedAt = receivedAt ?? now
    }

    mutating func measured(_ roundTrip: Interval) { round.sample(roundTrip, delay: .zero) }

    mutating func sent(_ token: UInt64, _ now: Instant) {
        if probes.count >= Path.probesKept { probes.removeFirst() }
        probes.append(Probe(token: token, sentAt: now))
    }

    /// A probe was answered, and the answer arrived from `source`; `nil` where the probe does not belong to this path.
    mutating func answered(_ token: UInt64, from source: PathAddress, _ now: Instant) -> Answer? {
        guard let place = probes.firstIndex(where: { $0.token == token }) else { return nil }
        let probe = probes[place]
        guard address == source else {
            // The forward path is open, and the return path is another.
            probes.remove(at: place)
            return Answer(sentAt: probe.sentAt, isSameWay: false)
        }
        probes.removeSubrange(...place)
        missed = 0
        isAlive = true
        answeredAt = now
        answeredProbeAt = max(answeredProbeAt, probe.sentAt)
        receivedAt = now
        punchStep = nil
        if !probe.isUntimed { round.sample(now - probe.sentAt, delay: .zero) }
        return Answer(sentAt: probe.sentAt, isSameWay: true)
    }

    /// Counts the probes for which an answer is overdue.
    mutating func missProbes(_ now: Instant) {
        let patience = patience
        for place in probes.indices {
            let probe = probes[place]
            guard !probe.isMissed, now - probe.sentAt >= patience else { continue }
            probes[place].isMissed = true
            missedProbeAt = max(missedProbeAt, probe.sentAt)
            missed += 1
        }
    }

    /// Whether it is faster than `other`, and was so several times in a row. A difference smaller than the other one's
    /// variation does not count.
    mutating func isFaster(than other: RoundTripEstimator) -> Bool {
        let least = max(.milliseconds(5), other.variation)
        let isFaster = round.smoothed * 5 < other.smoothed * 4 && other.smoothed - round.smoothed >= least
        timesFaster = isFaster ? timesFaster + 1 : 0
        return timesFaster >= Path.fasterLimit
    }

    /// It has become the primary.
    mutating func selected() { timesFaster = 0 }

    /// It no longer answers; that does not count as a failure.
    mutating func died() { isAlive = false }

    /// It has failed: it is not used for a while, each time for twice as long.
    mutating func failed(_ now: Instant) {
        isAlive = false
        punchStep = nil
        bar = min(max(bar * 2, Path.bars.least), Path.bars.most)
        barredUntil = now + bar
    }

    /// Failures so far do not count any more.
    mutating func forgive() { (bar, barredUntil) = (.zero, .origin) }

    /// This machine was suspended for so long: probes without an answer were perhaps not received.
    mutating func slept(_ length: Interval) {
        for place in probes.indices where !probes[place].isMissed {
            probes[place].sentAt = probes[place].sentAt + length
            probes[place].isUntimed = true
        }
    }

    /// Only the newest probe is kept, for people.
    mutating func rest() { probes = Array(probes.suffix(1)) }

    // MARK: - When it is probed next

    mutating func probe(at time: Instant) { nextProbe = time }
    /// Plans a probe, unless an earlier one is planned.
    mutating func probe(by time: Instant) { if (nextProbe ?? .distantFuture) > time { nextProbe = time } }
    mutating func probeUnlessPlanned(at time: Instant) { nextProbe = nextProbe ?? time }
    mutating func planNoProbe() { nextProbe = nil }

    /// Begins the schedule of hole-punch probes, where that is useful.
    mutating func punch(_ now: Instant) {
        guard address.isDirect else { return }
        punchStep = 0
        nextProbe = now
    }

    /// A probe was sent: plans the next of `limit` hole-punch probes. False where no schedule is running.
    mutating func planPunchProbe(limit: Int, _ now: Instant) -> Bool {
        guard let punchStep else { return false }
        if punchStep + 1 < limit {
            nextProbe = now + .milliseconds(Path.punchTimes[punchStep + 1] - Path.punchTimes[punchStep])
            self.punchStep = punchStep + 1
        } else {
            self.punchStep = nil
        }
        return true
    }

    /// Plans one more probe to learn how fast this relay is; false where enough were sent.
    mutating func planComparison(_ now: Instant) -> Bool {
        guard comparisons < Path.comparisonLimit else { return false }
        comparisons += 1
        nextProbe = now + Path.compareEvery
        return true
    }
}
