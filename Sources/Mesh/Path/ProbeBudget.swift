import Base

/// What a node may spend on probes, over all peers: whoever talks to ten thousand at once must not flood its own line, nor
/// the table of the translator that it is behind (EasyTier#1504, tailscale#5389).
struct ProbeBudget {
    private let perSecond: Int64
    private var level: Int64
    private var filledAt: Instant
    private static let unit: Int64 = 1_000_000

    init(perSecond: Int64, now: Instant) {
        self.perSecond = perSecond
        level = perSecond * ProbeBudget.unit
        filledAt = now
    }

    /// How many may go out now.
    mutating func available(_ now: Instant) -> Int {
        let elapsed = min(max(0, (now - filledAt).nanoseconds / 1000), 1_000_000)
        if elapsed > 0 {
            level = min(perSecond * ProbeBudget.unit, level + elapsed * perSecond)
            filledAt = now
        }
        return Int(level / ProbeBudget.unit)
    }

    mutating func take(_ count: Int) { level -= Int64(count) * ProbeBudget.unit }
}
