package import Base
import DequeModule

/// # The queue of a slow connection
///
/// A queue that is always full only adds its length to every round trip. CoDel (RFC 8289) measures how long datagrams have
/// waited, not how many there are. When none has left within `target` for a whole `interval`, it drops one, and then one more
/// after shorter and shorter times (an interval divided by the root of their number), until the queue is short again. A burst
/// passes without loss. Senders react to the loss and slow down.
///
/// A queue of `limit` datagrams accepts no more, and `push` returns false.
package struct CoDelQueue: Sendable {
    /// RFC 8289, section 4.2 and 4.3.
    package static let target = Interval.milliseconds(5)
    package static let interval = Interval.milliseconds(100)

    private var entries = Deque<(bytes: [UInt8], at: Instant)>()
    private let limit: Int
    /// When the wait will have been too long for an interval; `nil` while it is not too long.
    private var tooLongAt: Instant?
    private var isDropping = false
    private var nextDrop = Instant.origin
    /// Dropped since this state of dropping began, and in the last one.
    private var count = 0
    private var lastCount = 0
    package private(set) var dropped = 0
    package private(set) var refused = 0

    package init(limit: Int = 256) { self.limit = limit }

    package var isEmpty: Bool { entries.isEmpty }
    package var depth: Int { entries.count }

    /// False where the queue is full.
    @discardableResult
    package mutating func push(_ bytes: [UInt8], now: Instant) -> Bool {
        guard entries.count < limit else {
            refused += 1
            return false
        }
        entries.append((bytes, now))
        return true
    }

    /// The next datagram to be sent (RFC 8289, section 5.5).
    package mutating func pop(now: Instant) -> [UInt8]? {
        guard var (bytes, mayDrop) = take(now) else {
            isDropping = false
            return nil
        }
        if isDropping {
            if !mayDrop { isDropping = false }
            while isDropping, now >= nextDrop {
                drop()
                guard let next = take(now) else {
                    isDropping = false
                    return nil
                }
                (bytes, mayDrop) = next
                if mayDrop { nextDrop = spaced(from: nextDrop) } else { isDropping = false }
            }
        } else if mayDrop {
            let last = nextDrop
            count = 0
            drop()
            isDropping = true
            // A dropping state that ended a moment ago continues where it was.
            let before = lastCount
            count = now - last < CoDelQueue.interval * 16 && before > 2 ? before - 2 : 1
            lastCount = count
            nextDrop = spaced(from: now)
            guard let next = take(now) else {
                isDropping = false
                return nil
            }
            bytes = next.bytes
        }
        lastCount = max(lastCount, isDropping ? count : lastCount)
        return bytes
    }

    private mutating func drop() {
        dropped += 1
        count += 1
    }

    /// The first datagram, and whether all have waited too long for a whole interval.
    private mutating func take(_ now: Instant) -> (bytes: [UInt8], mayDrop: Bool)? {
        guard let first = entries.popFirst() else {
            tooLongAt = nil
            return nil
        }
        // A single datagram is not a queue.
        guard now - first.at >= CoDelQueue.target, !entries.isEmpty else {
            tooLongAt = nil
            return (first.bytes, false)
        }
        guard let at = tooLongAt else {
            tooLongAt = now + CoDelQueue.interval
            return (first.bytes, false)
        }
        return (first.bytes, now >= at)
    }

    /// The control law: the interval over the square root of the count.
    private func spaced(from time: Instant) -> Instant {
        let nanoseconds = Double(CoDelQueue.interval.nanoseconds) / Double(max(1, count)).squareRoot()
        return time + .nanoseconds(Int64(nanoseconds))
    }
}
