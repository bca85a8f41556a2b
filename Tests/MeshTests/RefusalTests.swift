import Base
import Mesh
import Noise
import Testing
import Wire

/// What unauthenticated peers, and members of other fleets, can do: nothing, and it is counted.
@Suite struct RefusalTests {
    static let now = Instant(nanoseconds: 1_000_000_000)

    /// A pair whose first node has other credentials than it should.
    static func pair(_ credentials: @escaping (NodeID, inout TestFleet) -> Credentials?) -> TestPair {
        var fleet = TestFleet()
        let a = TestNode(1, credentials: { credentials($0, &fleet) }, configuration: MeshConfiguration(), now: now)
        let b = TestNode(
            2, credentials: { fleet.credentials(for: $0, name: "b") }, configuration: MeshConfiguration(), now: now)
        return TestPair(a, b)
    }

    static func expectRefusal(_ pair: TestPair, _ reason: DropReason) {
        pair.connect()
        pair.run(.seconds(1))
        #expect(pair.b.endpoint.counters[reason] > 0, "\(reason)")
        #expect(pair.b.events.isEmpty)
        #expect(pair.b.endpoint.summaries(now: pair.now).isEmpty)
        #expect(pair.b.endpoint.deadline == nil)
    }

    @Test func `a certificate of another fleet is refused`() {
        var other = TestFleet(2)
        Self.expectRefusal(Self.pair { node, _ in other.credentials(for: node, name: "a") }, .foreignFleet)
    }

    @Test func `a certificate that no trusted authority signed is refused`() {
        Self.expectRefusal(
            Self.pair { node, fleet in
                var credentials = fleet.credentials(for: node, name: "a")
                credentials.certificate.signature[5] ^= 1
                return credentials
            }, .badSignature)
    }

    @Test func `another node's certificate is refused`() {
        Self.expectRefusal(
            Self.pair { _, fleet in
                fleet.credentials(for: NodeID([UInt8](repeating: 9, count: 32))!, name: "a")
            }, .wrongNode)
    }

    @Test func `a certificate that has run out is refused, ten minutes after`() {
        Self.expectRefusal(
            Self.pair { node, fleet in
                let start = UnixTime(seconds: TestFleet.start.seconds - 3600)
                return fleet.credentials(for: node, name: "a", notBefore: start, life: .minutes(49))
            }, .expiredCertificate)
        let slack = Self.pair { node, fleet in
            let start = UnixTime(seconds: TestFleet.start.seconds - 3600)
            return fleet.credentials(for: node, name: "a", notBefore: start, life: .minutes(55))
        }
        slack.connect()
        slack.run(.seconds(1))
        #expect(slack.b.connected(to: slack.a.node) != nil)
    }

    /// Two clocks differ, and that is all: no authority signs for later.
    @Test func `a certificate from the future is accepted`() {
        let pair = Self.pair { node, fleet in
            fleet.credentials(for: node, name: "a", notBefore: UnixTime(seconds: TestFleet.start.seconds + 86_400))
        }
        pair.connect()
        pair.run(.seconds(1))
        #expect(pair.b.connected(to: pair.a.node) != nil)
    }

    @Test func `a pinned node's certificate is accepted after its end, and another node's is not`() {
        let old = { (node: NodeID, fleet: inout TestFleet) in
            let start = UnixTime(seconds: TestFleet.start.seconds - 86_400)
            return fleet.credentials(for: node, name: "a", notBefore: start, life: .minutes(60))
        }
        let pair = Self.pair { node, fleet in old(node, &fleet) }
        pair.b.endpoint.pin([pair.a.node])
        pair.connect()
        pair.run(.seconds(1))
        #expect(pair.b.connected(to: pair.a.node) != nil)
        let other = Self.pair { node, fleet in old(node, &fleet) }
        other.b.endpoint.pin([NodeID([UInt8](repeating: 9, count: 32))!])
        other.connect()
        other.run(.seconds(1))
        #expect(other.b.connected(to: other.a.node) == nil)
    }

    @Test func `a node without a certificate is refused by a node that does not enrol`() {
        Self.expectRefusal(Self.pair { _, _ in nil }, .anonymousRefused)
    }

    @Test func `an initiator refuses a responder of another fleet`() {
        var other = TestFleet(2)
        let pair = Self.pair { node, _ in other.credentials(for: node, name: "a") }
        // The responder trusts both fleets, the initiator does not.
        pair.b.endpoint.adopt(
            Credentials(
                certificate: pair.b.endpoint.credentials!.certificate,
                authorities: [other.signing.verifyingKey, pair.b.endpoint.credentials!.authorities[0]]))
        pair.connect()
        pair.run(.seconds(1))
        #expect(pair.a.connected(to: pair.b.node) == nil)
    }

    @Test func `a replayed first message is refused and counted, and changes nothing`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        let first = pair.recorded[0]
        for _ in 0..<5 { pair.inject(first.bytes, from: SocketAddress("10.66.6.6:1")!, to: pair.b) }
        #expect(pair.b.endpoint.counters[.replayedHandshake] == 5)
        pair.b.endpoint.send([1], to: pair.a.node, now: pair.now)
        pair.drain(pair.b)
        pair.run(.milliseconds(100))
        #expect(pair.a.messages(from: pair.b.node) == [[1]])
    }

    @Test func `a first message recorded before a restart makes nothing that lasts`() {
        let old = TestPair.members()
        old.connect()
        old.run(.milliseconds(100))
        let fresh = TestPair.members()
        fresh.inject(old.recorded[0].bytes, from: old.a.address, to: fresh.b)
        #expect(fresh.b.events.isEmpty)
        fresh.run(.seconds(40))
        #expect(fresh.b.events.isEmpty)
        #expect(fresh.b.endpoint.summaries(now: fresh.now).isEmpty && fresh.b.endpoint.deadline == nil)
    }

    @Test func `a replayed datagram is refused once per copy and counted`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        pair.a.endpoint.send([1], to: pair.b.node, now: pair.now)
        pair.drain(pair.a)
        let datagram = pair.recorded.last!
        pair.run(.milliseconds(100))
        for _ in 0..<3 { pair.inject(datagram.bytes, from: datagram.from, to: pair.b) }
        #expect(pair.b.messages(from: pair.a.node) == [[1]])
        #expect(pair.b.endpoint.counters[.replayed] == 3)
    }

    @Test func `every flipped bit of every kind of datagram is refused, and the session lives on`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        pair.a.endpoint.send([1, 2, 3], to: pair.b.node, now: pair.now)
        pair.drain(pair.a)
        let frames = pair.recorded.last!.bytes, second = pair.recorded[1].bytes, first = pair.recorded[0].bytes
        let before = pair.b.events
        for bytes in [frames, second] {
            for bit in 0..<bytes.count * 8 {
                var changed = bytes
                changed[bit / 8] ^= 1 << (bit % 8)
                pair.inject(changed, from: pair.a.address, to: pair.b)
            }
        }
        for bit in stride(from: 0, to: first.count * 8, by: 7) {
            var changed = first
            changed[bit / 8] ^= 1 << (bit % 8)
            pair.inject(changed, from: pair.a.address, to: pair.b)
        }
        #expect(pair.b.events == before)
        pair.run(.milliseconds(100))
        #expect(pair.b.messages(from: pair.a.node) == [[1, 2, 3]])
        let counters = pair.b.endpoint.counters
        #expect(counters[.forged] > 0 && counters[.malformed] > 0 && counters[.badMAC1] > 0)
        #expect(counters[.unknownSession] > 0 && counters[.unsolicitedResponse] > 0)
    }

    @Test func `every truncation of every kind of datagram is refused`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        let before = pair.b.events
        for bytes in pair.recorded.prefix(4).map(\.bytes) {
            for count in 0..<bytes.count { pair.inject(Array(bytes[..<count]), from: pair.a.address, to: pair.b) }
        }
        #expect(pair.b.events == before)
        #expect(pair.b.endpoint.counters[.malformed] > 0)
    }

    @Test func `64 KiB of junk is refused`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        let before = pair.b.events
        var random = Random(Seed(3))
        for kind in 0..<256 {
            let junk = [UInt8(kind), 0, 0, 0] + (0..<65_503).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            pair.inject(junk, from: SocketAddress("10.3.3.3:3")!, to: pair.b)
        }
        #expect(pair.b.events == before)
        let counters = pair.b.endpoint.counters
        #expect(counters[.malformed] == 253 && counters[.relayUnknownSender] == 1)
        #expect(counters[.noDataPlane] == 1 && counters[.unknownSession] == 1)
    }

    @Test func `under load a cookie is required, and a node that has one is answered`() {
        let pair = TestPair.members()
        var fleet = TestFleet()
        // Six hundred first messages within a second, each from another node.
        for number in 0..<600 {
            let flooder = TestNode(
                UInt64(100 + number), credentials: { fleet.credentials(for: $0, name: "f") },
                configuration: MeshConfiguration(), now: pair.now)
            flooder.endpoint.connect(to: pair.b.node, at: [pair.b.address], now: pair.now, into: &flooder.outbox)
            flooder.endpoint.flush(now: pair.now, into: &flooder.outbox)
            pair.inject(flooder.outbox.datagrams.bytes(at: 0), from: flooder.address, to: pair.b)
        }
        #expect(pair.b.endpoint.counters[.cookieDemanded] > 0)
        pair.connect()
        pair.run(.milliseconds(900))
        #expect(pair.a.connected(to: pair.b.node) != nil)
        #expect(pair.b.endpoint.counters[.cookieDemanded] > 88)
    }

    @Test func `nodes without a certificate are bounded in number and time where they may enrol`() {
        var fleet = TestFleet()
        var open = MeshConfiguration()
        open.acceptsAnonymous = true
        let controller = TestNode(
            2, credentials: { fleet.credentials(for: $0, name: "c", roles: .controller) }, configuration: open,
            now: Self.now)
        var unknownPeer = MeshConfiguration()
        unknownPeer.authorities = [fleet.signing.verifyingKey]
        var last: TestPair?
        for number in 0..<Limits.anonymousSessions + 20 {
            let node = TestNode(
                UInt64(1000 + number), credentials: { _ in nil }, configuration: unknownPeer, now: Self.now)
            let pair = TestPair(node, controller)
            pair.connect()
            pair.run(.milliseconds(50))
            last = pair
        }
        let sessions = controller.endpoint.summaries(now: Self.now).count { $0.isConnected }
        #expect(sessions == Limits.anonymousSessions)
        #expect(controller.endpoint.counters[.anonymousRefused] > 0)
        last!.run(.seconds(40))
        #expect(controller.endpoint.summaries(now: Self.now).isEmpty)
        #expect(controller.events.contains { if case .disconnected(_, .anonymousExpired) = $0 { true } else { false } })
    }
}
