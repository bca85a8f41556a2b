import Base
import Testing
import Wire

@testable import Mesh

/// When an ACK is sent, and what it holds.
@Suite struct StreamAckTests {
    private static let now = Instant.origin + .seconds(1)

    private func tracker(receiving numbers: UInt64..., maxRanges: Int = 256) -> AckTracker {
        var tracker = AckTracker(maxRanges: maxRanges)
        for number in numbers { tracker.received(number, elicitsAck: true, now: StreamAckTests.now) }
        return tracker
    }

    @Test func `one packet is acknowledged within 25 ms, two at once`() {
        let one = tracker(receiving: 0)
        #expect(!one.isDue(now: StreamAckTests.now + .milliseconds(24)))
        #expect(one.deadline == StreamAckTests.now + .milliseconds(25))
        #expect(one.isDue(now: StreamAckTests.now + .milliseconds(25)))
        #expect(tracker(receiving: 0, 1).isDue(now: StreamAckTests.now))
    }

    @Test func `a hole and its filling are acknowledged at once`() {
        var tracker = tracker(receiving: 0, 1)
        tracker.sent()
        #expect(tracker.deadline == nil && !tracker.hasNews)
        tracker.received(3, elicitsAck: true, now: StreamAckTests.now)
        #expect(tracker.isDue(now: StreamAckTests.now))
        tracker.sent()
        tracker.received(2, elicitsAck: true, now: StreamAckTests.now)
        #expect(tracker.isDue(now: StreamAckTests.now))
        #expect(tracker.frame(room: 100, now: StreamAckTests.now)?.ranges == [0...3])
    }

    @Test func `what asks for no ACK causes none, and is in the next one`() {
        var tracker = AckTracker(maxRanges: 256)
        tracker.received(0, elicitsAck: false, now: StreamAckTests.now)
        tracker.received(1, elicitsAck: false, now: StreamAckTests.now)
        #expect(tracker.deadline == nil && !tracker.hasNews)
        tracker.received(2, elicitsAck: true, now: StreamAckTests.now)
        let ack = tracker.frame(room: 100, now: StreamAckTests.now + .milliseconds(3))
        #expect(ack == AckFrame(ranges: [0...2], delayMicroseconds: 3000))
    }

    @Test func `an ACK holds the highest 32 ranges, or as many as there is room for`() {
        var tracker = AckTracker(maxRanges: 256)
        for number in 0..<UInt64(100) { tracker.received(number * 3, elicitsAck: true, now: StreamAckTests.now) }
        let ack = tracker.frame(room: 1000, now: StreamAckTests.now)!
        let highest = (UInt64(68)..<100).reversed().map { number in number * 3...number * 3 }
        #expect(ack.ranges == highest)
        for room in 0...80 {
            var writer = ByteWriter()
            guard let short = tracker.frame(room: room, now: StreamAckTests.now) else {
                #expect(room < 6)
                continue
            }
            short.write(to: &writer)
            #expect(writer.count <= room)
            #expect(short.ranges[...] == ack.ranges.prefix(short.ranges.count))
            // Two bytes more would have been another range.
            #expect(writer.count + 2 > room || short.ranges.count == Frame.maxAckRanges)
        }
    }

    @Test func `numbers are remembered within a limit, and what is below counts as received`() {
        var tracker = AckTracker(maxRanges: 40)
        for number in 0..<UInt64(100) { tracker.received(number * 2, elicitsAck: true, now: StreamAckTests.now) }
        for number in 0..<UInt64(100) { #expect(tracker.isDuplicate(number * 2)) }
        #expect(tracker.isDuplicate(1) && tracker.isDuplicate(117))
        #expect(!tracker.isDuplicate(121) && !tracker.isDuplicate(200))
    }

    @Test func `the limit of a window moves at half of it, and the window doubles for a quick reader`() {
        let roundTrip = Interval.milliseconds(50)
        var window = FlowWindow(size: 1000, maximum: 3000)
        window.consume(499)
        #expect(!window.isMoveDue)
        window.consume(1)
        #expect(window.isMoveDue)
        #expect(window.move(roundTrip: roundTrip, now: StreamAckTests.now) == 1500)
        window.consume(500)
        #expect(window.move(roundTrip: roundTrip, now: StreamAckTests.now + .milliseconds(90)) == 3000)
        window.consume(1000)
        #expect(window.move(roundTrip: roundTrip, now: StreamAckTests.now + .seconds(1)) == 4000)
        window.consume(1000)
        #expect(window.move(roundTrip: roundTrip, now: StreamAckTests.now + .milliseconds(1001)) == 6000)
        // A repeated call without a reason returns the same.
        #expect(window.move(roundTrip: roundTrip, now: StreamAckTests.now + .milliseconds(1002)) == 6000)
    }
}
