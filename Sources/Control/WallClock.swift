package import Base

/// Wall-clock time for a brain that has no clock: the driver reports once in a while what time it is, and the monotonic
/// instants in between are added to that. A step of the wall clock is followed from the next reporting on.
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
