import Base

/// # When direct paths are tried
///
/// A punch sends the schedule of probes (`Path.punchTimes`) to all direct candidates. A punch without effect is repeated
/// while data is sent: after 15 seconds, a minute, and then every five minutes. A punch that is requested too soon after the
/// last one is postponed until its time.
struct HolePunch: Sendable {
    private static let every = Interval.milliseconds(250)
    private static let waits: [Interval] = [.seconds(15), .seconds(60), .seconds(300)]
    /// Half a second of them: a reachable peer usually answers within that time.
    static let briefProbes = 3

    /// When the direct candidates are tried again.
    private(set) var retryAt: Instant?
    /// When a punch is due that was too soon after the one before.
    private(set) var owedAt: Instant?
    /// How often they were tried without effect.
    private(set) var failures = 0
    private var lastAt: Instant?
    /// How many probes a candidate gets.
    private(set) var probeLimit = Path.punchTimes.count

    /// The last one was not expected to help.
    var isBrief: Bool { probeLimit < Path.punchTimes.count }

    /// Requests a punch. False where it is postponed, so that frequent new candidates do not restart the schedule each time.
    mutating func begin(isBrief: Bool, _ now: Instant) -> Bool {
        probeLimit = isBrief ? HolePunch.briefProbes : Path.punchTimes.count
        if let lastAt, now - lastAt < HolePunch.every {
            owedAt = lastAt + HolePunch.every
            return false
        }
        (lastAt, owedAt, retryAt) = (now, nil, nil)
        return true
    }

    func isOwed(_ now: Instant) -> Bool { owedAt.map { $0 <= now } ?? false }

    /// Whether the time to try again has come; true once.
    mutating func takeRetry(_ now: Instant) -> Bool {
        guard let retryAt, retryAt <= now else { return false }
        self.retryAt = nil
        return true
    }

    mutating func planRetry(_ now: Instant) {
        retryAt = now + HolePunch.waits[min(failures, HolePunch.waits.count - 1)]
    }

    /// A path was left: checks soon whether it, or another, is back.
    mutating func planRetrySoon(_ now: Instant) { retryAt = now + HolePunch.waits[0] }

    mutating func failed() { failures += 1 }

    /// A direct path answers.
    mutating func succeeded() { (failures, retryAt) = (0, nil) }
}
