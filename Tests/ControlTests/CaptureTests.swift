import Base
import Control
import Testing
import Wire

/// What a capture makes of packets that have passed.
@Suite struct CaptureTests {
    private static let node = NodeID([UInt8](repeating: 0xab, count: 32))!
    private static let party = CapturedPacket.Party(node: node, name: "gpu-7", relay: "beacon")
    private static let far = SocketAddress("198.51.100.12:7950")!, near = SocketAddress("192.0.2.1:4100")!
    private static let datagram: [UInt8] = [5, 0, 0, 0, 0, 0, 0, 1] + [UInt8](repeating: 9, count: 24)

    private static func path(_ bytes: [UInt8], isOutward: Bool, at remote: SocketAddress = far) -> PathAddress {
        bytes.withUnsafeBytes { CapturedPacket.path(of: $0, remote, socket: 0, isOutward: isOutward) }
    }

    private static func outer(_ bytes: [UInt8], isOutward: Bool, at remote: SocketAddress = far) -> CapturedPacket {
        CapturedPacket(
            at: 1, layer: .outer, isOutward: isOutward, path: path(bytes, isOutward: isOutward, at: remote),
            bytes: bytes)
    }

    @Test func `the allocations of a relayed datagram are read from it, as this node sees them`() {
        let out = Self.path([6, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 3] + Self.datagram, isOutward: true)
        #expect(out.allocations == AllocationPair(near: 3, far: 7))
        let back = Self.path([7, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 7] + Self.datagram, isOutward: false)
        #expect(back.allocations == AllocationPair(near: 3, far: 7))
        // What a relay carries for others is no path of this node's.
        #expect(Self.path([6, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 3] + Self.datagram, isOutward: false).allocations == nil)
        for count in 0...12 {
            #expect(Self.path([UInt8](repeating: 6, count: count), isOutward: true).allocations == nil)
        }
    }

    @Test func `a comment states whose it is, which way it went and by which path`() {
        #expect(
            Self.outer(Self.datagram, isOutward: true).comment(Self.party)
                == "out to gpu-7, direct 198.51.100.12:7950, packet")
        #expect(
            Self.outer([7, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 7] + Self.datagram, isOutward: false).comment(Self.party)
                == "in from gpu-7, relay beacon 198.51.100.12:7950, allocations 3 here and 7 there, packet")
        #expect(
            Self.outer([1], isOutward: false).comment(.init())
                == "in from ?, direct 198.51.100.12:7950, first message of a handshake")
        #expect(Self.outer([], isOutward: false).comment(.init(node: Self.node)).contains("of an unknown kind"))
        var stream = Self.outer(Self.datagram, isOutward: true)
        stream.path?.socket = PathAddress.tcpOut
        #expect(stream.comment(Self.party) == "out to gpu-7, direct 198.51.100.12:7950 over TCP, packet")
        let waiting = CapturedPacket(at: 1, layer: .inner, isOutward: true, path: nil, bytes: [0x45])
        #expect(waiting.comment(.init()) == "out to ?, not sent: no session, or dropped")
    }

    @Test func `a datagram gets the headers that it travelled with, and checksums that are right`() {
        let packet = Self.outer(Self.datagram, isOutward: true).packet(local: Self.near)
        #expect(packet.count == 28 + Self.datagram.count && packet.suffix(Self.datagram.count) == Self.datagram[...])
        #expect(Array(packet[12..<20]) == Self.near.ip.bytes + Self.far.ip.bytes)
        #expect(Array(packet[20..<28]) == [0x10, 0x04, 0x1f, 0x0e, 0, 40, 0, 0])
        #expect(Self.sum(Array(packet[..<20])) == 0xffff)
        let back = Self.outer(Self.datagram, isOutward: false).packet(local: Self.near)
        #expect(Array(back[12..<20]) == Self.far.ip.bytes + Self.near.ip.bytes)
        let far6 = SocketAddress("[2001:db8::12]:7950")!, near6 = SocketAddress("[2001:db8::1]:4100")!
        let six = Self.outer(Self.datagram + [1], isOutward: true, at: far6).packet(local: near6)
        #expect(six.count == 49 + Self.datagram.count && six[6] == 17)
        // RFC 8200, section 8.1: the pseudo header, then what is carried.
        let pseudo = Array(six[8..<40]) + [0, 0, 0, UInt8(six.count - 40), 0, 0, 0, 17]
        #expect(Self.sum(pseudo + Array(six[40...])) == 0xffff)
        // An end of another family is not known.
        let odd = Self.outer(Self.datagram, isOutward: true).packet(local: near6)
        #expect(Array(odd[12..<16]) == [0, 0, 0, 0])
    }

    private static func sum(_ bytes: [UInt8]) -> UInt32 {
        var sum: UInt32 = 0
        for (index, byte) in bytes.enumerated() { sum += UInt32(byte) << (index % 2 == 0 ? 8 : 0) }
        while sum >> 16 != 0 { sum = sum & 0xffff + sum >> 16 }
        return sum
    }

    @Test func `the far end of an overlay packet is found in either family, and in rubbish none`() {
        func far(_ bytes: [UInt8], _ isOutward: Bool) -> IPAddress? {
            CapturedPacket(at: 1, layer: .inner, isOutward: isOutward, path: nil, bytes: bytes).farOverlayAddress
        }
        let four = [0x45] + [UInt8](repeating: 0, count: 11) + [100, 64, 0, 1, 100, 64, 0, 2]
        #expect(far(four, true) == IPAddress("100.64.0.2") && far(four, false) == IPAddress("100.64.0.1"))
        let six = [0x60] + [UInt8](repeating: 0, count: 7) + IPAddress("fd00::1")!.bytes + IPAddress("fd00::2")!.bytes
        #expect(far(six, true) == IPAddress("fd00::2") && far(six, false) == IPAddress("fd00::1"))
        for count in 0..<20 { #expect(far(Array(four.prefix(count)), true) == nil) }
        for count in 0..<40 { #expect(far(Array(six.prefix(count)), true) == nil) }
        #expect(far([UInt8](repeating: 0x95, count: 60), true) == nil)
    }

    private static func session(_ layer: CaptureLayer? = nil, peer: NodeID? = nil, count: Int? = nil) -> CaptureSession
    {
        CaptureSession(number: 3, layer: layer, peer: peer, count: count, version: "1", now: 0)
    }

    @Test func `a capture takes what was asked for, and ends after so many`() {
        let packet = Self.outer(Self.datagram, isOutward: true)
        var inner = Self.session(.inner), others = Self.session(peer: NodeID([UInt8](repeating: 1, count: 32))!)
        for _ in 0..<3 {
            inner.add(packet, Self.party, local: Self.near)
            others.add(packet, Self.party, local: Self.near)
        }
        let (nothing, nobody) = (inner.read(), others.read())
        #expect(nothing.packets == 0 && nobody.packets == 0 && !nothing.isFinal)
        var few = Self.session(peer: Self.node, count: 2)
        for _ in 0..<3 { few.add(packet, Self.party, local: Self.near) }
        let view = few.read()
        #expect(view.isFinal && view.packets == 2 && few.isEnded)
    }

    @Test func `its end states how many packets there were and how many were lost`() throws {
        var session = Self.session()
        session.add(Self.outer(Self.datagram, isOutward: true), Self.party, local: Self.near)
        session.lost(4, of: .outer)
        let before = session.read()
        #expect(before.dropped == 4 && before.packets == 1 && !before.isFinal && !session.hasNews)
        session.end(at: 99)
        session.end(at: 100)
        session.lost(1, of: .outer)
        let end = session.read()
        #expect(end.isFinal && end.dropped == 4)
        let bytes = try #require(end.bytes)
        // Two blocks of statistics, and the counts in the second one: isb_ifrecv, isb_ifdrop.
        #expect(bytes.count % 2 == 0 && bytes[0] == 5 && bytes[bytes.count / 2] == 5)
        let second = Array(bytes.suffix(bytes.count / 2)).hex
        #expect(second.contains("04000800" + "0500000000000000"))
        #expect(second.contains("05000800" + "0400000000000000"))
    }

    @Test func `a reader that does not read stops it from growing`() {
        var session = Self.session()
        let packet = Self.outer([UInt8](repeating: 5, count: 60_000), isOutward: true)
        var taken = 0
        while session.hasRoom, taken < 100 {
            session.add(packet, Self.party, local: Self.near)
            taken += 1
        }
        #expect(taken == 18)
        _ = session.read()
        #expect(session.hasRoom)
    }
}
