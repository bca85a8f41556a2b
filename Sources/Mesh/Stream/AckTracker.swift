import Base
import DequeModule
import Wire

/// Which packets came, and when the peer is to learn of it (RFC 9000, section 13.2): at once after two packets that ask
/// for it or where one came out of order, else within `maxDelay`. Remembers a limited number of ranges; a number
/// below them counts as received, since that can no longer be determined.
struct AckTracker: Sendable {
    /// RFC 9000, section 18.2: the standard max_ack_delay, which the peer's timer counts with.
    static let maxDelay = Interval.milliseconds(25)

    private var received = NumberRanges()
    /// Numbers below this one are no longer tracked.
    private var floor: UInt64 = 0
    private let maxRanges: Int
    private var largestAt = Instant.origin
    private var waiting = 0
    private var isUrgent = false
    private(set) var deadline: Instant?

    init(maxRanges: Int) { self.maxRanges = max(maxRanges, Frame.maxAckRanges) }

    func isDuplicate(_ number: UInt64) -> Bool { number < floor || received.contains(number) }

    mutating func received(_ number: UInt64, elicitsAck: Bool, now: Instant) {
        let last = received.last
        received.insert(number..<number + 1)
        if received.count > maxRanges, let first = received.first {
            floor = first.upperBound
            received.removeBelow(floor)
        }
        if last.map({ number >= $0.upperBound }) ?? true { largestAt = now }
        guard elicitsAck else { return }
        waiting += 1
        if let last, number != last.upperBound { isUrgent = true }
        if deadline == nil { deadline = now + AckTracker.maxDelay }
    }

    /// An ACK is useful in a packet that is sent anyway.
    var hasNews: Bool { waiting > 0 }

    func isDue(now: Instant) -> Bool {
        guard let deadline else { return false }
        return isUrgent || waiting >= 2 || deadline <= now
    }

    /// The ACK to be sent, of at most `room` bytes; `nil` where nothing has come or there is no room for a range.
    func frame(room: Int, now: Instant) -> AckFrame? {
        guard let last = received.last else { return nil }
        let delay = UInt64((now - largestAt).nanoseconds.magnitude) / 1000
        // Type and count of ranges take a byte each.
        var size =
            2 + ByteWriter.varintSize(last.upperBound - 1) + ByteWriter.varintSize(delay)
            + ByteWriter.varintSize(last.upperBound - last.lowerBound - 1)
        guard size <= room else { return nil }
        var frame = AckFrame(ranges: [last.lowerBound...last.upperBound - 1], delayMicroseconds: delay)
        var smallest = last.lowerBound
        var index = received.count - 2
        while index >= 0, frame.ranges.count < Frame.maxAckRanges {
            let range = received.ranges[index]
            size += ByteWriter.varintSize(smallest - range.upperBound - 1)
            size += ByteWriter.varintSize(range.upperBound - range.lowerBound - 1)
            if size > room { break }
            frame.ranges.append(range.lowerBound...range.upperBound - 1)
            smallest = range.lowerBound
            index -= 1
        }
        return frame
    }

    mutating func sent() {
        waiting = 0
        isUrgent = false
        deadline = nil
    }

    /// The peer has an ACK of ours whose largest number was `largest`: lower ranges need not be reported again. What is
    /// dropped lies so far below that duplicates of it would be refused as old.
    mutating func acknowledged(largest: UInt64) {
        guard received.count > 1, let last = received.last, largest >= last.lowerBound else { return }
        // Only ranges that are completely below the newest one, and whose holes are certainly lost.
        guard last.upperBound - last.lowerBound > 64 else { return }
        floor = max(floor, last.lowerBound)
        received.removeBelow(floor)
    }
}
