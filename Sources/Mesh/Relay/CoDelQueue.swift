package import Base
import DequeModule

/// # What waits for a slow connection
///
/// A queue that is always full only adds its length to every round trip. CoDel (RFC 8289) looks at how long datagrams have
/// waited, not at how many there are: when none has left within `target` for a whole `interval`, it drops one, and then one
/// more after ever shorter times (an interval divided by the root of how many), until the queue is short again. A burst
/// passes unharmed. Senders take the loss for what it is, and slow down.
///
/// A queue of `limit` datagrams takes no more, and reports it.
package struct CoDelQueue: Sendable {
    /// RFC 8289, section 4.2 and 4.3.
    package static let target = Interval.milliseconds(5)
    package static let interval = Interval.milliseconds(100)

    private var entries = Deque<(bytes: [UInt8], at: Instant)>()
    private let limit: Int
    /// When the waiting has been too long for an interval; `nil` while it is not too long.
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
            // A state that ended a moment ago goes on where it was.
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

    /// The first, and whether everything has waited too long for too long.
    private mutating func take(_ now: Instant) -> (bytes: [UInt8], mayDrop: Bool)? {
        guard let first = entries.popFirst() else {
            tooLongAt = nil
            return nil
        }
        // One datagram alone is no queue.
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
