import Base
import Testing
import Wire

@testable import Mesh

/// What an endpoint makes of its peers' candidates and relays.
@Suite struct EndpointPathTests {
    private static let first = SocketAddress("198.51.100.1:7950")!, second = SocketAddress("198.51.100.2:7950")!

    private static func knows(_ pair: TestPair, _ address: SocketAddress) -> Bool {
        pair.b.endpoint.report(on: pair.a.node, now: pair.now)!.paths.contains { $0.address.remote == address }
    }

    @Test func `a peer that begins a new life is believed although it counts from one again`() {
        let pair = TestPair.members()
        for last in 1...9 {
            pair.a.endpoint.listens(at: [SocketAddress("198.51.100.100:\(last)")!], now: pair.now)
        }
        pair.a.endpoint.listens(at: [Self.first], now: pair.now)
        pair.connect()
        pair.run(.seconds(1))
        #expect(Self.knows(pair, Self.first))
        // As after a crash: another association, and other addresses.
        let credentials = pair.a.endpoint.credentials
        let again = TestNode(
            1, credentials: { _ in credentials }, configuration: MeshConfiguration(), life: 2, now: pair.now)
        #expect(again.node == pair.a.node)
        again.endpoint.listens(at: [Self.second], now: pair.now)
        let later = TestPair(again, pair.b)
        later.now = pair.now
        later.connect()
        later.run(.seconds(1))
        #expect(Self.knows(later, Self.second))
    }

    @Test func `a peer's word does not move a relay that the controller has named`() throws {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.seconds(1))
        let relay = NodeID([UInt8](repeating: 9, count: 32))!
        pair.a.endpoint.useRelays(
            [ControllerAddress(node: relay, addresses: [Self.first])], now: pair.now, into: &pair.a.outbox)
        let known = pair.a.endpoint.existingPeer(pair.b.node)
        let peer = try #require(known)
        let place = RelayPlace(relay: relay, address: Self.second, leg: 1)
        pair.a.endpoint.hear([.relayed(place)], .none, number: 1000, from: peer, now: pair.now)
        #expect(pair.a.endpoint.relayClients.map(\.whereabouts.addresses) == [[Self.first]])
        // One that nobody named is taken on the peer's word, and not asked for ever.
        let other = RelayPlace(relay: NodeID([UInt8](repeating: 8, count: 32))!, address: Self.second, leg: 1)
        pair.a.endpoint.hear([.relayed(other)], .none, number: 1001, from: peer, now: pair.now)
        #expect(pair.a.endpoint.relayClients.count == 2)
        pair.run(.minutes(2))
        #expect(pair.a.endpoint.relayClients.map(\.relay) == [relay])
    }

    @Test func `a peer without any path wakes nobody for nothing`() throws {
        let pair = TestPair.members { $0.hasDataPlane = true }
        pair.connect()
        pair.run(.seconds(1))
        let known = pair.a.endpoint.existingPeer(pair.b.node)
        let peer = try #require(known)
        peer.size?.used(pair.now)
        peer.paths.sent(now: pair.now)
        peer.paths.withdraw(where: { _ in true }, now: pair.now)
        pair.a.endpoint.mark(peer)
        pair.drain(pair.a)
        #expect((pair.a.endpoint.deadline?.at ?? .distantFuture) > pair.now)
    }

    @Test func `lateness is counted once, however often the driver comes by`() throws {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.seconds(1))
        let known = pair.a.endpoint.existingPeer(pair.b.node)
        let peer = try #require(known)
        peer.paths.sent(now: pair.now)
        pair.a.endpoint.mark(peer)
        pair.drain(pair.a)
        let sent = try #require(peer.paths.paths[0].probes.last?.sentAt)
        // The probe's patience ends unseen; then datagrams come and come, and the timer does not.
        pair.now = pair.now + .seconds(3)
        let deadline = pair.a.endpoint.deadline?.at
        let due = try #require(deadline)
        for _ in 0..<10 { pair.a.endpoint.enter(pair.now) }
        let moved = try #require(peer.paths.paths[0].probes.last?.sentAt)
        #expect(moved - sent == pair.now - due)
    }
}
