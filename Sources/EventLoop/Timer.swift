package import Base
import CLibuv

/// Calls back at a time, once or again and again.
///
/// libuv counts whole milliseconds of a clock that is rounded down. A time is rounded up here, so a timer fires up to a
/// millisecond late, never early: when it fires, `loop.now` has reached the time it was armed for.
package final class Timer: Source {
    private var onFire: (() -> Void)?
    /// The time of the next call; nil when not armed.
    package private(set) var deadline: Instant?
    private var period: Interval?

    package init(on loop: Loop, _ description: String, onFire: @escaping () -> Void) {
        self.onFire = onFire
        // uv_timer_init cannot fail: it fills in memory.
        try! super.init(on: loop, description, as: uv_timer_t.self) { uv_timer_init($0, $1) }
    }

    /// Fires once at `time`, or as soon as possible if that is past. Replaces an earlier `arm`.
    package func arm(at time: Instant) {
        period = nil
        start(time)
    }

    package func arm(after delay: Interval) { arm(at: loop.now + delay) }

    /// Fires at `first`, then at multiples of `interval` after it. Times that pass while the loop is busy are skipped,
    /// so the rhythm stays and calls do not pile up. `interval` is at least a millisecond.
    package func arm(at first: Instant, every interval: Interval) {
        precondition(interval >= .milliseconds(1), "a timer every \(interval)")
        period = interval
        start(first)
    }

    package func arm(every interval: Interval) { arm(at: loop.now + interval, every: interval) }

    package func cancel() {
        loop.preconditionOnLoop()
        period = nil
        deadline = nil
        if let timer = raw(uv_timer_t.self) { uv_timer_stop(timer) }
    }

    override func didClose() {
        onFire = nil
        deadline = nil
    }

    private func start(_ time: Instant) {
        loop.preconditionOnLoop()
        guard let timer = raw(uv_timer_t.self) else { return }
        deadline = time
        // Long work since the loop last read its clock would otherwise lengthen its next wait.
        if !loop.isFiringTimers { uv_update_time(loop.raw) }
        let (whole, rest) = time.nanoseconds.quotientAndRemainder(dividingBy: 1_000_000)
        let target = whole + (rest > 0 ? 1 : 0), now = uv_now(loop.raw)
        let delay = target > now ? target - now : loop.isFiringTimers ? 1 : 0
        let status = uv_timer_start(timer, { Timer.of($0)?.fired() }, delay, 0)
        precondition(status == 0, "uv_timer_start: \(Errno(uv: status))")
    }

    private func fired() {
        guard let due = deadline, let onFire else { return }
        deadline = nil
        loop.isFiringTimers = true
        defer { loop.isFiringTimers = false }
        if let period {
            let missed = max(0, (loop.now - due).nanoseconds / period.nanoseconds)
            start(due + period * (missed + 1))
        }
        onFire()
    }
}
