/// # Time as a value
///
/// Nothing in the pure targets can ask for the time. A driver (the daemon's pump, the simulator) reads its clock once a
/// batch and hands the result in as an `Instant`. Code that needs to be woken returns a `Deadline`. It carries the
/// reason, so that the cause of a spinning loop can be found.

/// A point on the monotonic clock: nanoseconds since an origin that only the driver knows.
package struct Instant: Hashable, Comparable, Sendable {
    package var nanoseconds: UInt64

    @inlinable
    package init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    package static let origin = Instant(nanoseconds: 0)
    package static let distantFuture = Instant(nanoseconds: .max)

    @inlinable
    package static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
    /// Saturates at the origin and at the distant future, so that arithmetic on limits never traps.
    @inlinable
    package static func + (a: Instant, b: Interval) -> Instant {
        if b.nanoseconds >= 0 {
            let (sum, overflow) = a.nanoseconds.addingReportingOverflow(UInt64(b.nanoseconds))
            return overflow ? .distantFuture : Instant(nanoseconds: sum)
        }
        let magnitude = b.nanoseconds.magnitude
        return a.nanoseconds < magnitude ? .origin : Instant(nanoseconds: a.nanoseconds - magnitude)
    }
    @inlinable
    package static func - (a: Instant, b: Interval) -> Instant { a + Interval(nanoseconds: -b.nanoseconds) }
    /// Saturates at the ends of `Interval`.
    @inlinable
    package static func - (a: Instant, b: Instant) -> Interval {
        if a >= b { return Interval(nanoseconds: Int64(clamping: a.nanoseconds - b.nanoseconds)) }
        return Interval(nanoseconds: -Int64(clamping: b.nanoseconds - a.nanoseconds))
    }
}

extension Instant: CustomStringConvertible {
    package var description: String { Interval(nanoseconds: Int64(clamping: nanoseconds)).description }
}
