package import Base

/// The content of an ACK frame: the packet numbers that have arrived.
package struct AckFrame: Hashable, Sendable {
    package struct ECN: Hashable, Sendable {
        package var ect0, ect1, ce: UInt64

        package init(ect0: UInt64, ect1: UInt64, ce: UInt64) {
            self.ect0 = ect0
            self.ect1 = ect1
            self.ce = ce
        }
    }
    /// Descending, with at least one number between neighbours; 1 to `Frame.maxAckRanges` of them.
    package var ranges: [ClosedRange<UInt64>]
    /// From the arrival of the largest number to the sending of this frame.
    package var delayMicroseconds: UInt64
    package var ecn: ECN?

    package init(ranges: [ClosedRange<UInt64>], delayMicroseconds: UInt64, ecn: ECN? = nil) {
        self.ranges = ranges
        self.delayMicroseconds = delayMicroseconds
        self.ecn = ecn
    }

    package var largest: UInt64 { ranges[0].upperBound }
}

extension AckFrame {
    init(reading reader: inout ByteReader, hasECN: Bool) throws(DecodeError) {
        let largest = try reader.varint("largest acknowledged")
        delayMicroseconds = try reader.varint("ack delay")
        let start = reader.offset
        let more = try reader.varint("ack ranges")
        guard more < UInt64(Frame.maxAckRanges) else { throw DecodeError(.tooLong, "ack ranges", at: start) }
        let first = try reader.varint("first ack range")
        guard first <= largest else { throw DecodeError(.invalidValue, "first ack range", at: start) }
        ranges = [largest - first...largest]
        ranges.reserveCapacity(Int(more) + 1)
        var smallest = largest - first
        for _ in 0..<more {
            let place = reader.offset
            let gap = try reader.varint("ack gap"), length = try reader.varint("ack range")
            // Both are below 2^62, so the sum does not overflow.
            guard smallest >= gap + 2 + length else { throw DecodeError(.invalidValue, "ack range", at: place) }
            let upper = smallest - gap - 2
            smallest = upper - length
            ranges.append(smallest...upper)
        }
        guard hasECN else { return }
        ecn = ECN(
            ect0: try reader.varint("ect0"), ect1: try reader.varint("ect1"), ce: try reader.varint("ecn ce"))
    }

    package func write(to writer: inout ByteWriter) {
        precondition((1...Frame.maxAckRanges).contains(ranges.count), "an ACK of \(ranges.count) ranges")
        let first = ranges[0]
        writer.frame(
            ecn == nil ? 0x02 : 0x03, first.upperBound, delayMicroseconds, UInt64(ranges.count - 1),
            first.upperBound - first.lowerBound)
        var smallest = first.lowerBound
        for range in ranges.dropFirst() {
            writer.varint(smallest - range.upperBound - 2)
            writer.varint(range.upperBound - range.lowerBound)
            smallest = range.lowerBound
        }
        guard let ecn else { return }
        writer.varint(ecn.ect0)
        writer.varint(ecn.ect1)
        writer.varint(ecn.ce)
    }
}
