import Base
import Mesh
import Testing
import Wire

@Suite struct DataPlaneTests {
    private func bytes(_ count: Int, _ seed: UInt64 = 1) -> [UInt8] {
        var random = Random(Seed(seed))
        return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    @Test(arguments: [false, true])
    func `a packet arrives as it was sent`(isIPv6: Bool) {
        let pair = TestPair.overlay()
        let from = isIPv6 ? pair.a.address6 : pair.a.address4, to = isIPv6 ? pair.b.address6 : pair.b.address4
        for count in [0, 1, 100, 1392] where count + 48 <= 1440 {
            let packet = TestPacket.udp((1, 2), from: from, to: to, bytes(count))
            pair.submit(packet, at: pair.a)
            pair.run(.milliseconds(20))
            #expect(pair.b.packets.last?.bytes == packet)
            #expect(pair.b.packets.last?.header == VirtioHeader())
        }
        #expect(pair.b.plane.counters.packetsReceived == 4)
    }

    @Test(arguments: [false, true])
    func `a super-packet arrives whole, in one message or in many`(isIPv6: Bool) throws {
        let pair = TestPair.overlay()
        let from = isIPv6 ? pair.a.address6 : pair.a.address4, to = isIPv6 ? pair.b.address6 : pair.b.address4
        let payload = bytes(50_001)
        let (packet, header) = TestPacket.tcp(from: from, to: to, payload, segment: 1348)
        // One message of all datagrams, as GRO would give it.
        let before = pair.recorded.count
        pair.path = { _, _ in [] }
        pair.submit(packet, header, at: pair.a)
        let train = pair.recorded[before...].map(\.bytes)
        #expect(train.count == 38)
        pair.arrive(train, from: pair.a.address, at: pair.b)
        let whole = try #require(pair.b.packets.first)
        #expect(pair.b.packets.count == 1)
        #expect(TestPacket.payload(ofTCP: whole.bytes).bytes == payload)
        #expect(whole.header.segmentation == (isIPv6 ? .tcp6 : .tcp4) && whole.header.segmentSize == 1348)
        // Lengths, numbers and flags are those of the packet that was sent; the checksum is the pseudo header's.
        let start = isIPv6 ? 40 : 20
        #expect(whole.bytes[..<(start + 16)] == packet[..<(start + 16)])
        #expect(whole.bytes[(start + 18)...] == packet[(start + 18)...])
        if !isIPv6 { #expect(TestPacket.checksum(Array(whole.bytes[..<20])) == 0) }
        // One by one they come out as single segments with the same bytes.
        pair.b.packets = []
        pair.path = { [$1] }
        pair.submit(packet, header, at: pair.a)
        pair.run(.milliseconds(20))
        #expect(pair.b.packets.count == 38)
        let all = pair.b.packets.flatMap { TestPacket.payload(ofTCP: $0.bytes).bytes }
        #expect(all == payload)
        #expect(pair.b.packets.dropLast().allSatisfy { $0.bytes[start + 13] == 0x10 })
        #expect(pair.b.packets.last?.bytes[start + 13] == 0x18)
    }

    @Test(arguments: [false, true])
    func `datagrams that are sent together may be as short as they like`(isIPv6: Bool) {
        let pair = TestPair.overlay()
        let from = isIPv6 ? pair.a.address6 : pair.a.address4, to = isIPv6 ? pair.b.address6 : pair.b.address4
        for size in [1, 7, 20, 47, 48] {
            let payload = bytes(size * 60 - size / 3)
            let packet = TestPacket.udp((1, 2), from: from, to: to, payload)
            var header = VirtioHeader()
            header.flags = VirtioHeader.needsChecksum
            header.checksumStart = UInt16(packet.count - 8 - payload.count)
            header.checksumOffset = 6
            header.headerLength = header.checksumStart + 8
            header.segmentation = .udp
            header.segmentSize = UInt16(size)
            pair.b.packets = []
            pair.submit(packet, header, at: pair.a)
            pair.run(.milliseconds(20))
            #expect(pair.b.packets.count == 60)
            #expect(pair.b.packets.flatMap { $0.bytes[(Int(header.checksumStart) + 8)...] } == payload)
        }
    }

    @Test func `loss, repetition and disorder cost what they hit and change nothing else`() {
        let pair = TestPair.overlay()
        var random = Random(Seed(9))
        let stream = bytes(4_000_000, 3)
        var offset = 0, held: [[UInt8]] = [], messages: [[[UInt8]]] = []
        // The path is taken apart here: trains are broken, mixed, doubled and put into messages again.
        while offset < stream.count {
            let count = min(stream.count - offset, 1348 * Int(1 + random.next() % 44) + Int(random.next() % 1348))
            let before = pair.recorded.count
            pair.path = { _, _ in [] }
            let (packet, header) = TestPacket.tcp(
                from: pair.a.address4, to: pair.b.address4, Array(stream[offset..<offset + count]), segment: 1348,
                sequence: UInt32(offset))
            pair.submit(packet, header, at: pair.a)
            var message: [[UInt8]] = []
            for datagram in pair.recorded[before...].map(\.bytes) {
                if random.chance(1, in: 50) { continue }
                if random.chance(1, in: 50) {
                    held.append(datagram)
                    continue
                }
                if random.chance(1, in: 50) { messages.append([datagram]) }
                if let last = message.last, last.count != message[0].count || datagram.count > last.count {
                    messages.append(message)
                    message = []
                }
                message.append(datagram)
            }
            if !message.isEmpty { messages.append(message) }
            if random.chance(1, in: 3) { messages += held.map { [$0] }; held = [] }
            offset += count
        }
        for message in messages { pair.arrive(message, from: pair.a.address, at: pair.b) }
        var covered = 0
        for (header, packet) in pair.b.packets {
            let (sequence, payload) = TestPacket.payload(ofTCP: packet)
            #expect(payload == Array(stream[Int(sequence)..<Int(sequence) + payload.count]))
            #expect(header.flags == VirtioHeader.needsChecksum)
            covered += payload.count
        }
        // No byte comes twice, and about a fiftieth not at all.
        #expect(covered < stream.count && covered > stream.count / 100 * 95)
        #expect(pair.b.plane.counters[.replayed] > 0)
        #expect(pair.b.packets.count < messages.count * 3)
    }

    @Test func `what a peer must not send is dropped by its reason`() {
        let pair = TestPair.overlay()
        func sent(_ packet: [UInt8]) -> [UInt8] {
            let before = pair.recorded.count
            pair.path = { _, _ in [] }
            pair.submit(packet, at: pair.a)
            return pair.recorded.count > before ? pair.recorded.last!.bytes : []
        }
        let good = TestPacket.udp((1, 2), from: pair.a.address4, to: pair.b.address4, bytes(64))
        let datagram = sent(good)
        for change in 0..<datagram.count {
            var forged = datagram
            forged[change] ^= 0x10
            pair.arrive([forged], from: pair.a.address, at: pair.b)
        }
        #expect(pair.b.packets.isEmpty)
        let counters = pair.b.plane.counters
        #expect(counters[.forged] > 80 && counters[.unknownSession] > 0 && counters[.badPacket] > 0)
        pair.arrive([datagram], from: pair.a.address, at: pair.b)
        pair.arrive([datagram], from: pair.a.address, at: pair.b)
        #expect(pair.b.packets.count == 1 && pair.b.plane.counters[.replayed] == 1)
        pair.arrive([Array(datagram.prefix(20))], from: pair.a.address, at: pair.b)
        #expect(sent(TestPacket.udp((1, 2), from: .v4(0x0102_0304), to: pair.b.address4, [1])).isEmpty)
        #expect(pair.a.plane.counters[.foreignSource] == 1)
        for nobody in ["224.0.0.1", "255.255.255.255", "127.0.0.1"] {
            #expect(sent(TestPacket.udp((1, 2), from: pair.a.address4, to: IPAddress(nobody)!, [1])).isEmpty)
        }
        #expect(pair.a.plane.counters[.multicast] == 3)
        for junk in [[], [0x45], bytes(19), [UInt8](repeating: 0x45, count: 60)] { #expect(sent(junk).isEmpty) }
        #expect(pair.a.plane.counters[.malformed] == 4)
    }

    @Test func `a packet with a false source or destination is dropped`() {
        // The liar's own data plane believes that it has these addresses.
        let pair = TestPair.overlay()
        let other = IPAddress.v4(0x6440_00ff)
        let local = OverlayLocal(address4: other, address6: pair.a.address6)
        pair.a.plane.apply(.local(local), now: pair.now, into: &pair.a.planeOutbox)
        pair.submit(TestPacket.udp((1, 2), from: other, to: pair.b.address4, [1]), at: pair.a)
        pair.run(.milliseconds(20))
        #expect(pair.b.packets.isEmpty && pair.b.plane.counters[.spoofedSource] == 1)
        let elsewhere = OverlayLocal(address4: .v4(0x6440_0077), address6: pair.b.address6)
        pair.b.plane.apply(.local(elsewhere), now: pair.now, into: &pair.b.planeOutbox)
        pair.a.plane.apply(
            .local(OverlayLocal(address4: pair.a.address4, address6: pair.a.address6)), now: pair.now,
            into: &pair.a.planeOutbox)
        pair.submit(TestPacket.udp((1, 2), from: pair.a.address4, to: pair.b.address4, [1]), at: pair.a)
        pair.run(.milliseconds(20))
        #expect(pair.b.packets.isEmpty && pair.b.plane.counters[.notForUs] == 1)
    }

    @Test func `applications are closed to each other except for rules and answers`() throws {
        let labels = [[Label("app", "web")], [Label("app", "store")]]
        let rule = try PolicyRule(parsing: "udp:53,8000-8010 from app=web")
        let pair = TestPair.overlay(labels: labels) { $0.policy = [rule] }
        let send = pair.delivers
        #expect(!send((9, 80), pair.a, pair.b))
        #expect(send((9, 53), pair.a, pair.b))
        #expect(send((9, 8010), pair.a, pair.b))
        #expect(!send((9, 8011), pair.a, pair.b))
        // The rule is about web; a is web, so b may not reach it.
        #expect(!send((80, 53), pair.b, pair.a))
        // But an answer passes, to that port and from that port only, until it is too old.
        #expect(!send((80, 10), pair.b, pair.a))
        #expect(!send((11, 70), pair.a, pair.b))
        #expect(send((70, 11), pair.b, pair.a))
        #expect(!send((71, 11), pair.b, pair.a))
        #expect(!send((70, 12), pair.b, pair.a))
        pair.run(.seconds(100))
        #expect(send((70, 11), pair.b, pair.a))
        pair.b.endpoint.note(pair.b.plane.takeActivity(), now: pair.now)
        pair.run(.seconds(181))
        pair.b.endpoint.send([1], to: pair.a.node, now: pair.now)
        pair.drain(pair.b)
        pair.run(.seconds(1))
        #expect(!send((70, 11), pair.b, pair.a))
        #expect(pair.b.plane.counters[.denied] >= 2 && pair.a.plane.counters[.denied] >= 3)
    }

    @Test func `a rule that is removed denies under keys that live, and a rule that is added allows`() throws {
        let labels = [[Label("app", "web")], [Label("app", "store")]]
        let rule = try PolicyRule(parsing: "udp:53 from app=web"), all = try PolicyRule(parsing: "any from app=web")
        let pair = TestPair.overlay(labels: labels) { $0.policy = [rule] }
        let sessions = pair.b.endpoint.counters.handshakesAnswered + pair.a.endpoint.counters.handshakesAnswered
        func setPolicy(_ rules: [PolicyRule]) {
            pair.b.endpoint.setPolicy(rules)
            // As drivers do it: with the next flush.
            pair.b.endpoint.tick(now: pair.now, wall: pair.wall, into: &pair.b.outbox)
            pair.drain(pair.b)
        }
        #expect(pair.delivers((9, 53), pair.a, pair.b))
        setPolicy([])
        #expect(!pair.delivers((9, 53), pair.a, pair.b))
        #expect(pair.b.plane.counters[.denied] == 1)
        setPolicy([all])
        #expect(pair.delivers((9, 53), pair.a, pair.b))
        // What b sends while everything is allowed needs no memory; from the change on it does, so that answers pass.
        setPolicy([])
        #expect(!pair.delivers((70, 12), pair.b, pair.a))
        #expect(pair.delivers((12, 70), pair.a, pair.b))
        #expect(!pair.delivers((13, 70), pair.a, pair.b))
        #expect(
            pair.b.endpoint.counters.handshakesAnswered + pair.a.endpoint.counters.handshakesAnswered == sessions)
    }

    @Test func `a rule that cannot be read is an error`() {
        for text in [
            "", "sctp", "tcp:", "tcp:0", "tcp:70000", "tcp:9-8", "icmp:1", "tcp from", "tcp to app=x", "tcp from x",
        ] {
            #expect(throws: PolicyRuleError.self) { try PolicyRule(parsing: text) }
        }
    }
}
