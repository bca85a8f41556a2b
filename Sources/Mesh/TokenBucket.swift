import Base

/// A rate limit per second, of which `burst` may come at once.
struct TokenBucket: Sendable {
    private let perSecond: Int64
    private let burst: Int64
    /// In millionths.
    private var level: Int64
    private var filledAt: Instant
    private static let unit: Int64 = 1_000_000

    init(perSecond: Int64, burst: Int64, now: Instant) {
        self.perSecond = perSecond
        self.burst = burst
        level = burst * TokenBucket.unit
        filledAt = now
    }

    /// How many there are.
    mutating func available(_ now: Instant) -> Int64 {
        // A bucket that was unused for long is full; this time fills it completely.
        let longest = (burst * TokenBucket.unit / max(1, perSecond)) + 1
        let elapsed = (now - filledAt).nanoseconds / 1000
        if elapsed > longest {
            level = burst * TokenBucket.unit
            filledAt = now
        } else if elapsed > 0 {
            level = min(burst * TokenBucket.unit, level + elapsed * perSecond)
            filledAt = filledAt + .microseconds(elapsed)
        }
        return level / TokenBucket.unit
    }

    mutating func isFull(_ now: Instant) -> Bool { available(now) == burst }

    /// Takes `count` tokens; false, and takes none, if there are fewer.
    mutating func take(_ count: Int64 = 1, now: Instant) -> Bool {
        guard available(now) >= count else { return false }
        level -= count * TokenBucket.unit
        return true
    }
}
