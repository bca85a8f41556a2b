import Base
import Mesh
import Noise
import Testing
import Wire

@Suite struct EndpointTests {
    @Test func `two members make a session in one round trip, and both know the other's identity`() throws {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(35))
        let atA = try #require(pair.a.connected(to: pair.b.node)), atB = try #require(pair.b.connected(to: pair.a.node))
        #expect(atA.certificate?.name == "b" && atB.certificate?.name == "a")
        #expect(atA.handshakeHash == atB.handshakeHash && atA.handshakeHash.count == 64)
        #expect(atB.address == pair.a.address)
    }

    @Test func `messages arrive as they were sent, both ways`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        pair.a.endpoint.send([1, 2, 3], to: pair.b.node, now: pair.now)
        pair.b.endpoint.send([4, 5], to: pair.a.node, now: pair.now)
        pair.drain(pair.a)
        pair.drain(pair.b)
        pair.run(.milliseconds(100))
        #expect(pair.b.messages(from: pair.a.node) == [[1, 2, 3]])
        #expect(pair.a.messages(from: pair.b.node) == [[4, 5]])
    }

    @Test func `no plaintext is on the wire`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        let secret = Array("the worker's secret argument".utf8)
        pair.a.endpoint.send(secret, to: pair.b.node, now: pair.now)
        pair.drain(pair.a)
        pair.run(.milliseconds(100))
        #expect(pair.b.messages(from: pair.a.node) == [secret])
        for datagram in pair.recorded {
            #expect(!datagram.bytes.indices.contains { datagram.bytes[$0...].starts(with: secret) })
        }
    }

    @Test func `no second message is longer than the first`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        let sizes = pair.recorded.prefix(2).map(\.bytes.count)
        #expect(sizes[1] <= sizes[0] && sizes[0] <= Limits.datagramBytes)
    }

    @Test func `a ping measures the round trip`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        let sent = pair.a.endpoint.ping(pair.b.node, token: 7, now: pair.now)
        #expect(sent)
        pair.drain(pair.a)
        pair.run(.milliseconds(100))
        let by = PathAddress(pair.b.address)
        #expect(pair.a.events.contains(.pong(pair.b.node, token: 7, roundTrip: .milliseconds(20), by: by)))
    }

    @Test func `a lost first message is sent again`() {
        let pair = TestPair.members()
        var lost = 0
        pair.path = { _, bytes in
            lost += 1
            return lost <= 3 ? [] : [bytes]
        }
        pair.connect()
        pair.run(.seconds(5))
        #expect(pair.a.connected(to: pair.b.node) != nil && pair.b.connected(to: pair.a.node) != nil)
    }

    @Test func `a peer that never answers fails the connect and leaves nothing behind`() {
        let pair = TestPair.members()
        pair.path = { _, _ in [] }
        pair.connect()
        pair.run(.seconds(60))
        #expect(pair.a.events == [.connectFailed(pair.b.node, .timeout)])
        #expect(pair.a.endpoint.deadline == nil)
        #expect(pair.a.endpoint.summaries(now: pair.now).isEmpty)
    }

    @Test func `both ends may start at once`() {
        let pair = TestPair.members()
        pair.connect()
        pair.b.endpoint.connect(to: pair.a.node, at: [pair.a.address], now: pair.now, into: &pair.b.outbox)
        pair.drain(pair.b)
        pair.run(.seconds(1))
        for (from, to) in [(pair.a, pair.b), (pair.b, pair.a)] {
            from.endpoint.send([9], to: to.node, now: pair.now)
            pair.drain(from)
        }
        pair.run(.seconds(1))
        #expect(pair.a.messages(from: pair.b.node) == [[9]] && pair.b.messages(from: pair.a.node) == [[9]])
        #expect(!pair.a.events.contains { if case .disconnected = $0 { true } else { false } })
    }

    @Test func `a peer that moves is followed to its new address`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        pair.a.address = SocketAddress("10.9.9.9:555")!
        pair.a.endpoint.send([1], to: pair.b.node, now: pair.now)
        pair.drain(pair.a)
        pair.run(.milliseconds(100))
        pair.b.endpoint.send([2], to: pair.a.node, now: pair.now)
        pair.drain(pair.b)
        pair.run(.milliseconds(500))
        #expect(pair.a.messages(from: pair.b.node) == [[2]])
        #expect(pair.b.endpoint.counters.switches(.moved) == 1)
    }

    @Test func `keys are made again and nothing is lost over it`() {
        let pair = TestPair.members()
        pair.connect()
        for round in 0..<1000 {
            pair.a.endpoint.send([UInt8(truncatingIfNeeded: round)], to: pair.b.node, now: pair.now)
            pair.b.endpoint.send([UInt8(truncatingIfNeeded: round)], to: pair.a.node, now: pair.now)
            pair.drain(pair.a)
            pair.drain(pair.b)
            pair.run(.seconds(1))
        }
        // The first round came before the session.
        #expect(pair.b.messages(from: pair.a.node).count >= 999)
        #expect(pair.a.messages(from: pair.b.node).count >= 999)
        #expect((7...9).contains(pair.a.endpoint.counters.rekeys))
        #expect(!pair.a.events.contains { if case .disconnected = $0 { true } else { false } })
    }

    @Test func `a peer that was restarted is connected again and the loss is reported`() {
        var fleet = TestFleet()
        let first = TestPair.members()
        first.connect()
        first.run(.milliseconds(100))
        // The same identity at the same address, with an empty memory.
        let reborn = TestNode(
            2, credentials: { fleet.credentials(for: $0, name: "b") }, configuration: MeshConfiguration(), life: 2,
            now: first.now)
        let pair = TestPair(first.a, reborn)
        pair.now = first.now
        pair.a.events = []
        for _ in 0..<6 {
            pair.a.endpoint.send([1], to: pair.b.node, expectsReply: true, now: pair.now)
            pair.drain(pair.a)
            pair.run(.seconds(1))
        }
        #expect(pair.a.events.prefix(1) == [.disconnected(pair.b.node, .peerForgot)])
        #expect(pair.a.connected(to: pair.b.node) != nil)
        #expect(!pair.b.messages(from: pair.a.node).isEmpty)
        #expect(pair.b.endpoint.counters[.unknownSession] > 0)
    }

    @Test func `a peer's datagrams of its former life do not count in its present one`() throws {
        var fleet = TestFleet()
        let first = TestPair.members()
        first.connect()
        first.run(.milliseconds(100))
        // b writes on a stream, and the datagram is still on its way when b is started again.
        let late = first.b.endpoint.openStream(to: first.a.node)
        _ = first.b.endpoint.write([9, 9, 9], to: try #require(late), of: first.a.node)
        first.path = { _, _ in [] }
        first.drain(first.b)
        let delayed = try #require(first.recorded.last).bytes
        let reborn = TestNode(
            2, credentials: { fleet.credentials(for: $0, name: "b") }, configuration: MeshConfiguration(), life: 2,
            now: first.now)
        let pair = TestPair(first.a, reborn)
        pair.now = first.now
        pair.b.endpoint.connect(to: pair.a.node, at: [pair.a.address], now: pair.now, into: &pair.b.outbox)
        pair.drain(pair.b)
        pair.run(.milliseconds(100))
        let opened = pair.b.endpoint.openStream(to: pair.a.node)
        let stream = try #require(opened)
        pair.a.events = []
        pair.inject(delayed, from: pair.b.address, to: pair.a)
        #expect(pair.a.events.isEmpty && pair.a.endpoint.counters[.unknownSession] == 1)
        _ = pair.b.endpoint.write([1, 2, 3], to: stream, of: pair.a.node)
        pair.drain(pair.b)
        pair.run(.milliseconds(100))
        let result = pair.a.endpoint.read(stream, of: pair.b.node, into: &pair.a.outbox)
        #expect(result.bytes == [1, 2, 3])
    }

    @Test func `on a path slower than the first wait the first answer still counts`() {
        let pair = TestPair.members()
        // An answer takes 600 ms; first messages go out after 0, 250 and 750 ms.
        pair.latency = .milliseconds(300)
        pair.connect()
        pair.run(.milliseconds(690))
        #expect(pair.a.connected(to: pair.b.node) != nil)
        #expect(pair.a.endpoint.counters.handshakesStarted == 1)
        // The next ones wait for as long as this path needs.
        let begun = pair.recorded.count
        pair.run(.seconds(130))
        pair.a.endpoint.send([1], to: pair.b.node, now: pair.now)
        pair.drain(pair.a)
        let firsts = pair.recorded[begun...].filter { $0.bytes[0] == 1 && $0.from == pair.a.address }
        #expect(firsts.count <= 1)
    }

    @Test func `new keys that do not help are made less and less often`() {
        let pair = TestPair.members { $0.unansweredBeforeTimeout = .seconds(100) }
        pair.connect()
        pair.run(.milliseconds(100))
        // Handshakes pass, and nothing else does.
        pair.path = { _, bytes in bytes[0] == 4 && bytes.count > 40 ? [] : [bytes] }
        for _ in 0..<60 {
            pair.a.endpoint.send([1], to: pair.b.node, expectsReply: true, now: pair.now)
            pair.drain(pair.a)
            pair.run(.seconds(1))
        }
        // Without growing waits there would be more than twenty.
        #expect((3...7).contains(pair.a.endpoint.counters.handshakesStarted))
    }

    @Test func `a session without answers ends`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        pair.path = { _, _ in [] }
        pair.a.endpoint.send([1], to: pair.b.node, expectsReply: true, now: pair.now)
        pair.drain(pair.a)
        pair.run(.seconds(20))
        #expect(pair.a.events.last == .disconnected(pair.b.node, .timeout))
    }

    @Test func `a goodbye is received`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        pair.a.endpoint.disconnect(pair.b.node, now: pair.now, into: &pair.a.outbox)
        pair.drain(pair.a)
        pair.run(.milliseconds(100))
        #expect(pair.b.events.last == .disconnected(pair.a.node, .closedByPeer(.goodbye)))
        #expect(pair.a.events.last == .disconnected(pair.b.node, .local))
    }

    @Test func `an idle session ends when its keys are too old, and a request without an answer sooner`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.milliseconds(100))
        pair.path = { _, _ in [] }
        pair.run(.seconds(400))
        #expect(pair.b.events.last == .disconnected(pair.a.node, .idle))
        #expect(pair.b.endpoint.deadline == nil)
    }

    @Test func `a stream carries bytes over a lossy path across rekeys`() throws {
        let pair = TestPair.members { $0.rekeyAfter = .seconds(2) }
        pair.connect()
        pair.run(.milliseconds(100))
        var random = Random(Seed(5))
        pair.path = { _, bytes in random.chance(1, in: 20) ? [] : random.chance(1, in: 20) ? [bytes, bytes] : [bytes] }
        let opened = pair.a.endpoint.openStream(to: pair.b.node)
        let stream = try #require(opened)
        let data = (0..<1_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 9) }
        var written = 0, received: [UInt8] = []
        for _ in 0..<3000 where received.count < data.count {
            written += pair.a.endpoint.write(data[written...], to: stream, of: pair.b.node)
            pair.drain(pair.a)
            pair.run(.milliseconds(20))
            received += pair.b.endpoint.read(stream, of: pair.a.node, into: &pair.b.outbox).bytes
            pair.drain(pair.b)
        }
        #expect(received == data)
        #expect(pair.a.endpoint.counters.rekeys > 0)
    }
}
