import Base
import Testing
import Wire

@testable import Mesh

/// The state of a peer after a while without traffic.
@Suite struct RestTests {
    @Test func `a resting peer is reached as before, and earlier datagrams are not accepted again`() throws {
        let pair = TestPair.overlay()
        #expect(pair.delivers((1, 2), pair.a, pair.b) && pair.delivers((2, 1), pair.b, pair.a))
        func peer(_ from: TestNode, _ of: TestNode) throws -> Peer {
            let known = from.endpoint.peer(of.node)
            return try #require(known)
        }
        let old = pair.recorded.filter { $0.to == pair.b.address }.map(\.bytes)
        let packet = try #require(old.last { $0.first == DatagramKind.packet.rawValue })
        let frames = try #require(old.last { $0.first == DatagramKind.frames.rawValue })
        let handshakes = pair.a.endpoint.counters.sessionsEstablished + pair.a.endpoint.counters.rekeys
        for _ in 0..<2 {
            pair.run(.seconds(25))
            for (from, of) in [(pair.a, pair.b), (pair.b, pair.a)] {
                let resting = try peer(from, of)
                #expect(resting.liveness.isResting)
                // Nothing to do until the keys are too old.
                #expect(from.endpoint.deadline.map { $0.at > pair.now + .seconds(20) } ?? true)
            }
            let before = pair.b.plane.counters[.replayed], dropped = pair.b.endpoint.counters[.replayed]
            pair.arrive([packet], from: pair.a.address, at: pair.b)
            pair.inject(frames, from: pair.a.address, to: pair.b)
            #expect(pair.b.plane.counters[.replayed] == before + 1)
            #expect(pair.b.endpoint.counters[.replayed] == dropped + 1)
            #expect(try peer(pair.b, pair.a).liveness.isResting, "a datagram of before wakes nobody")
            #expect(pair.delivers((1, 2), pair.a, pair.b) && pair.delivers((2, 1), pair.b, pair.a))
            pair.a.endpoint.send([1], to: pair.b.node, expectsReply: true, now: pair.now)
            pair.drain(pair.a)
            pair.run(.milliseconds(50))
            #expect(try !peer(pair.a, pair.b).liveness.isResting && !peer(pair.b, pair.a).liveness.isResting)
        }
        #expect(pair.a.endpoint.counters.sessionsEstablished + pair.a.endpoint.counters.rekeys == handshakes)
    }

}
