package import Base

/// What the data plane reads of an IP packet: source, destination, transport and where the transport begins.
/// Everything is checked against the packet's length before it is read.
struct InnerPacket {
    let isIPv4: Bool
    /// Bytes of the IP header; for IPv6 the fixed one.
    let headerLength: Int
    /// IPv4's protocol or IPv6's next header. The transport is not searched for after IPv6 extension headers.
    let transport: UInt8
    let source: OverlayKey
    let destination: OverlayKey
    /// A later fragment of an IPv4 packet: the transport header is in the first one.
    let isLaterFragment: Bool

    static let tcp: UInt8 = 6
    static let udp: UInt8 = 17
    static let icmp4: UInt8 = 1
    static let icmp6: UInt8 = 58

    /// `nil` unless these bytes are one whole packet.
    init?(_ bytes: UnsafeRawPointer, count: Int) {
        guard count >= 20 else { return nil }
        let first = bytes.load(as: UInt8.self)
        switch first >> 4 {
        case 4:
            headerLength = Int(first & 15) * 4
            guard headerLength >= 20, headerLength <= count, bytes.word16(2) == count else { return nil }
            isIPv4 = true
            transport = bytes.load(fromByteOffset: 9, as: UInt8.self)
            source = OverlayKey(ipv4: bytes.word32(12))
            destination = OverlayKey(ipv4: bytes.word32(16))
            isLaterFragment = bytes.word16(6) & 0x1fff != 0
        case 6:
            guard count >= 40, Int(bytes.word16(4)) + 40 == count else { return nil }
            isIPv4 = false
            headerLength = 40
            transport = bytes.load(fromByteOffset: 6, as: UInt8.self)
            source = OverlayKey(high: bytes.word64(8), low: bytes.word64(16))
            destination = OverlayKey(high: bytes.word64(24), low: bytes.word64(32))
            isLaterFragment = false
        default: return nil
        }
    }

    /// Bytes of the IP and the transport header together; `nil` where there is no whole one of TCP or UDP.
    @inline(__always)
    func lengthOfHeaders(_ packet: UnsafeRawPointer, count: Int) -> Int? {
        guard !isLaterFragment else { return nil }
        switch transport {
        case InnerPacket.udp: return headerLength + 8 <= count ? headerLength + 8 : nil
        case InnerPacket.tcp:
            guard headerLength + 20 <= count else { return nil }
            let length = Int(packet.load(fromByteOffset: headerLength + 12, as: UInt8.self) >> 4) * 4
            return length >= 20 && headerLength + length <= count ? headerLength + length : nil
        default: return nil
        }
    }

    /// The two low bits of the traffic class (RFC 3168).
    static func congestion(_ bytes: UnsafeRawPointer) -> UInt8 {
        let first = bytes.load(as: UInt8.self), second = bytes.load(fromByteOffset: 1, as: UInt8.self)
        return first >> 4 == 4 ? second & 3 : second >> 4 & 3
    }

    /// Marks a whole packet as having met congestion. False where its ends do not support ECN.
    static func markCongestion(_ bytes: UnsafeMutableRawPointer) -> Bool {
        switch congestion(bytes) {
        case 0: return false
        case 3: return true
        default: break
        }
        let second = bytes.load(fromByteOffset: 1, as: UInt8.self)
        if bytes.load(as: UInt8.self) >> 4 == 4 {
            bytes.storeBytes(of: second | 3, toByteOffset: 1, as: UInt8.self)
            Checksum.writeIPv4Header(bytes, length: Int(bytes.load(as: UInt8.self) & 15) * 4)
        } else {
            bytes.storeBytes(of: second | 0x30, toByteOffset: 1, as: UInt8.self)
        }
        return true
    }
}

/// An overlay address as two words, IPv4 as IPv4-mapped (RFC 4291, section 2.5.5.2): what routes are looked up by.
package struct OverlayKey: Hashable, Sendable {
    let high: UInt64
    let low: UInt64

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }
    init(ipv4: UInt32) { self.init(high: 0, low: 0xffff_0000_0000 | UInt64(ipv4)) }

    package init(_ address: IPAddress) {
        switch address {
        case .v4(let value): self.init(ipv4: value)
        case .v6(let high, let low): self.init(high: high, low: low)
        }
    }

    var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }

    package var address: IPAddress {
        isIPv4 ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high: high, low: low)
    }

    /// Multicast, broadcast, unspecified or loopback: packets to these are never carried.
    var isNobody: Bool {
        if isIPv4 {
            let value = UInt32(truncatingIfNeeded: low)
            return value >> 28 == 14 || value == .max || value == 0 || value >> 24 == 127
        }
        return high >> 56 == 0xff || (high == 0 && low <= 1) || high >> 54 == 0x3fa
    }
}

extension UnsafeRawPointer {
    /// Big-endian, as everything in a packet.
    @inline(__always)
    func word16(_ offset: Int) -> UInt16 { UInt16(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt16.self)) }
    @inline(__always)
    func word32(_ offset: Int) -> UInt32 { UInt32(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
    @inline(__always)
    func word64(_ offset: Int) -> UInt64 { UInt64(bigEndian: loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
}

extension UnsafeMutableRawPointer {
    @inline(__always)
    func word16(_ offset: Int) -> UInt16 { UnsafeRawPointer(self).word16(offset) }
    @inline(__always)
    func word32(_ offset: Int) -> UInt32 { UnsafeRawPointer(self).word32(offset) }
    @inline(__always)
    func setWord16(_ offset: Int, _ value: UInt16) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt16.self)
    }
    @inline(__always)
    func setWord32(_ offset: Int, _ value: UInt32) {
        storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }
}
