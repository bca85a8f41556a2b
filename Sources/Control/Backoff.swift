package import Base

/// Delays that double from `first` to `longest`, each changed by up to 25 % either way, so that nodes that failed
/// together do not retry together.
package struct Backoff: Sendable {
    package static let jitterPercent: Int64 = 25

    private let first: Interval
    private let longest: Interval
    private(set) var failures: Int64 = 0

    package init(first: Interval, longest: Interval) {
        self.first = first
        self.longest = longest
    }

    package mutating func next(_ random: inout Random) -> Interval {
        defer { failures += 1 }
        return random.jittered(Backoff.delay(first: first, longest: longest, failures: failures), percent: 25)
    }

    package mutating func reset() { failures = 0 }

    /// `first` doubled `failures` times, at most `longest`.
    package static func delay(first: Interval, longest: Interval, failures: Int64) -> Interval {
        var delay = first
        var count: Int64 = 0
        while count < failures, delay < longest {
            // Half of the longest first, so that doubling cannot overflow.
            delay = delay.nanoseconds > longest.nanoseconds / 2 ? longest : delay * 2
            // Zero stays zero when doubled.
            if delay == .zero { break }
            count += 1
        }
        return delay < longest ? delay : longest
    }
}
