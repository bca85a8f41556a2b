import Base

/// ICMP errors of RFC 792 with RFC 1191's MTU, and of RFC 4443. They come from the address that the packet was for, as
/// from a router before it: a packet from one of this node's own addresses would be dropped as a martian.
enum ControlMessageReply {
    /// The part of the packet that an answer quotes: IPv4's 576 bytes (RFC 1812, section 4.3.2.3) and IPv6's 1280.
    private static let quote4 = 576 - 28
    private static let quote6 = 1280 - 48

    /// `nil` for packets that must not be answered: other errors, and later fragments.
    static func make(
        to packet: UnsafeRawPointer, count: Int, _ error: ControlMessageError, from local: OverlayLocal
    ) -> [UInt8]? {
        guard let inner = InnerPacket(packet, count: count), !inner.isLaterFragment, local.has(inner.source) else {
            return nil
        }
        let isControl = inner.transport == InnerPacket.icmp4 || inner.transport == InnerPacket.icmp6
        if isControl {
            guard count > inner.headerLength else { return nil }
            let kind = packet.load(fromByteOffset: inner.headerLength, as: UInt8.self)
            // An echo may be answered with an error; an error may not.
            guard inner.isIPv4 ? kind == 8 || kind == 0 : kind >= 128 else { return nil }
        }
        return inner.isIPv4 ? version4(packet, count, error) : version6(packet, count, error)
    }

    private static func version4(_ packet: UnsafeRawPointer, _ count: Int, _ error: ControlMessageError) -> [UInt8] {
        let quoted = min(count, quote4), total = 28 + quoted
        var reply = [UInt8](repeating: 0, count: total)
        reply.withUnsafeMutableBytes { bytes in
            let base = bytes.baseAddress!
            base.storeBytes(of: 0x45, as: UInt8.self)
            base.setWord16(2, UInt16(total))
            base.storeBytes(of: 64, toByteOffset: 8, as: UInt8.self)
            base.storeBytes(of: InnerPacket.icmp4, toByteOffset: 9, as: UInt8.self)
            (base + 12).copyMemory(from: packet + 16, byteCount: 4)
            (base + 16).copyMemory(from: packet + 12, byteCount: 4)
            Checksum.writeIPv4Header(base, length: 20)
            base.storeBytes(of: 3, toByteOffset: 20, as: UInt8.self)
            switch error {
            case .tooBig(let limit):
                base.storeBytes(of: 4, toByteOffset: 21, as: UInt8.self)
                base.setWord16(26, UInt16(clamping: limit))
            case .unreachable: base.storeBytes(of: 1, toByteOffset: 21, as: UInt8.self)
            }
            (base + 28).copyMemory(from: packet, byteCount: quoted)
            base.setWord16(22, ~Checksum.fold(Checksum.sum(base + 20, count: total - 20)))
        }
        return reply
    }

    private static func version6(_ packet: UnsafeRawPointer, _ count: Int, _ error: ControlMessageError) -> [UInt8] {
        let quoted = min(count, quote6), total = 48 + quoted
        var reply = [UInt8](repeating: 0, count: total)
        reply.withUnsafeMutableBytes { bytes in
            let base = bytes.baseAddress!
            base.storeBytes(of: 0x60, as: UInt8.self)
            base.setWord16(4, UInt16(total - 40))
            base.storeBytes(of: InnerPacket.icmp6, toByteOffset: 6, as: UInt8.self)
            base.storeBytes(of: 64, toByteOffset: 7, as: UInt8.self)
            (base + 8).copyMemory(from: packet + 24, byteCount: 16)
            (base + 24).copyMemory(from: packet + 8, byteCount: 16)
            switch error {
            case .tooBig(let limit):
                base.storeBytes(of: 2, toByteOffset: 40, as: UInt8.self)
                base.setWord32(44, UInt32(max(limit, 1280)))
            case .unreachable:
                base.storeBytes(of: 1, toByteOffset: 40, as: UInt8.self)
                base.storeBytes(of: 3, toByteOffset: 41, as: UInt8.self)
            }
            (base + 48).copyMemory(from: packet, byteCount: quoted)
            let pseudo = Checksum.pseudoHeader(base, isIPv4: false, transport: InnerPacket.icmp6, length: total - 40)
            base.setWord16(42, ~Checksum.fold(Checksum.sum(base + 40, count: total - 40, from: UInt64(pseudo))))
        }
        return reply
    }
}
