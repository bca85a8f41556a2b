import Base
import Mesh
import Noise
import Testing
import Wire

/// The data plane and the sessions under it.
@Suite struct DataPlaneSessionTests {
    private func packet(_ number: Int, _ from: TestNode, _ to: TestNode) -> [UInt8] {
        TestPacket.udp((1, 2), from: from.address4, to: to.address4, [UInt8(number & 255), UInt8(number >> 8 & 255)])
    }

    @Test func `new keys under traffic lose nothing and repeat nothing`() {
        let pair = TestPair.overlay { $0.rekeyAfter = .seconds(2) }
        for number in 0..<6000 {
            pair.submit(packet(number, pair.a, pair.b), at: pair.a)
            pair.submit(packet(number, pair.b, pair.a), at: pair.b)
            pair.run(.milliseconds(5))
            if number % 200 == 0 {
                for node in [pair.a, pair.b] {
                    node.endpoint.note(node.plane.takeActivity(), now: pair.now)
                    pair.drain(node)
                }
            }
        }
        pair.run(.milliseconds(50))
        #expect(pair.a.endpoint.counters.rekeys >= 10)
        #expect(pair.a.packets.map { $0.bytes.suffix(2) } == pair.b.packets.map { $0.bytes.suffix(2) })
        #expect(pair.b.packets.count == 6000)
        #expect(pair.b.packets.enumerated().allSatisfy { $1.bytes == packet($0, pair.a, pair.b) })
    }

    /// Lets seconds pass as a driver does, with a packet from `from` in each tenth of one.
    private func flow(_ pair: TestPair, _ from: TestNode, _ to: TestNode, seconds: Int) {
        for second in 0..<seconds {
            for tenth in 0..<10 {
                pair.submit(packet(second * 10 + tenth, from, to), at: from)
                pair.run(.milliseconds(100))
            }
            for node in [pair.a, pair.b] {
                node.endpoint.note(node.plane.takeActivity(), now: pair.now)
                pair.drain(node)
            }
        }
    }

    @Test func `a peer that only receives sends keep-alives, and does not count as gone`() {
        let pair = TestPair.overlay()
        flow(pair, pair.a, pair.b, seconds: 100)
        #expect(pair.b.packets.count == 1000)
        #expect(pair.a.endpoint.counters.handshakesStarted == 1)
    }

    @Test func `a peer that has lost its keys gets new ones within seconds of the first packet without success`() {
        let first = TestPair.overlay()
        flow(first, first.a, first.b, seconds: 3)
        var fleet = TestFleet()
        _ = fleet.credentials(for: first.a.node, name: "a")
        var configuration = MeshConfiguration()
        configuration.hasDataPlane = true
        let reborn = TestNode(
            2, credentials: { fleet.credentials(for: $0, name: "b") }, configuration: configuration, life: 2,
            now: first.now)
        let pair = TestPair(first.a, reborn)
        pair.now = first.now
        pair.drain(reborn)
        flow(pair, pair.a, reborn, seconds: 6)
        #expect(reborn.packets.count >= 20)
        #expect(reborn.plane.counters[.unknownSession] <= 40)
    }

    @Test func `packets alone confirm new keys`() {
        let pair = TestPair.members { $0.hasDataPlane = true }
        pair.drain(pair.a)
        pair.drain(pair.b)
        // Nothing but handshakes and packets passes, so what confirms the keys to b is a packet.
        pair.path = { _, bytes in [1, 2, 5].contains(bytes[0]) ? [bytes] : [] }
        pair.connect()
        pair.run(.milliseconds(100))
        #expect(pair.b.connected(to: pair.a.node) == nil)
        pair.submit(packet(1, pair.a, pair.b), at: pair.a)
        pair.run(.milliseconds(100))
        #expect(pair.b.connected(to: pair.a.node) != nil && pair.b.packets.count == 1)
        pair.submit(packet(2, pair.b, pair.a), at: pair.b)
        pair.run(.milliseconds(100))
        #expect(pair.a.packets.count == 1)
    }

    @Test func `a peer that moves in mid-traffic is followed with the next packet`() {
        let pair = TestPair.overlay()
        for number in 0..<100 {
            if number == 50 { pair.a.address = SocketAddress("10.9.9.9:555")! }
            pair.submit(packet(number, pair.a, pair.b), at: pair.a)
            pair.run(.milliseconds(20))
            pair.submit(packet(number, pair.b, pair.a), at: pair.b)
            pair.run(.milliseconds(20))
        }
        #expect(pair.b.packets.count == 100 && pair.a.packets.count == 100)
        #expect(pair.b.endpoint.counters.switches(.moved) == 1)
        // An old packet from the old address does not move the peer back.
        let old = pair.recorded.last { $0.bytes[0] == 5 && $0.from == pair.a.address }!
        pair.arrive([old.bytes], from: SocketAddress("10.8.8.8:1")!, at: pair.b)
        #expect(pair.b.endpoint.counters.switches(.moved) == 1)
    }

    @Test func `of two moves that are reported in the wrong order the newer one counts`() throws {
        let pair = TestPair.overlay()
        pair.submit(packet(1, pair.a, pair.b), at: pair.a)
        pair.run(.milliseconds(20))
        // The index that b gave to a stands in a's packets.
        let sealed = try #require(pair.recorded.last { $0.from == pair.a.address && $0.bytes[0] == 5 }?.bytes)
        let index = sealed[4..<8].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let older = SocketAddress(.v4(0x0a00_0909), 1), newer = SocketAddress(.v4(0x0a00_0909), 2)
        for (remote, counter) in [(newer, UInt64(100)), (older, 99)] {
            pair.b.endpoint.handle(
                .moved(index: index, PathAddress(remote), counter: counter), now: pair.now, wall: pair.wall,
                into: &pair.b.outbox)
        }
        pair.drain(pair.b)
        pair.submit(packet(2, pair.b, pair.a), at: pair.b)
        #expect(pair.recorded.contains { $0.bytes[0] == 5 && $0.to == newer })
        #expect(!pair.recorded.contains { $0.to == older })
    }

    @Test func `packets without a session wait for it, within a limit`() {
        let pair = TestPair.members { $0.hasDataPlane = true }
        pair.drain(pair.a)
        pair.drain(pair.b)
        for number in 0..<100 { pair.submit(packet(number, pair.a, pair.b), at: pair.a) }
        #expect(pair.a.desired == [pair.b.address4])
        pair.connect()
        pair.run(.milliseconds(200))
        // The first come through in their order; the rest was too much.
        #expect(pair.b.packets.map(\.bytes) == (0..<Limits.overlayWaitingPackets).map { packet($0, pair.a, pair.b) })
        #expect(pair.a.plane.counters[.awaitingSession] == 100 - Limits.overlayWaitingPackets)
    }

    @Test func `senders of packets without a session get an ICMP error`() throws {
        let pair = TestPair.overlay()
        let nowhere = IPAddress.v4(0x6440_00ee)
        pair.submit(TestPacket.udp((7, 8), from: pair.a.address4, to: nowhere, [1, 2, 3]), at: pair.a)
        #expect(pair.a.desired == [nowhere])
        pair.a.plane.unreachable(nowhere, now: pair.now, into: &pair.a.planeOutbox)
        pair.drainPlane(pair.a)
        let reply = try #require(pair.a.replies.first)
        // From there, to us, host unreachable, quoting what was sent; both checksums are right.
        #expect(Array(reply[12..<16]) == nowhere.bytes && Array(reply[16..<20]) == pair.a.address4.bytes)
        #expect(reply[20] == 3 && reply[21] == 1 && TestPacket.checksum(Array(reply[..<20])) == 0)
        #expect(TestPacket.checksum(Array(reply[20...])) == 0)
        // A flood is answered a hundred times a second at most.
        for _ in 0..<500 {
            pair.submit(TestPacket.udp((7, 8), from: pair.a.address4, to: nowhere, [1]), at: pair.a)
            pair.a.plane.unreachable(nowhere, now: pair.now, into: &pair.a.planeOutbox)
        }
        pair.drainPlane(pair.a)
        #expect(pair.a.replies.count <= 60)
    }

    @Test(arguments: [false, true])
    func `a packet larger than the path is segmented if it is TCP, else its sender is informed`(isIPv6: Bool) throws {
        let pair = TestPair.overlay()
        let from = isIPv6 ? pair.a.address6 : pair.a.address4, to = isIPv6 ? pair.b.address6 : pair.b.address4
        pair.a.endpoint.measured(nil, at: pair.b.address, mtu: 1280)
        pair.drain(pair.a)
        let payload = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        for segment in [1348, 20_000] {
            pair.b.packets = []
            let before = pair.recorded.count
            let size = segment == 20_000 ? 1300 : payload.count
            let (packet, header) = TestPacket.tcp(from: from, to: to, Array(payload[..<size]), segment: segment)
            pair.submit(packet, header, at: pair.a)
            pair.run(.milliseconds(20))
            #expect(pair.recorded[before...].allSatisfy { $0.bytes.count <= 1252 })
            #expect(pair.b.packets.flatMap { TestPacket.payload(ofTCP: $0.bytes).bytes } == Array(payload[..<size]))
        }
        pair.submit(TestPacket.udp((1, 2), from: from, to: to, Array(payload[..<1300])), at: pair.a)
        let reply = try #require(pair.a.replies.last)
        if isIPv6 {
            #expect(reply[40] == 2 && reply[44..<48].elementsEqual([0, 0, 5, 0]))
        } else {
            #expect(reply[20] == 3 && reply[21] == 4 && UInt16(reply[26]) << 8 | UInt16(reply[27]) == 1220)
        }
        #expect(pair.a.plane.counters[.tooBig] == 1)
    }

    @Test func `congestion on the path is marked for both ends, or the packet is dropped`() {
        let pair = TestPair.overlay()
        func pass(_ congestion: UInt8, outer: UInt8) -> [UInt8]? {
            pair.b.packets = []
            pair.path = { _, _ in [] }
            let body = TestPacket.udp((1, 2), from: pair.a.address4, to: pair.b.address4, [1])[20...]
            pair.submit(
                TestPacket.ip(17, from: pair.a.address4, to: pair.b.address4, Array(body), congestion: congestion),
                at: pair.a)
            pair.arrive([pair.recorded.last!.bytes], from: pair.a.address, congestion: outer, at: pair.b)
            return pair.b.packets.last?.bytes
        }
        #expect(pass(2, outer: 2)?[1] == 2)
        #expect(pass(2, outer: 3)?[1] == 3)
        #expect(TestPacket.checksum(Array((pass(1, outer: 3) ?? [1])[..<20])) == 0)
        #expect(pass(0, outer: 3) == nil && pair.b.plane.counters[.congested] == 1)
    }

    @Test func `a member's packets of a few bytes are refused, with congestion on the way or without`() {
        let pair = TestPair.overlay()
        // The peer's own keys, for packets that no kernel would make.
        let key = SecretBytes([UInt8](repeating: 3, count: 32))
        let policy = PeerPolicy(
            own: pair.a.endpoint.credentials!.certificate.certificate,
            peer: pair.b.endpoint.credentials!.certificate.certificate, rules: [])
        let entry = RxEntry(
            index: 77, peer: 9, key: CipherKey(.chaChaPoly, key: key), address4: pair.a.address4, address6: nil,
            policy: policy, remote: PathAddress(pair.a.address), isConfirmed: true, expiresAt: .distantFuture)
        pair.b.plane.apply(.install(entry), now: pair.now, into: &pair.b.planeOutbox)
        let sender = CipherKey(.chaChaPoly, key: key)
        var counter: UInt64 = 0
        for count in 1..<60 {
            for first in [0x4f, 0x45, 0x60, 0xff] as [UInt8] {
                for flags in 0...3 as ClosedRange<UInt8> {
                    let plain = [first] + [UInt8](repeating: 0xff, count: count - 1)
                    var datagram = [5, flags, 0, 0, 0, 0, 0, 77]
                    datagram += (0..<8).map { UInt8(truncatingIfNeeded: counter >> UInt64(56 - 8 * $0)) }
                    datagram += [UInt8](repeating: 0, count: count + 16)
                    datagram.withUnsafeMutableBytes { memory in
                        let header = UnsafeRawBufferPointer(rebasing: memory[..<16])
                        plain.withUnsafeBytes {
                            sender.seal(
                                from: $0.baseAddress!, count: count, to: memory.baseAddress! + 16,
                                nonce: Nonce(counter, for: .chaChaPoly), aad: header)
                        }
                    }
                    counter += 1
                    // Two in a message: what lies behind the first must stay as it was.
                    let before = pair.b.plane.counters
                    pair.arrive([datagram, datagram], from: pair.a.address, congestion: 3, at: pair.b)
                    #expect(pair.b.plane.counters[.replayed] == before[.replayed] + 1)
                    #expect(pair.b.plane.counters[.badPacket] == before[.badPacket] + 1)
                }
            }
        }
        #expect(pair.b.packets.isEmpty)
    }

    @Test func `flows of one peer allow nothing to the next peer with its number`() {
        let pair = TestPair.overlay(labels: [[Label("app", "web")], [Label("app", "store")]])
        #expect(!pair.delivers((9, 80), pair.a, pair.b))
        #expect(pair.delivers((80, 9), pair.b, pair.a))
        // The same number, the same ports, another address.
        let other = IPAddress.v4(0x6440_0042)
        let local = OverlayLocal(address4: other, address6: pair.b.address6)
        let key = SecretBytes([UInt8](repeating: 3, count: 32))
        let policy = PeerPolicy(
            own: pair.a.endpoint.credentials!.certificate.certificate,
            peer: pair.b.endpoint.credentials!.certificate.certificate, rules: [])
        pair.b.plane.apply(.local(local), now: pair.now, into: &pair.b.planeOutbox)
        pair.b.plane.apply(
            .route(
                TxRoute(
                    peer: 0, remoteIndex: 77, key: CipherKey(.chaChaPoly, key: key), address4: pair.a.address4,
                    address6: nil, remote: PathAddress(pair.a.address), datagramBytes: 1472, tracksFlows: false,
                    expiresAt: .distantFuture)), now: pair.now, into: &pair.b.planeOutbox)
        pair.a.plane.apply(
            .install(
                RxEntry(
                    index: 77, peer: 0, key: CipherKey(.chaChaPoly, key: key), address4: other, address6: nil,
                    policy: policy, remote: PathAddress(pair.b.address), isConfirmed: true, expiresAt: .distantFuture)),
            now: pair.now, into: &pair.a.planeOutbox)
        pair.a.packets = []
        let denied = pair.a.plane.counters[.denied]
        pair.submit(TestPacket.udp((80, 9), from: other, to: pair.a.address4, [1]), at: pair.b)
        pair.run(.milliseconds(20))
        #expect(pair.a.packets.isEmpty && pair.a.plane.counters[.denied] == denied + 1)
    }

    @Test func `no packet is missing from the figures over new keys`() {
        let pair = TestPair.overlay { $0.rekeyAfter = .seconds(2) }
        var sent = 0, received = 0
        for number in 0..<3000 {
            pair.submit(packet(number, pair.a, pair.b), at: pair.a)
            pair.run(.milliseconds(5))
            guard number % 200 == 199 else { continue }
            for node in [pair.a, pair.b] {
                let activities = node.plane.takeActivity()
                for activity in activities where activity.isInward == (node === pair.b) {
                    if activity.isInward { received += Int(activity.packets) } else { sent += Int(activity.packets) }
                }
                node.endpoint.note(activities, now: pair.now)
                pair.drain(node)
            }
        }
        #expect(pair.a.endpoint.counters.rekeys >= 4)
        #expect(sent == 3000 && received >= 2995)
    }

    @Test func `a frame that is no packet is counted, whatever its header states`() {
        let pair = TestPair.overlay()
        for header in [UInt8(2), 3, 6, 0x7f] {
            var frame = [UInt8](repeating: 0, count: 60)
            frame[1] = header
            frame.withUnsafeMutableBytes {
                pair.a.plane.submitted(frame: $0.baseAddress!, count: 60, now: pair.now, into: &pair.a.planeOutbox)
            }
        }
        #expect(pair.a.plane.counters[.malformed] == 4)
    }

    @Test func `junk never traps and never passes`() {
        let pair = TestPair.overlay()
        var random = Random(Seed(4))
        pair.path = { _, _ in [] }
        let (packet, header) = TestPacket.tcp(
            from: pair.a.address4, to: pair.b.address4, [UInt8](repeating: 5, count: 4000), segment: 1348)
        let before = pair.recorded.count
        pair.submit(packet, header, at: pair.a)
        let train = pair.recorded[before...].map(\.bytes)
        for _ in 0..<200_000 {
            var bytes = train[Int(random.next() % 3)]
            switch random.next() % 4 {
            case 0: bytes = Array(bytes.prefix(Int(random.next() % 64)))
            case 1: bytes[Int(random.next() % 40)] ^= UInt8(1 + random.next() % 255)
            case 2: bytes[1] = UInt8(random.next() % 4)
            default: bytes = (0..<Int(random.next() % 80)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            }
            if bytes.isEmpty || train.contains(bytes) { continue }
            pair.arrive([bytes], from: pair.a.address, at: pair.b)
        }
        #expect(pair.b.packets.isEmpty)
        pair.arrive(train, from: pair.a.address, at: pair.b)
        #expect(pair.b.packets.count == 1)
        // The device's side takes any bytes, too.
        for _ in 0..<200_000 {
            var bytes = Array(packet.prefix(Int(random.next() % UInt64(packet.count))))
            var changed = header
            changed.segmentSize = UInt16(truncatingIfNeeded: random.next())
            changed.checksumStart = UInt16(random.next() % 80)
            if !bytes.isEmpty {
                bytes[Int(random.next() % UInt64(min(bytes.count, 60)))] ^= UInt8(random.next() % 256)
            }
            if random.chance(1, in: 2), bytes.count >= 20 {
                bytes[2] = UInt8(bytes.count >> 8)
                bytes[3] = UInt8(truncatingIfNeeded: bytes.count)
            }
            pair.submit(bytes, changed, at: pair.a)
            pair.recorded = []
        }
    }
}
