import Base
import Noise
import Testing
import Wire

@testable import Mesh

/// Datagrams with the headers of two relays, as ends and unauthenticated peers send them.
@Suite struct HopTests {
    private static let x = SocketAddress("203.0.113.1:7950")!
    private static let path = PathAddress(
        x, allocations: AllocationPair(near: 3, far: 4), via: AllocationPair(near: 1, far: 2))

    private static let behind = PathAddress(x, allocations: AllocationPair(near: 1, far: 2))

    /// What both relays make of a datagram: kind 7 in place of 6, twice.
    private static func carried(_ datagram: [UInt8]) -> [UInt8] {
        var bytes = datagram
        bytes[0] = DatagramKind.fromRelay.rawValue
        bytes[DatagramHeader.relayedSize] = DatagramKind.fromRelay.rawValue
        return bytes
    }

    private static func header(_ header: DatagramHeader) -> [UInt8] {
        var writer = ByteWriter()
        header.write(to: &writer)
        return writer.bytes
    }

    @Test(arguments: [false, true])
    func `packets have both headers on their way, in doubt too, and come out as they were`(isInDoubt: Bool) throws {
        let pair = TestPair.overlay()
        #expect(pair.delivers((1, 2), pair.a, pair.b))
        let before = pair.recorded.count
        let direct = PathAddress(pair.b.address)
        pair.a.plane.apply(
            .redirect(peer: 0, isInDoubt ? direct : Self.path, second: isInDoubt ? Self.path : nil), now: pair.now,
            into: &pair.a.planeOutbox)
        let payload = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let (packet, header) = TestPacket.tcp(
            from: pair.a.address4, to: pair.b.address4, payload, segment: 1300)
        pair.submit(packet, header, at: pair.a)
        let sent = pair.recorded[before...].filter { $0.to == Self.x }.map(\.bytes)
        let headers = Self.header(.toRelay(Self.path.via!)) + Self.header(.toRelay(Self.path.allocations!))
        #expect(sent.count == 16 && sent.allSatisfy { Array($0.prefix(24)) == headers })
        #expect(isInDoubt == pair.recorded[before...].contains { $0.to == pair.b.address })
        pair.b.packets = []
        pair.arrive(sent.map(Self.carried), from: Self.x, at: pair.b)
        let bytes = pair.b.packets.map { Array($0.bytes.dropFirst(52)) }.joined()
        #expect(Array(bytes) == payload)
        // It knows the way back: the allocations are the same ones, seen from the other end.
        let back = PathAddress(
            Self.x, allocations: AllocationPair(near: 4, far: 3), via: AllocationPair(near: 2, far: 1))
        let seen = pair.b.endpoint.peer(pair.a.node)?.paths.addresses ?? []
        #expect(seen.contains(back), "\(seen)")
    }

    @Test func `what is for relays is not taken from behind two of them, or from a relay without an allocation`() throws
    {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        let pong = try #require(pair.recorded.last { $0.to == pair.b.address }?.bytes)
        func count(_ reason: DropReason) -> Int { pair.b.endpoint.counters[reason] }
        let once = Self.header(.fromRelay(AllocationPair(near: 1, far: 2)))
        let twice = once + Self.header(.fromRelay(AllocationPair(near: 3, far: 4)))
        let key = BindKey([UInt8](repeating: 9, count: 32))!
        let bind = BindMessage(allocation: 5, number: 1, challenge: BindMessage.none).encoded(.bind, key: key)
        let forbidden = [
            once + pong, Self.header(.toRelay(AllocationPair(near: 5, far: 6))) + pong, bind,
            BindMessage(allocation: 5, number: 1, challenge: BindMessage.none).encoded(.bindAnswer, key: key),
        ]
        for (index, bytes) in forbidden.enumerated() {
            let answers = pair.recorded.count
            pair.inject(twice + bytes, from: Self.x, to: pair.b)
            #expect(count(.malformed) == index + 1 && pair.recorded.count == answers)
        }
        let answers = pair.recorded.count
        pair.inject(once + bind, from: Self.x, to: pair.b)
        #expect(count(.badBind) == 1)
        pair.inject(once + forbidden[1], from: Self.x, to: pair.b)
        #expect(count(.relayUnknownSender) == 1 && pair.recorded.count == answers)
    }

    @Test func `a path over two relays is left for any shorter one, and not taken instead of one`() {
        let one = PathAddress(Self.x, allocations: AllocationPair(near: 1, far: 7))
        var now = Instant(nanoseconds: 1_000_000_000), token: UInt64 = 1
        func answer(_ paths: inout PathSet, after time: (PathAddress) -> Interval) {
            for _ in 0..<100 {
                now = now + .milliseconds(100)
                paths.sent(now: now)
                let due = paths.takeProbes(now: now, limit: 10, firstToken: token)
                token += UInt64(due.count)
                for probe in due.sorted(by: { time($0.address) < time($1.address) }) {
                    _ = paths.answered(probe.token, from: probe.address, now: now + time(probe.address))
                }
            }
        }
        var paths = PathSet([Self.path, one])
        paths.established(at: Self.path, isNew: true, now: now)
        // The longer way is much the faster one.
        answer(&paths) { $0 == one ? .milliseconds(90) : .milliseconds(5) }
        #expect(paths.primary == one)
        paths.replace(Self.path, by: PathAddress(Self.x, allocations: Self.path.allocations), now: now)
        #expect(paths.primary == one && !paths.addresses.contains(Self.path))
    }

    @Test func `a path that becomes shorter stays in use`() {
        let now = Instant(nanoseconds: 1_000_000_000)
        var paths = PathSet([PathAddress(SocketAddress("192.0.2.9:1")!), Self.path])
        paths.established(at: Self.path, isNew: true, now: now)
        let short = PathAddress(SocketAddress("203.0.113.2:7950")!, allocations: Self.path.allocations)
        paths.replace(Self.path, by: short, now: now)
        #expect(paths.primary == short && paths.transitions.last?.cause == .withdrawn)
        #expect(paths.addresses.count == 2)
    }

    @Test func `a relay that does not answer is replaced, and looked for elsewhere only where a peer needs it`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        let relays = (1...4).map { number in
            ControllerAddress(
                node: NodeID([UInt8](repeating: UInt8(number) + 8, count: 32))!,
                addresses: [SocketAddress(.v4(0x0a00_0100 + UInt32(number)), 1)])
        }
        func use() {
            pair.a.endpoint.useRelays(relays, now: pair.now, into: &pair.a.outbox)
            pair.drain(pair.a)
        }
        func homes() -> [NodeID] { pair.a.endpoint.traversal.relays.clients.filter(\.isHome).map(\.relay) }
        func missed() -> [NodeID] {
            pair.a.events.compactMap { if case .relayUnreached(let node) = $0 { node } else { nil } }
        }
        use()
        #expect(homes() == relays.prefix(2).map(\.node))
        pair.run(.milliseconds(400))
        #expect(homes() == relays.map(\.node))
        pair.run(.seconds(2))
        use()
        #expect(homes() == relays.map(\.node) && missed().isEmpty)
        // Behind others they cannot be announced to peers, so the spare ones stay; reached directly they can.
        for (path, expected) in [(Self.behind, 4), (PathAddress(Self.x), 2)] {
            for relay in relays.prefix(2) {
                pair.a.endpoint.traversal.relays.update(relay.node) { $0.connected(at: path, now: pair.now) }
            }
            pair.a.endpoint.useRelays(relays, now: pair.now, into: &pair.a.outbox)
            #expect(homes() == relays.prefix(expected).map(\.node))
            for relay in relays.prefix(2) {
                pair.a.endpoint.traversal.relays.update(relay.node) { $0.disconnected(now: pair.now) }
            }
        }
        pair.run(.seconds(2))
        // The second relay is all that is known of an unauthenticated peer.
        let place = RelayedAddress(relay: relays[1].node, address: relays[1].addresses[0], allocation: 9)
        let unknownPeer = NodeID([UInt8](repeating: 77, count: 32))!
        pair.a.endpoint.connect(
            to: unknownPeer, at: [SocketAddress](), through: [place], now: pair.now, into: &pair.a.outbox)
        pair.drain(pair.a)
        pair.run(.milliseconds(10))
        #expect(missed() == [relays[1].node])
        // There was no answer to that.
        pair.run(.seconds(4))
        #expect(missed() == [relays[1].node, relays[1].node])
    }
}
