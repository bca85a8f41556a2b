import Base
import Mesh
import Testing

@Suite struct CoDelQueueTests {
    /// A line that takes one datagram each `every`, and a sender that gives one each `offered`. How long the last hundred
    /// have waited at most, and how many were dropped.
    private static func run(every: Interval, offered: Interval, for length: Interval) -> (Interval, Int, Int) {
        var queue = CoDelQueue()
        var now = Instant.origin, nextIn = now, nextOut = now
        var waits: [Interval] = [], sentAt: [UInt32: Instant] = [:], number: UInt32 = 0, passed = 0
        while now < Instant.origin + length {
            now = min(nextIn, nextOut)
            if nextIn <= now {
                number += 1
                sentAt[number] = now
                queue.push(withUnsafeBytes(of: number) { [UInt8]($0) }, now: now)
                nextIn = nextIn + offered
            }
            if nextOut <= now {
                if let bytes = queue.pop(now: now) {
                    passed += 1
                    waits.append(now - sentAt[bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }]!)
                }
                nextOut = nextOut + every
            }
        }
        return (waits.suffix(100).max()!, queue.dropped + queue.refused, passed)
    }

    @Test func `a line that is fast enough loses nothing`() {
        let (wait, dropped, passed) = Self.run(
            every: .milliseconds(1), offered: .milliseconds(2), for: .seconds(5))
        #expect(dropped == 0 && wait <= .milliseconds(1) && passed >= 2499)
    }

    @Test func `a burst passes without loss`() {
        var queue = CoDelQueue()
        var now = Instant.origin
        for number in 0..<60 { queue.push([UInt8(number)], now: now) }
        var all: [UInt8] = []
        while let bytes = queue.pop(now: now) {
            all += bytes
            now = now + .milliseconds(1)
        }
        #expect(all == Array(0..<60) && queue.dropped == 0)
    }

    /// Twice too much, unresponsive: without dropping early, the queue would always be full, and a quarter of a second long.
    @Test func `a line that is too slow drops early, and keeps the wait short`() {
        let (wait, dropped, passed) = Self.run(
            every: .milliseconds(1), offered: .microseconds(900), for: .seconds(30))
        #expect(dropped > 1000 && passed > 29_000)
        #expect(wait < .milliseconds(60), "\(wait)")
    }

    @Test func `a full queue accepts no more, and refuses`() {
        var queue = CoDelQueue(limit: 3)
        let taken = (0..<5).map { queue.push([$0], now: .origin) }
        #expect(taken == [true, true, true, false, false] && queue.refused == 2 && queue.depth == 3)
        #expect(queue.pop(now: .origin) == [0] && queue.push([9], now: .origin))
    }

    @Test func `an empty queue gives nothing, and begins again`() {
        var queue = CoDelQueue()
        #expect(queue.pop(now: .origin) == nil && queue.isEmpty)
        queue.push([1], now: .origin)
        // However long it has waited: one datagram is no queue.
        #expect(queue.pop(now: .origin + .seconds(9)) == [1] && queue.dropped == 0)
    }
}
