import Base
import Wire

/// The clocks of one machine: the monotonic one, which counts from its start, and the wall clock.
struct MachineClock {
    /// 2027-01-15 at the beginning of the run.
    private static let epoch = UnixTime(seconds: 1_800_000_000)

    private var bootedAt: Instant
    /// The error of the wall clock.
    private var error = Interval.zero

    init(bootedAt: Instant) { self.bootedAt = bootedAt }

    func local(_ now: Instant) -> Instant { Instant.origin + (now - bootedAt) }
    func global(_ local: Instant) -> Instant { bootedAt + (local - .origin) }
    func wall(_ now: Instant) -> UnixTime { MachineClock.epoch + (now - .origin) + error }

    /// The machine starts again: its monotonic clock begins again.
    mutating func restart(at time: Instant) { bootedAt = time }
    mutating func setError(_ error: Interval) { self.error = error }
}
