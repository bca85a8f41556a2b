package import Base

/// The clear part of a datagram.
package enum DatagramHeader: Hashable, Sendable {
    case handshakeFirst(sender: UInt32)
    case handshakeSecond(sender: UInt32, receiver: UInt32)
    case cookieReply(receiver: UInt32)
    case frames(receiver: UInt32, counter: UInt64)
    /// `flags`: 1, the transport checksum is partial; 2, continues the packet with the counter before.
    case packet(flags: UInt8, receiver: UInt32, counter: UInt64)
    /// `allocations` as the sender's: its own is near.
    case toRelay(AllocationPair)
    /// `allocations` as the receiver's: its own is near.
    case fromRelay(AllocationPair)
    case bind(allocation: UInt32)
    case bindAnswer(allocation: UInt32)

    package static let firstSize = 8
    package static let secondSize = 12
    package static let cookieSize = 8
    package static let framesSize = 16
    package static let tagSize = 16
    /// MAC1 and MAC2 at the end of both handshake messages.
    package static let macsSize = 32

    /// Length limits of the kinds: a shorter datagram is incomplete, a longer one is not of this protocol.
    package static let firstLengths = firstSize + 32 + 48 + 16 + macsSize...Limits.datagramBytes
    package static let secondLengths = secondSize + 32 + 16 + macsSize...Limits.datagramBytes
    package static let cookieLength = cookieSize + 24 + 32
    package static let framesLengths = framesSize + tagSize...Limits.receivedDatagramBytes
    /// Before the datagram that a relay carries.
    package static let relayedSize = 12
    package static let bindLength = 8 + 8 + 16 + 16

    /// Reads the clear part, and checks that the whole datagram has a length that its kind allows.
    package init(reading reader: inout ByteReader) throws(DecodeError) {
        let length = reader.remaining
        let raw = try reader.uint8("kind")
        guard let kind = DatagramKind(rawValue: raw) else { throw DecodeError(.invalidValue, "kind", at: 0) }
        let flags = try reader.uint8("flags")
        guard flags & ~(kind == .packet ? 3 : 0) == 0, try reader.uint16("reserved") == 0 else {
            throw DecodeError(.invalidValue, "reserved", at: 1)
        }
        let isRightLength =
            switch kind {
            case .handshakeFirst: DatagramHeader.firstLengths.contains(length)
            case .handshakeSecond: DatagramHeader.secondLengths.contains(length)
            case .cookieReply: length == DatagramHeader.cookieLength
            case .frames, .packet: DatagramHeader.framesLengths.contains(length)
            case .toRelay, .fromRelay: length > DatagramHeader.relayedSize
            case .bind, .bindAnswer: length == DatagramHeader.bindLength
            }
        guard isRightLength else { throw DecodeError(.invalidValue, "length", at: length) }
        switch kind {
        case .handshakeFirst: self = .handshakeFirst(sender: try reader.uint32("sender"))
        case .handshakeSecond:
            self = .handshakeSecond(sender: try reader.uint32("sender"), receiver: try reader.uint32("receiver"))
        case .cookieReply: self = .cookieReply(receiver: try reader.uint32("receiver"))
        case .frames: self = .frames(receiver: try reader.uint32("receiver"), counter: try reader.uint64("counter"))
        case .packet:
            self = .packet(
                flags: flags, receiver: try reader.uint32("receiver"), counter: try reader.uint64("counter"))
        case .toRelay:
            let far = try reader.uint32("far allocation")
            self = .toRelay(AllocationPair(near: try reader.uint32("near allocation"), far: far))
        case .fromRelay:
            self = .fromRelay(
                AllocationPair(near: try reader.uint32("near allocation"), far: try reader.uint32("far allocation")))
        case .bind: self = .bind(allocation: try reader.uint32("allocation"))
        case .bindAnswer: self = .bindAnswer(allocation: try reader.uint32("allocation"))
        }
    }

    package func write(to writer: inout ByteWriter) {
        switch self {
        case .handshakeFirst(let sender):
            start(.handshakeFirst, &writer)
            writer.uint32(sender)
        case .handshakeSecond(let sender, let receiver):
            start(.handshakeSecond, &writer)
            writer.uint32(sender)
            writer.uint32(receiver)
        case .cookieReply(let receiver):
            start(.cookieReply, &writer)
            writer.uint32(receiver)
        case .frames(let receiver, let counter):
            start(.frames, &writer)
            writer.uint32(receiver)
            writer.uint64(counter)
        case .packet(let flags, let receiver, let counter):
            writer.uint8(DatagramKind.packet.rawValue)
            writer.uint8(flags)
            writer.zeros(2)
            writer.uint32(receiver)
            writer.uint64(counter)
        case .toRelay(let allocations):
            start(.toRelay, &writer)
            writer.uint32(allocations.far)
            writer.uint32(allocations.near)
        case .fromRelay(let allocations):
            start(.fromRelay, &writer)
            writer.uint32(allocations.near)
            writer.uint32(allocations.far)
        case .bind(let allocation):
            start(.bind, &writer)
            writer.uint32(allocation)
        case .bindAnswer(let allocation):
            start(.bindAnswer, &writer)
            writer.uint32(allocation)
        }
    }

    private func start(_ kind: DatagramKind, _ writer: inout ByteWriter) {
        writer.uint8(kind.rawValue)
        writer.zeros(3)
    }
}
