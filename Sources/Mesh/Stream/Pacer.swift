import Base

/// Spreads packets over the round trip (RFC 9002, section 7.7): a bucket of bytes that fills with 5/4 of a window a
/// round trip, twice the window while the window itself doubles. It holds ten packets or the bytes of two milliseconds,
/// whichever is more. A sender that finds it empty waits for the bytes of half a millisecond, so that timers stay coarse and
/// trains long.
struct Pacer: Sendable {
    private var tokens: Int
    private var filledAt: Instant
    private var rate = Rate(bytes: 0, per: .milliseconds(1))

    /// `bytes` in every `per`.
    private struct Rate: Hashable {
        let bytes: Int
        let per: Interval

        /// At most 2^27 bytes of window and ten seconds, so the product stays below 2^63.
        func bytes(in time: Interval) -> Int { bytes * Int(min(time, .seconds(10)).nanoseconds) / Int(per.nanoseconds) }
        func time(for count: Int) -> Interval {
            Interval(nanoseconds: Int64(count) * per.nanoseconds / Int64(max(1, bytes)) + 1)
        }
    }

    init(datagram: Int, now: Instant) {
        tokens = 10 * datagram
        filledAt = now
    }

    mutating func fill(window: Int, isDoubling: Bool, datagram: Int, roundTrip: Interval, now: Instant) {
        rate = Rate(
            bytes: isDoubling ? window * 2 : window / 4 * 5,
            per: min(max(roundTrip, .microseconds(10)), .seconds(10)))
        let more = rate.bytes(in: now - filledAt)
        // A time that is too short adds nothing, and then counts for the next call.
        guard more > 0 else { return }
        filledAt = now
        tokens = min(tokens + more, max(10 * datagram, rate.bytes(in: .milliseconds(2))))
    }

    mutating func spend(_ bytes: Int) { tokens -= bytes }

    func isOpen(datagram: Int) -> Bool { tokens >= datagram }

    /// When the bucket has enough bytes to send again.
    func opens(datagram: Int) -> Instant {
        let needed = max(datagram, rate.bytes(in: .microseconds(500)))
        return filledAt + rate.time(for: max(0, needed - tokens))
    }
}
