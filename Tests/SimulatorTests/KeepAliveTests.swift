import Base
import Mesh
import Noise
import Simulator
import Testing
import Wire

/// A node behind a gateway that sends nothing, its relay, and a peer that connects to it after a while.
private final class IdleWorld {
    final class Node {
        var endpoint: Endpoint
        let id: NodeID
        let address: SocketAddress
        var out = MeshOutbox()
        var connected: [NodeID] = []
        var sent = 0

        init(_ number: UInt64, _ address: String, _ roles: Roles, _ fleet: borrowing Fleet) {
            var generator = KeyGenerator(Seed(number))
            let key = generator.secretKey()
            id = key.publicKey
            self.address = SocketAddress(address)!
            endpoint = Endpoint(
                identity: Identity(key), credentials: fleet.credentials(of: id, roles),
                configuration: MeshConfiguration(),
                seed: Seed(number + 100), now: IdleWorld.start)
        }
    }

    struct Fleet: ~Copyable {
        let signing: SigningKey

        init() {
            var generator = KeyGenerator(Seed(99))
            signing = generator.signingKey()
        }

        func credentials(of node: NodeID, _ roles: Roles) -> Credentials {
            let certificate = Certificate(
                fleet: FleetID(1, 2), serial: 1, node: node, roles: roles, notBefore: IdleWorld.wall,
                notAfter: IdleWorld.wall + .minutes(600), name: node.short)
            return Credentials(
                certificate: SignedCertificate(certificate, signature: signing.sign(certificate.encoded())),
                authorities: [signing.verifyingKey])
        }
    }

    static let start = Instant(nanoseconds: 1_000_000_000)
    static let wall = UnixTime(seconds: 1_800_000_000)
    private static let way = Interval.milliseconds(20)
    private static let outside = IPAddress("198.51.100.7")!

    let idle: Node
    let relay: Node
    let peer: Node
    private(set) var gateway: NATGateway
    private(set) var now = start
    private var flying: [(at: Instant, from: SocketAddress, to: SocketAddress, bytes: [UInt8])] = []
    /// Where the relay has seen the idle node last.
    private var seen: SocketAddress?

    init(_ behaviour: NATGateway.Behaviour) {
        let fleet = Fleet()
        idle = Node(1, "192.168.1.2:7950", .agent, fleet)
        relay = Node(2, "203.0.113.1:7950", [.agent, .beacon], fleet)
        peer = Node(3, "203.0.113.9:7950", .agent, fleet)
        gateway = NATGateway(behaviour, outside: IdleWorld.outside, random: Random(Seed(7)))
        let place = ControllerAddress(node: relay.id, addresses: [relay.address])
        for node in [idle, peer] {
            node.endpoint.listens(at: [node.address], now: now)
            node.endpoint.useRelays([place], now: now, into: &node.out)
            drain(node)
        }
    }

    private var nodes: [Node] { [idle, relay, peer] }

    private func drain(_ node: Node) {
        node.endpoint.flush(now: now, into: &node.out)
        for position in 0..<node.out.datagrams.count {
            let entry = node.out.datagrams.entries[position]
            // There is no TCP here, and there are no more sockets.
            guard entry.socket == 0 else { continue }
            node.sent += 1
            var from = node.address
            if node === idle {
                guard case .success(let source) = gateway.outbound(from: from, to: entry.remote, now: now) else {
                    continue
                }
                from = source
            }
            flying.append((now + IdleWorld.way, from, entry.remote, node.out.datagrams.bytes(at: position)))
        }
        node.out.datagrams.removeAll()
        for event in node.out.events { if case .connected(let other, _) = event { node.connected.append(other) } }
        node.out.events = []
        node.out.dataPlane = []
    }

    private func arrive(_ bytes: [UInt8], from: SocketAddress, to: SocketAddress) {
        var target = to
        if to.ip == IdleWorld.outside {
            guard case .success(let inside) = gateway.inbound(to: to, from: from, now: now) else { return }
            target = inside
        }
        guard let node = nodes.first(where: { $0.address == target }) else { return }
        if node === relay, from.ip == IdleWorld.outside { seen = from }
        var batch = DatagramBatch()
        batch.append(bytes, remote: from)
        node.endpoint.received(&batch, now: now, wall: wall, into: &node.out)
        drain(node)
    }

    private var wall: UnixTime { IdleWorld.wall + (now - IdleWorld.start) }

    func run(_ time: Interval) {
        let end = now + time
        for _ in 0..<1_000_000 {
            let arrival = flying.map(\.at).min() ?? .distantFuture
            let next = min(arrival, nodes.map { $0.endpoint.deadline?.at ?? .distantFuture }.min()!)
            guard next <= end else { break }
            now = max(now, next)
            if let index = flying.firstIndex(where: { $0.at <= now }) {
                let datagram = flying.remove(at: index)
                arrive(datagram.bytes, from: datagram.from, to: datagram.to)
                continue
            }
            for node in nodes where (node.endpoint.deadline?.at ?? .distantFuture) <= now {
                node.endpoint.tick(now: now, wall: wall, into: &node.out)
                drain(node)
            }
        }
        now = max(now, end)
    }

    func learn(_ lifetime: NATLifetime?) {
        idle.endpoint.learned(lifetime, now: now)
        drain(idle)
    }

    /// Whether the gateway would let in a datagram of the relay's now. A copy is asked, so that the state does not change.
    var isOpen: Bool {
        guard let seen else { return false }
        var copy = gateway
        if case .success = copy.inbound(to: seen, from: relay.address, now: now) { return true }
        return false
    }

    /// Requests a session over the idle node's allocation at the relay, and by no other path.
    func call() -> Bool {
        let places = idle.endpoint.candidates.compactMap { candidate in
            if case .relayed(let place) = candidate { place } else { nil }
        }
        peer.endpoint.connect(to: idle.id, at: [SocketAddress](), through: places, now: now, into: &peer.out)
        drain(peer)
        run(.seconds(1))
        return !places.isEmpty && peer.connected.contains(idle.id)
    }
}

/// An otherwise unused path is used often enough, and not more often.
@Suite struct KeepAliveTests {
    private static let server = NATDiscoveryWorld.Server(
        address: SocketAddress("203.0.113.1:3478")!, other: SocketAddress("203.0.113.2:3479")!)

    private static func behaviour(_ seconds: Int64, _ isRefreshedByInbound: Bool) -> NATGateway.Behaviour {
        var behaviour = NATGateway.Behaviour(
            .addressAndPortDependent, .by(.addressAndPortDependent), .random, lifetime: .seconds(seconds))
        behaviour.isRefreshedByInbound = isRefreshedByInbound
        return behaviour
    }

    /// What NAT discovery finds out before such a gateway.
    private static func discovery(_ behaviour: NATGateway.Behaviour) throws -> NATLifetime? {
        var world = NATDiscoveryWorld(behaviour, servers: [server], sockets: LifetimeDiscovery.sockets)
        var out = DatagramBatch()
        var discovery = LifetimeDiscovery(server: server.address, seed: Seed(5), now: world.now, into: &out)
        try world.run(&discovery, &out)
        return discovery.result?.value
    }

    /// Ten minutes of silence: in how many of their seconds the relay could not have reached the node, whether a peer reached
    /// it in the end, and the datagrams that the node has sent.
    private static func rest(
        _ behaviour: NATGateway.Behaviour, _ lifetime: NATLifetime?
    ) -> (shut: Int, isReached: Bool, sent: Int) {
        let world = IdleWorld(behaviour)
        world.run(.seconds(2))
        world.learn(lifetime)
        let before = world.idle.sent
        var shut = 0
        for _ in 0..<600 {
            world.run(.seconds(1))
            if !world.isOpen { shut += 1 }
        }
        let sent = world.idle.sent - before
        return (shut, world.call(), sent)
    }

    @Test func `an idle node stays reachable over its relay, with fewer datagrams for longer mappings`() throws {
        var sent: [Int] = []
        for (life, keepAlive) in [(Int64(20), Int64(8)), (30, 16), (60, 36), (300, 110)] {
            for isRefreshedByInbound in [true, false] {
                let behaviour = Self.behaviour(life, isRefreshedByInbound)
                let lifetime = try Self.discovery(behaviour)
                #expect(KeepAlive.interval(for: lifetime) == .seconds(keepAlive), "\(String(describing: lifetime))")
                let course = Self.rest(behaviour, lifetime)
                print("a life of \(life) s: \(course.sent) datagrams in ten minutes")
                #expect(course.shut == 0 && course.isReached, "a life of \(life) s: \(course)")
                if isRefreshedByInbound { sent.append(course.sent) }
            }
        }
        #expect(sent == sent.sorted(by: >) && Set(sent).count == sent.count)
        #expect(sent.last! * 2 < sent.first!)
    }

    @Test func `where nothing is known a life of 30 s is enough, and one of 15 s is not`() {
        for isRefreshedByInbound in [true, false] {
            let long = Self.rest(Self.behaviour(30, isRefreshedByInbound), nil)
            #expect(long.shut == 0 && long.isReached)
        }
        #expect(Self.rest(Self.behaviour(15, false), nil).shut > 0)
        // What is known too well does harm as well.
        let wrong = NATLifetime(atLeast: .seconds(290), below: nil)
        #expect(Self.rest(Self.behaviour(30, false), wrong).shut > 0)
    }

    @Test func `a lifetime learned late, and one that is forgotten again, count at once`() {
        let world = IdleWorld(Self.behaviour(300, true))
        world.run(.seconds(100))
        world.learn(NATLifetime(atLeast: .seconds(290), below: nil))
        #expect(world.idle.endpoint.keepAlive == .seconds(110))
        world.run(.seconds(300))
        let slow = world.idle.sent
        world.run(.seconds(300))
        let inSlow = world.idle.sent - slow
        world.learn(nil)
        #expect(world.idle.endpoint.keepAlive == .seconds(20))
        let fast = world.idle.sent
        world.run(.seconds(300))
        #expect(world.idle.sent - fast > inSlow)
        #expect(world.isOpen)
    }

    @Test func `the rule, from nothing known to hours`() {
        func seconds(_ atLeast: Int64, _ below: Int64?) -> Interval {
            KeepAlive.interval(for: NATLifetime(atLeast: .seconds(atLeast), below: below.map { .seconds($0) }))
        }
        #expect(KeepAlive.interval(for: nil) == .seconds(20))
        #expect(seconds(0, 20) == .seconds(8) && seconds(20, 45) == .seconds(16) && seconds(45, 90) == .seconds(36))
        #expect(seconds(90, 170) == .seconds(72) && seconds(170, 290) == .seconds(110))
        #expect(seconds(290, nil) == .seconds(110) && seconds(86_400, nil) == .seconds(110))
        // What is nonsense makes no flood.
        #expect(seconds(1, 2) == .seconds(10) && seconds(0, 0) == .seconds(1) && seconds(0, nil) == .seconds(20))
    }
}
