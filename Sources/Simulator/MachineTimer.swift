import Base

/// The one timer of a program, and how often it fires at one instant.
struct MachineTimer {
    private(set) var scheduled: Instant?
    private var firedAt = Instant.origin
    private var timesFired = 0

    mutating func schedule(_ time: Instant) { scheduled = time }
    mutating func cancel() { scheduled = nil }

    /// The timer fires; returns how often it has within a millisecond.
    mutating func fire(_ now: Instant) -> Int {
        if now - firedAt > .milliseconds(1) {
            firedAt = now
            timesFired = 0
        }
        timesFired += 1
        return timesFired
    }
}
