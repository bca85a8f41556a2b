package import Base

/// Wall-clock time for a core without a clock. The driver sets the time now and then, and the monotonic time since then
/// is added. A step of the wall clock takes effect when the driver sets the time again.
package struct WallClock: Hashable, Sendable {
    private var reference: UnixTime
    private var instant: Instant

    package init(_ reference: UnixTime, at instant: Instant) {
        self.reference = reference
        self.instant = instant
    }

    package mutating func set(_ reference: UnixTime, now: Instant) {
        self.reference = reference
        instant = now
    }

    package func wall(_ now: Instant) -> UnixTime { reference + (now - instant) }
}
