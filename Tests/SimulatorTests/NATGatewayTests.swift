import Base
import Simulator
import Testing

/// Each property of a gateway by itself, in the words of RFC 4787.
@Suite struct NATGatewayTests {
    private static let host = SocketAddress("192.168.1.2:7946")!
    private static let other = SocketAddress("192.168.1.3:7946")!
    private static let far = SocketAddress("203.0.113.1:1000")!
    private static let farPort = SocketAddress("203.0.113.1:2000")!
    private static let outsider = SocketAddress("203.0.113.9:1000")!
    private static let start = Instant(nanoseconds: 1)

    private static func gateway(
        _ mapping: NATGateway.Dependence, _ filtering: NATGateway.Filtering,
        _ ports: NATGateway.PortAllocation = .random, _ change: (inout NATGateway.Behaviour) -> Void = { _ in }
    ) -> NATGateway {
        var behaviour = NATGateway.Behaviour(mapping, filtering, ports)
        change(&behaviour)
        return NATGateway(behaviour, outside: .v4(0xc633_6407), random: Random(Seed(3)))
    }

    private static func out(
        _ gateway: inout NATGateway, _ inside: SocketAddress, _ remote: SocketAddress, at time: Instant = start
    ) throws -> SocketAddress { try gateway.outbound(from: inside, to: remote, now: time).get() }

    @Test(arguments: NATGateway.Dependence.allCases)
    func `destinations share a mapping as its dependence states`(
        _ mapping: NATGateway.Dependence
    ) throws {
        var gateway = Self.gateway(mapping, .by(.endpointIndependent))
        let first = try Self.out(&gateway, Self.host, Self.far)
        #expect(try Self.out(&gateway, Self.host, Self.far) == first)
        let sameAddress = try Self.out(&gateway, Self.host, Self.farPort) == first
        let anotherAddress = try Self.out(&gateway, Self.host, Self.outsider) == first
        #expect(sameAddress == (mapping != .addressAndPortDependent))
        #expect(anotherAddress == (mapping == .endpointIndependent))
        #expect(try Self.out(&gateway, Self.other, Self.far) != first)
    }

    @Test(arguments: NATGateway.Dependence.allCases)
    func `the filter admits senders as its dependence states`(_ filtering: NATGateway.Dependence) throws {
        var gateway = Self.gateway(.endpointIndependent, .by(filtering))
        let outside = try Self.out(&gateway, Self.host, Self.far)
        func enters(_ remote: SocketAddress) -> Bool {
            (try? gateway.inbound(to: outside, from: remote, now: Self.start).get()) == Self.host
        }
        #expect(enters(Self.far))
        #expect(enters(Self.farPort) == (filtering != .addressAndPortDependent))
        #expect(enters(Self.outsider) == (filtering == .endpointIndependent))
        let elsewhere = SocketAddress(outside.ip, outside.port ^ 1)
        #expect(gateway.inbound(to: elsewhere, from: Self.far, now: Self.start) == .failure(.noMapping))
    }

    @Test func `an open filter sends everything to the exposed host`() {
        var gateway = Self.gateway(.endpointIndependent, .open, .preserving)
        gateway.exposed = Self.host.ip
        let entered = gateway.inbound(
            to: SocketAddress(gateway.outside, 7946), from: Self.outsider, now: Self.start)
        #expect(entered == .success(Self.host))
    }

    @Test func `a separate mapping for a destination admits no other sender`() throws {
        var gateway = Self.gateway(.addressAndPortDependent, .by(.endpointIndependent))
        let outside = try Self.out(&gateway, Self.host, Self.far)
        #expect(gateway.inbound(to: outside, from: Self.farPort, now: Self.start) == .failure(.filtered))
        #expect(gateway.inbound(to: outside, from: Self.far, now: Self.start) == .success(Self.host))
    }

    @Test func `ports are preserved while they are free, and shared where destinations distinguish them`() throws {
        var independent = Self.gateway(.endpointIndependent, .by(.addressAndPortDependent), .preserving)
        #expect(try Self.out(&independent, Self.host, Self.far).port == 7946)
        #expect(try Self.out(&independent, Self.other, Self.far).port == 7947)
        var dependent = Self.gateway(.addressAndPortDependent, .by(.addressAndPortDependent), .preserving)
        #expect(try Self.out(&dependent, Self.host, Self.far).port == 7946)
        #expect(try Self.out(&dependent, Self.host, Self.outsider).port == 7946)
        #expect(try Self.out(&dependent, Self.other, Self.farPort).port == 7946)
        #expect(try Self.out(&dependent, Self.other, Self.far).port == 7947)
        #expect(
            dependent.inbound(to: SocketAddress(dependent.outside, 7946), from: Self.farPort, now: Self.start)
                == .success(Self.other))
    }

    @Test func `sequential ports go by their step, random ones do not, and parity is kept`() throws {
        var gateway = Self.gateway(.addressAndPortDependent, .by(.addressAndPortDependent), .sequential(step: 3))
        let ports = try (0..<10).map { try Self.out(&gateway, Self.host, SocketAddress(Self.far.ip, 5000 + $0)).port }
        for (a, b) in zip(ports, ports.dropFirst()) { #expect(b == a + 3) }
        var random = Self.gateway(.addressAndPortDependent, .by(.addressAndPortDependent), .random)
        let drawn = try (0..<100).map { try Self.out(&random, Self.host, SocketAddress(Self.far.ip, 5000 + $0)).port }
        #expect(Set(drawn).count == 100)
        #expect(drawn.contains { $0 < 20_000 } && drawn.contains { $0 > 45_000 })
        var parity = Self.gateway(.addressAndPortDependent, .by(.addressAndPortDependent), .parity)
        for port in 0..<50 as Range<UInt16> {
            let inside = SocketAddress(Self.host.ip, 8000 + port)
            #expect(try Self.out(&parity, inside, Self.far).port % 2 == inside.port % 2)
        }
    }

    @Test(arguments: [true, false])
    func `a mapping lives as long as it is used in the stated directions`(_ isRefreshedByInbound: Bool) throws {
        var gateway = Self.gateway(.endpointIndependent, .by(.addressAndPortDependent)) {
            $0.lifetime = .seconds(20)
            $0.isRefreshedByInbound = isRefreshedByInbound
        }
        let outside = try Self.out(&gateway, Self.host, Self.far)
        for second in 1...3 {
            _ = gateway.inbound(to: outside, from: Self.far, now: Self.start + .seconds(Int64(second) * 15))
        }
        let later = Self.start + .seconds(50)
        #expect(
            (gateway.inbound(to: outside, from: Self.far, now: later) == .success(Self.host)) == isRefreshedByInbound)
        #expect((try Self.out(&gateway, Self.host, Self.far, at: later) == outside) == isRefreshedByInbound)
        // What goes out refreshes always.
        let fresh = try Self.out(&gateway, Self.host, Self.far, at: later)
        for second in 1...3 {
            #expect(try Self.out(&gateway, Self.host, Self.far, at: later + .seconds(Int64(second) * 15)) == fresh)
        }
        #expect(gateway.count(now: later + .seconds(200)) == 0)
    }

    @Test func `a full table makes no new mappings, and keeps the existing ones`() throws {
        var gateway = Self.gateway(.addressAndPortDependent, .by(.addressAndPortDependent)) { $0.capacity = 3 }
        for port in 1...3 as ClosedRange<UInt16> {
            _ = try Self.out(&gateway, Self.host, SocketAddress(Self.far.ip, port))
        }
        #expect(gateway.outbound(from: Self.host, to: Self.outsider, now: Self.start) == .failure(.tableFull))
        #expect(throws: Never.self) { try Self.out(&gateway, Self.host, SocketAddress(Self.far.ip, 2)) }
        #expect(throws: Never.self) {
            try Self.out(&gateway, Self.host, Self.outsider, at: Self.start + .seconds(121))
        }
    }

    @Test func `a reboot, another address and new ports each end what was there`() throws {
        for fault in [
            { (gateway: inout NATGateway) in gateway.reboot() },
            { $0.renumber(.v4(0xc633_6409)) }, { $0.rebind(now: Self.start) },
        ] {
            var gateway = Self.gateway(.endpointIndependent, .by(.endpointIndependent))
            let before = try Self.out(&gateway, Self.host, Self.far)
            fault(&gateway)
            #expect(gateway.inbound(to: before, from: Self.far, now: Self.start) == .failure(.noMapping))
            let after = try Self.out(&gateway, Self.host, Self.far)
            #expect(after != before)
            #expect(gateway.inbound(to: after, from: Self.far, now: Self.start) == .success(Self.host))
        }
    }

    @Test
    func `a machine without a firewall gives another port for a destination that has sent first`()
        throws
    {
        var gateway = Self.gateway(.addressAndPortDependent, .by(.addressAndPortDependent), .preserving) {
            $0.remembersUnsolicited = true
        }
        let own = SocketAddress(gateway.outside, Self.host.port)
        #expect(gateway.inbound(to: own, from: Self.far, now: Self.start) == .failure(.noMapping))
        #expect(try Self.out(&gateway, Self.host, Self.far) != own)
        #expect(try Self.out(&gateway, Self.host, Self.outsider) == own)
        let later = Self.start + .seconds(200)
        #expect(try Self.out(&gateway, Self.host, Self.far, at: later) == own)
    }

    @Test func `a requested port admits every sender until its time`() throws {
        var gateway = Self.gateway(.addressAndPortDependent, .by(.addressAndPortDependent))
        let until = Self.start + .seconds(600)
        let forwarded = gateway.forward(Self.host, until: until, now: Self.start)
        let outside = try #require(forwarded)
        #expect(gateway.inbound(to: outside, from: Self.outsider, now: Self.start) == .success(Self.host))
        #expect(gateway.inbound(to: outside, from: Self.outsider, now: until) == .failure(.noMapping))
    }

    @Test func `a firewall changes no address and lets in answers alone`() throws {
        var gateway = NATGateway(.firewall(), outside: .any6, random: Random(Seed(1)))
        let inside = SocketAddress("[2001:db8:1::2]:7946")!, far = SocketAddress("[2001:db8:2::2]:7946")!
        #expect(gateway.inbound(to: inside, from: far, now: Self.start) == .failure(.noMapping))
        #expect(try Self.out(&gateway, inside, far) == inside)
        #expect(gateway.inbound(to: inside, from: far, now: Self.start) == .success(inside))
        let another = SocketAddress(far.ip, 1)
        #expect(gateway.inbound(to: inside, from: another, now: Self.start) == .failure(.filtered))
        var blocking = NATGateway.Behaviour.firewall()
        blocking.blocksUDP = true
        var wall = NATGateway(blocking, outside: .any6, random: Random(Seed(1)))
        #expect(wall.outbound(from: inside, to: far, now: Self.start) == .failure(.blocked))
    }
}

/// Routes through several gateways.
@Suite struct InternetTests {
    private static let start = Instant(nanoseconds: 1)
    private static let beacon = SocketAddress("203.0.113.1:7946")!

    private static func gateway(_ outside: String, _ change: (inout NATGateway.Behaviour) -> Void = { _ in })
        -> NATGateway
    {
        var behaviour = NATGateway.Behaviour(.endpointIndependent, .by(.endpointIndependent), .random)
        change(&behaviour)
        return NATGateway(behaviour, outside: IPAddress(outside)!, random: Random(Seed(5)))
    }

    @Test func `a datagram goes up through two NATs and its answer comes down through both`() throws {
        var internet = Internet()
        internet.attach(9, at: Self.beacon.ip, in: Internet.ipv4)
        let provider = internet.addRealm(behind: Self.gateway("198.51.100.8"), in: Internet.ipv4)
        let home = internet.addRealm(behind: Self.gateway("100.64.0.5"), in: provider)
        internet.attach(1, at: IPAddress("192.168.1.2")!, in: home)
        let host = SocketAddress("192.168.1.2:7946")!
        let up = try internet.leave(home, from: host, to: Self.beacon, count: 100, now: Self.start).get()
        #expect(up.from.ip == IPAddress("198.51.100.8")! && up.realm == Internet.ipv4)
        #expect(internet.destination(of: up) == 9)
        #expect(try internet.arrive(up, count: 100, now: Self.start).get() == (9, Self.beacon))
        let back = try internet.leave(Internet.ipv4, from: Self.beacon, to: up.from, count: 100, now: Self.start).get()
        #expect(internet.destination(of: back) == 1)
        #expect(try internet.arrive(back, count: 100, now: Self.start).get() == (1, host))
    }

    @Test func `neighbours reach each other directly, and at their outside address only where it hairpins`() throws {
        for hairpins in [true, false] {
            var internet = Internet()
            let home = internet.addRealm(
                behind: Self.gateway("198.51.100.8") { $0.hairpins = hairpins }, in: Internet.ipv4)
            internet.attach(9, at: Self.beacon.ip, in: Internet.ipv4)
            let a = SocketAddress("192.168.1.2:1")!, b = SocketAddress("192.168.1.3:1")!
            internet.attach(1, at: a.ip, in: home)
            internet.attach(2, at: b.ip, in: home)
            let near = try internet.leave(home, from: a, to: b, count: 1, now: Self.start).get()
            #expect(near.from == a)
            #expect(try internet.arrive(near, count: 1, now: Self.start).get() == (2, b))
            let outside = try internet.leave(home, from: b, to: Self.beacon, count: 1, now: Self.start).get().from
            let turned = internet.leave(home, from: a, to: outside, count: 1, now: Self.start)
            guard hairpins else {
                #expect(turned == .failure(.unreachable))
                continue
            }
            let flight = try turned.get()
            #expect(flight.from.ip == outside.ip)
            #expect(try internet.arrive(flight, count: 1, now: Self.start).get() == (2, b))
        }
    }

    @Test func `what is larger than a link is dropped there, both ways`() throws {
        var internet = Internet()
        internet.attach(9, at: Self.beacon.ip, in: Internet.ipv4)
        let home = internet.addRealm(behind: Self.gateway("198.51.100.8"), in: Internet.ipv4, mtu: 1124)
        let host = SocketAddress("192.168.1.2:1")!
        internet.attach(1, at: host.ip, in: home)
        let up = try internet.leave(home, from: host, to: Self.beacon, count: 1096, now: Self.start).get()
        #expect(internet.leave(home, from: host, to: Self.beacon, count: 1097, now: Self.start) == .failure(.tooBig))
        let back = try internet.leave(Internet.ipv4, from: Self.beacon, to: up.from, count: 1400, now: Self.start).get()
        #expect(throws: Internet.Loss.tooBig) { try internet.arrive(back, count: 1400, now: Self.start).get() }
        #expect(try internet.arrive(back, count: 1000, now: Self.start).get().machine == 1)
    }

    @Test func `a host behind a firewall has its own address, and is reached once it has sent`() throws {
        var internet = Internet()
        let wall = NATGateway(.firewall(), outside: .any6, random: Random(Seed(1)))
        let home = internet.addRealm(behind: wall, in: Internet.ipv6)
        let inside = SocketAddress("[2001:db8:1::2]:7946")!, far = SocketAddress("[2001:db8:2::2]:7946")!
        internet.attach(1, at: inside.ip, in: home)
        internet.attach(2, at: far.ip, in: Internet.ipv6)
        let knock = try internet.leave(Internet.ipv6, from: far, to: inside, count: 1, now: Self.start).get()
        #expect(throws: Internet.Loss.refused(.noMapping)) {
            try internet.arrive(knock, count: 1, now: Self.start).get()
        }
        let out = try internet.leave(home, from: inside, to: far, count: 1, now: Self.start).get()
        #expect(out.from == inside)
        #expect(try internet.arrive(knock, count: 1, now: Self.start).get() == (1, inside))
        internet.detach(inside.ip, from: home)
        #expect(
            internet.leave(Internet.ipv6, from: far, to: inside, count: 1, now: Self.start) == .failure(.unreachable))
    }

    @Test func `another outside address moves the gateway`() throws {
        var internet = Internet()
        internet.attach(9, at: Self.beacon.ip, in: Internet.ipv4)
        let home = internet.addRealm(behind: Self.gateway("198.51.100.8"), in: Internet.ipv4)
        let host = SocketAddress("192.168.1.2:1")!
        internet.attach(1, at: host.ip, in: home)
        let before = try internet.leave(home, from: host, to: Self.beacon, count: 1, now: Self.start).get().from
        internet.change(home) { $0.renumber(IPAddress("198.51.100.9")!) }
        #expect(
            internet.leave(Internet.ipv4, from: Self.beacon, to: before, count: 1, now: Self.start)
                == .failure(.unreachable))
        let after = try internet.leave(home, from: host, to: Self.beacon, count: 1, now: Self.start).get().from
        #expect(after.ip == IPAddress("198.51.100.9")!)
        let back = try internet.leave(Internet.ipv4, from: Self.beacon, to: after, count: 1, now: Self.start).get()
        #expect(try internet.arrive(back, count: 1, now: Self.start).get().machine == 1)
    }
}
