import Foundation

/// The signals that end `asterism dev`. They are blocked, and received only while waiting. So nothing is interrupted, and
/// no handler runs.
struct DevSignals {
    private var set = sigset_t()
    /// The first that came.
    private(set) var received: Int32?

    init() {
        sigemptyset(&set)
        for signal in [SIGINT, SIGTERM, SIGHUP] { sigaddset(&set, signal) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Sleeps, or returns true at once when a signal comes or had come.
    mutating func sleep(_ seconds: Double) -> Bool {
        if received != nil {
            usleep(UInt32(seconds * 1e6))
            return true
        }
        var time = timespec(tv_sec: Int(seconds), tv_nsec: Int((seconds - seconds.rounded(.down)) * 1e9))
        let signal = sigtimedwait(&set, nil, &time)
        if signal > 0 { received = signal }
        return received != nil
    }

    /// Whether another signal came after the first, to end at once.
    mutating func isUrged() -> Bool {
        var time = timespec(tv_sec: 0, tv_nsec: 0)
        return sigtimedwait(&set, nil, &time) > 0
    }
}
