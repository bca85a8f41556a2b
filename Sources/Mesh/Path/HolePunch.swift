import Base

/// # When direct paths are tried
///
/// A punch sends the schedule of probes (`Path.punchTimes`) to all direct candidates. A punch without effect is repeated
/// while data is sent: after 15 seconds, a minute, and then every five minutes. One that comes too soon after the last is
/// owed, and made when its time has come.
struct HolePunch: Sendable {
    private static let every = Interval.milliseconds(250)
    private static let waits: [Interval] = [.seconds(15), .seconds(60), .seconds(300)]
    /// Half a second of them: who can be reached at all mostly answers within it.
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

    /// A punch is desired. False where it is owed: anyone who is informed new candidates all the time does not begin
    /// again each time.
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

    /// Whether the time to try again has come; informs it once.
    mutating func takeRetry(_ now: Instant) -> Bool {
        guard let retryAt, retryAt <= now else { return false }
        self.retryAt = nil
        return true
    }

    mutating func planRetry(_ now: Instant) {
        retryAt = now + HolePunch.waits[min(failures, HolePunch.waits.count - 1)]
    }

    /// A path was left: see soon whether it, or another, is back.
    mutating func planRetrySoon(_ now: Instant) { retryAt = now + HolePunch.waits[0] }

    mutating func failed() { failures += 1 }

    /// A direct path answers.
    mutating func succeeded() { (failures, retryAt) = (0, nil) }
}
