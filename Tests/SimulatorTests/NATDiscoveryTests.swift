import Base
import Mesh
import Simulator
import Testing

/// A discovery behind every kind of gateway: it finds the gateway's behaviour.
@Suite struct NATDiscoveryTests {
    private static let server = NATDiscoveryWorld.Server(
        address: SocketAddress("203.0.113.1:3478")!, other: SocketAddress("203.0.113.2:3479")!)
    private static let plain = NATDiscoveryWorld.Server(address: SocketAddress("203.0.113.9:3478")!)
    private static let plain2 = NATDiscoveryWorld.Server(address: SocketAddress("203.0.113.10:19302")!)
    private static let dead = NATDiscoveryWorld.Server(address: SocketAddress("203.0.113.77:3478")!, isDead: true)

    private static func discovery(
        _ behaviour: NATGateway.Behaviour, _ servers: [NATDiscoveryWorld.Server] = [server], seed: UInt64 = 1,
        _ change: (inout NATDiscoveryWorld) -> Void = { _ in }
    ) throws -> (findings: NATFindings, world: NATDiscoveryWorld) {
        var world = NATDiscoveryWorld(behaviour, servers: servers, sockets: NATDiscovery.sockets, seed: seed)
        change(&world)
        var out = DatagramBatch()
        var discovery = NATDiscovery(
            servers: world.addresses, own: world.own, ports: world.ports, seed: Seed(seed + 100), now: world.now,
            into: &out)
        try world.run(&discovery, &out)
        let isDone = discovery.isDone
        #expect(isDone)
        return (discovery.findings, world)
    }

    private static func order(_ dependence: NATGateway.Dependence) -> Int {
        NATGateway.Dependence.allCases.firstIndex(of: dependence)!
    }

    static let dependences = NATGateway.Dependence.allCases

    @Test(arguments: dependences, dependences)
    func `mapping and filtering of every class are found`(
        _ mapping: NATGateway.Dependence, _ filtering: NATGateway.Dependence
    ) throws {
        for seed: UInt64 in 1...5 {
            let (found, _) = try Self.discovery(NATGateway.Behaviour(mapping, .by(filtering), .random), seed: seed)
            #expect(found.udp == .known(true))
            #expect(found.mapping == .known(NATFindings.Mapping(rawValue: mapping.rawValue)!))
            // Where each far end has a mapping of its own, others are kept out by that already.
            let stricter = Self.order(mapping) > Self.order(filtering) ? mapping : filtering
            #expect(found.filtering == .known(NATFindings.Filtering(rawValue: stricter.rawValue)!))
            #expect(found.ports == .known(.random) && found.hairpin == .known(false))
            #expect(found.reflexive?.ip == NATDiscoveryWorld.outside)
        }
    }

    @Test func `a tenth of all datagrams lost changes no conclusion in 97 of 100 discoveries`() throws {
        var wrong = 0
        for seed: UInt64 in 1...100 {
            let mapping = Self.dependences[Int(seed % 3)], filtering = Self.dependences[Int(seed / 3 % 3)]
            let (found, _) = try Self.discovery(NATGateway.Behaviour(mapping, .by(filtering), .random), seed: seed) {
                $0.lossPercent = 10
            }
            let stricter = Self.order(mapping) > Self.order(filtering) ? mapping : filtering
            if found.mapping.value?.rawValue != mapping.rawValue || found.filtering.value?.rawValue != stricter.rawValue
            {
                wrong += 1
            }
        }
        #expect(wrong <= 3)
    }

    @Test func `an open filter is endpoint-independent`() throws {
        let (found, _) = try Self.discovery(NATGateway.Behaviour(.endpointIndependent, .open, .random))
        #expect(found.filtering == .known(.endpointIndependent))
    }

    @Test func `a machine's own address outside is no translation, and its firewall is judged all the same`() throws {
        for filtering in Self.dependences {
            let (found, _) = try Self.discovery(.firewall(filtering))
            #expect(found.mapping == .known(.none) && found.reflexive?.ip == NATDiscoveryWorld.host)
            #expect(found.filtering == .known(NATFindings.Filtering(rawValue: filtering.rawValue)!))
            #expect(found.ports == .unknown(.noNAT) && found.hairpin == .unknown(.noNAT))
        }
    }

    static let allocations: [(NATGateway.PortAllocation, NATFindings.Ports)] = [
        (.preserving, .preserving), (.sequential(step: 1), .sequential(step: 1)),
        (.sequential(step: 2), .sequential(step: 2)), (.sequential(step: 7), .sequential(step: 7)), (.random, .random),
        (.parity, .random),
    ]

    @Test(arguments: allocations.indices, dependences)
    func `the allocation of ports is found`(_ index: Int, _ mapping: NATGateway.Dependence) throws {
        let (allocation, expected) = Self.allocations[index]
        let (found, _) = try Self.discovery(NATGateway.Behaviour(mapping, .by(.addressAndPortDependent), allocation))
        #expect(found.ports == .known(expected))
        // Preserved ports hide what the mapping depends on.
        if allocation == .preserving { #expect(found.mapping == .known(.endpointIndependent)) }
    }

    @Test func `ports that others take meanwhile are still a sequence`() throws {
        let behaviour = NATGateway.Behaviour(
            .addressAndPortDependent, .by(.addressAndPortDependent), .sequential(step: 1))
        let (found, _) = try Self.discovery(behaviour) { $0.isBusy = true }
        #expect(found.ports == .known(.sequential(step: 2)))
    }

    @Test(arguments: dependences)
    func `hairpinning is found where two could use it`(_ filtering: NATGateway.Dependence) throws {
        var behaviour = NATGateway.Behaviour(.endpointIndependent, .by(filtering), .random)
        behaviour.hairpins = true
        #expect(try Self.discovery(behaviour).findings.hairpin == .known(true))
        behaviour.hairpins = false
        #expect(try Self.discovery(behaviour).findings.hairpin == .known(false))
    }

    // MARK: - Less than a whole server

    @Test func `without answers UDP does not work, and nothing else is claimed`() throws {
        var behaviour = NATGateway.Behaviour()
        behaviour.blocksUDP = true
        for (behaviour, servers) in [(behaviour, [Self.server, Self.plain]), (NATGateway.Behaviour(), [Self.dead])] {
            let (found, world) = try Self.discovery(behaviour, servers)
            #expect(found.udp == .known(false) && found.reflexive == nil)
            #expect(found.servers.allSatisfy { $0.outcome == .silent })
            #expect(found.mapping == .unknown(.noAnswer) && found.filtering == .unknown(.noAnswer))
            #expect(found.ports == .unknown(.noAnswer) && found.hairpin == .unknown(.noAnswer))
            // Five times each, and no longer than the budget.
            #expect(world.sent == servers.count * 5 && world.now - NATDiscoveryWorld.start == .seconds(3))
        }
    }

    @Test func `no server at all is no answer`() throws {
        let (found, world) = try Self.discovery(NATGateway.Behaviour(), [])
        #expect(found.udp == .unknown(.noAnswer) && found.mapping == .unknown(.noAnswer) && world.sent == 0)
    }

    @Test func `one server with one address shows the address and the ports, but not the mapping`() throws {
        let (found, _) = try Self.discovery(NATGateway.Behaviour(.endpointIndependent, .open, .random), [Self.plain])
        #expect(found.udp == .known(true) && found.reflexive?.ip == NATDiscoveryWorld.outside)
        #expect(found.mapping == .unknown(.oneAddress) && found.filtering == .unknown(.noOtherAddress))
        #expect(found.ports == .known(.random))
    }

    @Test(arguments: dependences)
    func `two servers without second addresses show whether the mapping depends`(
        _ mapping: NATGateway.Dependence
    ) throws {
        let behaviour = NATGateway.Behaviour(mapping, .by(.addressAndPortDependent), .random)
        let (found, _) = try Self.discovery(behaviour, [Self.plain, Self.plain2])
        #expect(found.mapping == .known(mapping == .endpointIndependent ? .endpointIndependent : .dependent))
        #expect(found.filtering == .unknown(.noOtherAddress))
    }

    @Test func `a server with a second address is preferred, and a dead one not waited for`() throws {
        let behaviour = NATGateway.Behaviour(.addressDependent, .by(.addressDependent), .random)
        let (found, world) = try Self.discovery(behaviour, [Self.dead, Self.plain, Self.server])
        #expect(found.mapping == .known(.addressDependent) && found.filtering == .known(.addressDependent))
        #expect(found.servers.map { $0.outcome == .silent } == [true, false, false])
        #expect(world.now - NATDiscoveryWorld.start < .milliseconds(3500))
    }

    @Test func `a second address without answers is no strict filter`() throws {
        var server = Self.server
        server.answersAtOther = false
        let behaviour = NATGateway.Behaviour(.endpointIndependent, .by(.endpointIndependent), .random)
        let (found, _) = try Self.discovery(behaviour, [server])
        #expect(found.mapping == .unknown(.otherIsSilent) && found.filtering == .unknown(.otherIsSilent))
    }

    @Test func `a server that ignores the change request shows nothing of filters`() throws {
        var server = Self.server
        server.changes = false
        let behaviour = NATGateway.Behaviour(.endpointIndependent, .by(.endpointIndependent), .random)
        let (found, _) = try Self.discovery(behaviour, [server])
        #expect(found.mapping == .known(.endpointIndependent) && found.filtering == .unknown(.notServed))
    }

    @Test func `an ICMP error ends the waiting`() {
        var out = DatagramBatch()
        var discovery = NATDiscovery(
            servers: [Self.dead.address], own: [], ports: [1, 2, 3, 4, 5], seed: Seed(1), now: NATDiscoveryWorld.start,
            into: &out)
        discovery.unreachable(Self.dead.address, now: NATDiscoveryWorld.start, into: &out)
        let isDone = discovery.isDone, outcome = discovery.findings.servers[0].outcome
        #expect(isDone && outcome == .unreachable)
    }

    @Test func `answers of unauthenticated peers are ignored`() throws {
        var out = DatagramBatch()
        var discovery = NATDiscovery(
            servers: [Self.plain.address], own: [], ports: [1, 2, 3, 4, 5], seed: Seed(1), now: NATDiscoveryWorld.start,
            into: &out)
        let id = try STUNMessage(decoding: out.bytes(at: 0)).transaction
        let other = STUNMessage.TransactionID(high: id.high, low: id.low ^ 1)
        let lie = STUNMessage.Attribute.xorMappedAddress(SocketAddress("192.0.2.66:66")!)
        var batch = DatagramBatch()
        // Another transaction, another sender, another socket, an attribute that must be understood.
        batch.append(STUNMessage(.success, other, [lie]).encoded(), remote: Self.plain.address)
        batch.append(STUNMessage(.success, id, [lie]).encoded(), remote: Self.dead.address)
        batch.append(STUNMessage(.success, id, [lie]).encoded(), remote: Self.plain.address, socket: 1)
        batch.append(STUNMessage(.success, id, [lie, .other(0x7777, [])]).encoded(), remote: Self.plain.address)
        batch.append([0xff, 0, 1], remote: Self.plain.address)
        discovery.received(&batch, now: NATDiscoveryWorld.start, into: &out)
        let findings = discovery.findings
        #expect(findings.reflexive == nil && findings.servers[0].outcome == .pending)
    }

    @Test func `servers with invalid answers do not prevent the end of a discovery`()
        throws
    {
        var conclusions = 0
        for seed: UInt64 in 1...1000 {
            let behaviour = NATGateway.Behaviour(.endpointIndependent, .by(.endpointIndependent), .random)
            let (found, world) = try Self.discovery(behaviour, [Self.server, Self.plain], seed: seed) {
                $0.nonsense = Random(Seed(seed))
            }
            // Whatever the answers are, the discovery ends, with hardly a datagram more.
            #expect(world.now - NATDiscoveryWorld.start <= .seconds(9) + NATDiscoveryWorld.way * 6 && world.sent <= 100)
            if found.mapping.value != nil { conclusions += 1 }
            var out = DatagramBatch()
            var lifetime = NATDiscoveryWorld(
                behaviour, servers: [Self.server], sockets: LifetimeDiscovery.sockets, seed: seed)
            lifetime.nonsense = Random(Seed(seed))
            var discovery = LifetimeDiscovery(
                server: Self.server.address, seed: Seed(seed), now: lifetime.now, into: &out)
            try lifetime.run(&discovery, &out)
            let result = discovery.result
            #expect(result != nil && lifetime.sent <= 100)
        }
        // Both roads were travelled, or nothing was shown.
        #expect(conclusions > 100)
    }

    // MARK: - Lifetime

    private static func lifetime(
        _ behaviour: NATGateway.Behaviour, _ server: NATDiscoveryWorld.Server = server, seed: UInt64 = 1,
        loss: UInt64 = 0
    ) throws -> (result: NATFinding<NATLifetime>?, world: NATDiscoveryWorld) {
        var world = NATDiscoveryWorld(behaviour, servers: [server], sockets: LifetimeDiscovery.sockets, seed: seed)
        world.lossPercent = loss
        var out = DatagramBatch()
        var discovery = LifetimeDiscovery(server: server.address, seed: Seed(seed), now: world.now, into: &out)
        try world.run(&discovery, &out)
        return (discovery.result, world)
    }

    static let lifetimes: [(Int64, NATLifetime)] = [
        (10, NATLifetime(atLeast: .zero, below: .seconds(20))),
        (30, NATLifetime(atLeast: .seconds(20), below: .seconds(45))),
        (60, NATLifetime(atLeast: .seconds(45), below: .seconds(90))),
        (120, NATLifetime(atLeast: .seconds(90), below: .seconds(170))),
        (180, NATLifetime(atLeast: .seconds(170), below: .seconds(290))),
        (600, NATLifetime(atLeast: .seconds(290), below: nil)),
    ]

    @Test(arguments: lifetimes.indices, dependences)
    func `the life of a mapping is found between two waits`(_ index: Int, _ mapping: NATGateway.Dependence) throws {
        let (seconds, expected) = Self.lifetimes[index]
        let behaviour = NATGateway.Behaviour(
            mapping, .by(.addressAndPortDependent), .random, lifetime: .seconds(seconds))
        let (result, world) = try Self.lifetime(behaviour)
        #expect(result == .known(expected))
        // No longer than the wait that failed, or the longest, and hardly a datagram.
        #expect(world.now - NATDiscoveryWorld.start <= (expected.below ?? .seconds(290)) + .seconds(4))
        #expect(world.sent < 40)
    }

    @Test func `loss shortens no life`() throws {
        for seed: UInt64 in 1...20 {
            let behaviour = NATGateway.Behaviour(
                .endpointIndependent, .by(.addressAndPortDependent), .random, lifetime: .seconds(60))
            let (result, _) = try Self.lifetime(behaviour, seed: seed, loss: 5)
            #expect(result == .known(NATLifetime(atLeast: .seconds(45), below: .seconds(90))))
        }
    }

    @Test func `a server that does not answer to other ports is found out at once`() throws {
        var server = Self.server
        server.changes = false
        let (result, world) = try Self.lifetime(NATGateway.Behaviour(), server)
        #expect(result == .unknown(.notServed) && world.now - NATDiscoveryWorld.start < .seconds(1))
        server.isDead = true
        #expect(try Self.lifetime(NATGateway.Behaviour(), server).result == .unknown(.noAnswer))
    }
}
