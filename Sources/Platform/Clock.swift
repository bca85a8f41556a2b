package import Base
import Glibc

/// The machine's clocks. No other file of this package reads a clock, except that a loop reads its own (`Loop.now`, which is
/// the monotonic clock too). Code that makes decisions gets the time as an argument.
package enum Clock {
    /// The wall clock: CLOCK_REALTIME. It steps when it is set.
    package static func wall() -> UnixTime { UnixTime(milliseconds: Int64(wallNanoseconds() / 1_000_000)) }

    /// The wall clock in nanoseconds since 1970-01-01 UTC.
    package static func wallNanoseconds() -> UInt64 { nanoseconds(of: CLOCK_REALTIME) }

    /// A clock that never steps: CLOCK_MONOTONIC, the same as `Loop.now`.
    package static func monotonic() -> Instant { Instant(nanoseconds: nanoseconds(of: CLOCK_MONOTONIC)) }

    private static func nanoseconds(of clock: clockid_t) -> UInt64 {
        var time = timespec()
        // Both clocks exist on every Linux, so the call cannot fail.
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
