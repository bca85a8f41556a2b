package import Base
import Glibc

/// The only clock of a program, beside the loop's own monotonic one.
package enum Clock {
    /// Wall time, as the system has it now.
    package static func wall() -> UnixTime {
        var time = timespec()
        // CLOCK_REALTIME exists on every Linux.
        clock_gettime(CLOCK_REALTIME, &time)
        return UnixTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}
