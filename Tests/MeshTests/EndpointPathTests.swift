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

    @Test func `a restarted peer is accepted although it counts from one again`() {
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

    @Test func `a peer's statement does not move a relay that the controller has named`() throws {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.seconds(1))
        let relay = NodeID([UInt8](repeating: 9, count: 32))!
        pair.a.endpoint.useRelays(
            [ControllerAddress(node: relay, addresses: [Self.first])], now: pair.now, into: &pair.a.outbox)
        let known = pair.a.endpoint.peer(pair.b.node)
        let peer = try #require(known)
        let place = RelayedAddress(relay: relay, address: Self.second, allocation: 1)
        pair.a.endpoint.withTraversal {
            $0.received([.relayed(place)], .none, number: 1000, from: peer, overlay: [], peers: &$1, now: pair.now)
        }
        #expect(pair.a.endpoint.traversal.relays.clients.map(\.location.addresses) == [[Self.first]])
        // A relay that only the peer has named is used, and not tried forever.
        let other = RelayedAddress(
            relay: NodeID([UInt8](repeating: 8, count: 32))!, address: Self.second, allocation: 1)
        pair.a.endpoint.withTraversal {
            $0.received([.relayed(other)], .none, number: 1001, from: peer, overlay: [], peers: &$1, now: pair.now)
        }
        #expect(pair.a.endpoint.traversal.relays.clients.count == 2)
        pair.run(.minutes(2))
        #expect(pair.a.endpoint.traversal.relays.clients.map(\.relay) == [relay])
    }

    @Test func `a relay that the controller names elsewhere is looked for there in the session that there is`() throws {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.seconds(1))
        func name(_ address: SocketAddress, _ ports: [UInt16]) throws -> [PathAddress] {
            var place = ControllerAddress(node: pair.b.node, addresses: [address])
            place.tcpPorts = ports
            pair.a.endpoint.useRelays([place], now: pair.now, into: &pair.a.outbox)
            let known = pair.a.endpoint.peer(pair.b.node)
            return try #require(known).paths.addresses
        }
        _ = try name(pair.b.address, [])
        let paths = try name(Self.second, [443])
        #expect(paths.contains(PathAddress(Self.second)))
        #expect(paths.contains(.tcp(SocketAddress(Self.second.ip, 443))))
        pair.recorded = []
        pair.drain(pair.a)
        #expect(pair.recorded.contains { $0.to == Self.second })
    }

    @Test func `a relay that is reached another way before it has given an allocation is bound there`() throws {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.seconds(1))
        let place = ControllerAddress(node: pair.b.node, addresses: [pair.b.address])
        pair.a.endpoint.useRelays([place], now: pair.now, into: &pair.a.outbox)
        let known = pair.a.endpoint.peer(pair.b.node)
        let peer = try #require(known)
        let tcp = PathAddress.tcp(SocketAddress(Self.second.ip, 443))
        pair.a.endpoint.withTraversal { $0.rerouted(peer, to: tcp, peers: &$1, now: pair.now) }
        #expect(
            pair.a.endpoint.traversal.relays.clients.map(\.path) == [tcp]
                && pair.a.endpoint.traversal.relays.clients[0].allocation == nil)
        pair.a.endpoint.withTraversal { $0.rerouted(peer, to: PathAddress(pair.b.address), peers: &$1, now: pair.now) }
        #expect(pair.a.endpoint.traversal.relays.clients.map(\.path) == [PathAddress(pair.b.address)])
    }

    @Test func `a beacon that sees this node by IPv4 and IPv6 in turns shows no change`() throws {
        let pair = TestPair.members(roles: [.agent, .beacon])
        pair.connect()
        pair.run(.seconds(1))
        let known = pair.a.endpoint.peer(pair.b.node)
        let beacon = try #require(known)
        func see(_ address: SocketAddress) {
            pair.a.endpoint.withTraversal { $0.observed(at: address, by: beacon, peers: &$1, now: pair.now) }
        }
        let four = SocketAddress("203.0.113.9:4000")!, six = SocketAddress("[2001:db8::9]:7950")!
        for address in [four, six] { see(address) }
        let number = pair.a.endpoint.traversal.location.number
        for _ in 0..<10 {
            for address in [four, six] { see(address) }
        }
        #expect(pair.a.endpoint.traversal.location.number == number)
        #expect(pair.a.endpoint.candidates.contains(.direct(four)) && pair.a.endpoint.candidates.contains(.direct(six)))
        // Another place of one family takes that of the former one.
        let moved = SocketAddress("203.0.113.9:4001")!
        see(moved)
        #expect(pair.a.endpoint.traversal.location.number == number + 1)
        #expect(
            pair.a.endpoint.candidates.contains(.direct(moved)) && pair.a.endpoint.candidates.contains(.direct(six)))
        #expect(!pair.a.endpoint.candidates.contains(.direct(four)))
    }

    @Test func `a peer without any path causes no wake-ups`() throws {
        let pair = TestPair.members { $0.hasDataPlane = true }
        pair.connect()
        pair.run(.seconds(1))
        let known = pair.a.endpoint.peer(pair.b.node)
        let peer = try #require(known)
        peer.packetsSent(
            DataPlaneActivity(
                peer: peer.slot, isInward: false, packets: 1, bytes: 100, lastAt: pair.now, counter: 1),
            now: pair.now)
        peer.paths.withdraw(where: { _ in true }, now: pair.now)
        pair.a.endpoint.sessions.peers.mark(peer)
        pair.drain(pair.a)
        #expect((pair.a.endpoint.deadline?.at ?? .distantFuture) > pair.now)
    }

    @Test func `lateness is counted once, however often the driver comes by`() throws {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.seconds(1))
        let known = pair.a.endpoint.peer(pair.b.node)
        let peer = try #require(known)
        peer.paths.sent(now: pair.now)
        pair.a.endpoint.sessions.peers.mark(peer)
        pair.drain(pair.a)
        let sent = try #require(peer.paths.paths[0].probes.last?.sentAt)
        // The probe's timeout passes without a call; then datagrams arrive, and the timer does not fire.
        pair.now = pair.now + .seconds(3)
        let deadline = pair.a.endpoint.deadline?.at
        let due = try #require(deadline)
        for _ in 0..<10 { pair.a.endpoint.enter(pair.now, wall: pair.wall) }
        let moved = try #require(peer.paths.paths[0].probes.last?.sentAt)
        #expect(moved - sent == pair.now - due)
    }

    // MARK: - What is known to be impossible

    /// Datagrams to a candidate without answers, within 14 seconds.
    private static func punchProbes(_ pair: TestPair, _ place: RelayedAddress) throws -> Int {
        let known = pair.a.endpoint.peer(pair.b.node)
        let peer = try #require(known)
        // As if all had come over a relay until now.
        let relayed = PathAddress(first, allocations: AllocationPair(near: 1, far: 2))
        peer.paths.established(at: relayed, isNew: true, now: pair.now)
        peer.paths.withdraw(where: \.isDirect, now: pair.now)
        let number = peer.traversal.remoteNumber + 1
        pair.a.endpoint.withTraversal {
            $0.received(
                [.direct(second)], .endpointIndependent, number: number, from: peer, overlay: [], peers: &$1,
                now: pair.now)
        }
        pair.recorded = []
        pair.path = { _, _ in [] }
        pair.drain(pair.a)
        pair.run(.seconds(14))
        // A silent peer gets first messages of a handshake too, on all paths.
        return pair.recorded.count { $0.to == second && $0.bytes.first == DatagramKind.frames.rawValue }
    }

    @Test func `what was without success with one node of a site is not tried for long with the next`() throws {
        let place = RelayedAddress(relay: NodeID([UInt8](repeating: 9, count: 32))!, address: Self.first, allocation: 2)
        func pair() -> TestPair {
            let pair = TestPair.members(site: "oslo")
            pair.connect()
            pair.run(.seconds(1))
            return pair
        }
        #expect(try Self.punchProbes(pair(), place) == Path.punchTimes.count)
        let warned = pair()
        warned.a.endpoint.traversal.location.sites.failed("oslo", .endpointIndependent, now: warned.now)
        #expect(try Self.punchProbes(warned, place) == HolePunch.briefProbes)
        // Another kind of mapping, another site, none at all: all may be otherwise.
        for change in [
            { $0.failed("oslo", .endpointDependent, now: warned.now) },
            { $0.failed("bergen", .endpointIndependent, now: warned.now) },
            { $0.failed("", .endpointIndependent, now: warned.now) },
        ] as [(inout SiteMemo) -> Void] {
            let other = pair()
            change(&other.a.endpoint.traversal.location.sites)
            #expect(try Self.punchProbes(other, place) == Path.punchTimes.count)
        }
        // So it may be an hour later, and where this node itself is elsewhere.
        #expect(
            !warned.a.endpoint.traversal.location.sites.isKnownUnreachable(
                "oslo", .endpointIndependent, now: warned.now + .minutes(61)))
        warned.a.endpoint.listens(at: [Self.second], now: warned.now)
        #expect(warned.a.endpoint.traversal.location.sites.count == 0)
    }

    @Test func `what was without success is remembered of the site, and forgotten when it helps after all`() throws {
        let pair = TestPair.members(site: "oslo")
        pair.connect()
        pair.run(.seconds(1))
        let place = RelayedAddress(relay: NodeID([UInt8](repeating: 9, count: 32))!, address: Self.first, allocation: 2)
        _ = try Self.punchProbes(pair, place)
        #expect(
            pair.a.endpoint.traversal.location.sites.isKnownUnreachable("oslo", .endpointIndependent, now: pair.now))
        pair.a.endpoint.traversal.location.sites.succeeded("oslo", .endpointIndependent)
        #expect(
            !pair.a.endpoint.traversal.location.sites.isKnownUnreachable("oslo", .endpointIndependent, now: pair.now))
    }
}
