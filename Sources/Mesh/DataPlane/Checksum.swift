/// The Internet checksum (RFC 1071), where neither kernel nor device computes it.
package enum Checksum {
    /// The checksum of all these bytes, ready to be written.
    package static func of(_ bytes: [UInt8]) -> UInt16 {
        bytes.withUnsafeBytes { memory in memory.baseAddress.map { ~fold(sum($0, count: memory.count)) } ?? 0xffff }
    }

    /// The one's complement sum of big-endian words, not folded; an odd last byte is the high one of its word.
    static func sum(_ bytes: UnsafeRawPointer, count: Int, from start: UInt64 = 0) -> UInt64 {
        var total = start
        var offset = 0
        while offset + 4 <= count {
            total &+= UInt64(bytes.word32(offset))
            offset += 4
        }
        if offset + 2 <= count {
            total &+= UInt64(bytes.word16(offset))
            offset += 2
        }
        if offset < count { total &+= UInt64(bytes.load(fromByteOffset: offset, as: UInt8.self)) << 8 }
        return total
    }

    static func fold(_ sum: UInt64) -> UInt16 {
        var value = sum
        while value >> 16 != 0 { value = value & 0xffff &+ value >> 16 }
        return UInt16(truncatingIfNeeded: value)
    }

    static func writeIPv4Header(_ packet: UnsafeMutableRawPointer, length: Int) {
        packet.setWord16(10, 0)
        packet.setWord16(10, ~fold(sum(packet, count: length)))
    }

    /// The sum over the pseudo header (RFC 9293, section 3.1; RFC 8200, section 8.1) for a transport of `length` bytes.
    static func pseudoHeader(_ packet: UnsafeRawPointer, isIPv4: Bool, transport: UInt8, length: Int) -> UInt16 {
        let addresses = isIPv4 ? sum(packet + 12, count: 8) : sum(packet + 8, count: 32)
        return fold(addresses &+ UInt64(transport) &+ UInt64(length))
    }

    /// The offset of the checksum in the header of that transport.
    static func offset(of transport: UInt8) -> Int? {
        switch transport {
        case InnerPacket.tcp: 16
        case InnerPacket.udp: 6
        default: nil
        }
    }
}
