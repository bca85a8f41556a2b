import Base
import Control
import Mesh
import Testing
import Wire

/// The report from the mesh's findings, the machine's and a NAT discovery's.
@Suite struct NetcheckTests {
    private static let node = NodeID((0..<32).map { UInt8($0) })!
    private static let own = IPAddress("192.168.1.2")!
    private static let seen = SocketAddress("198.51.100.7:7950")!
    private static let server = SocketAddress("203.0.113.1:3478")!
    private static let now = Instant(nanoseconds: 9_000_000_000)

    private static func mesh(_ seen: [SocketAddress], _ mapping: NATMapping) -> NetworkReport {
        NetworkReport(
            listening: [SocketAddress(own, 7950)],
            reflexiveAddresses: seen.map {
                .init(beacon: node, name: "beacon", address: $0, roundTrip: .milliseconds(3))
            },
            mapping: mapping, relays: [])
    }

    private static func machine(_ addresses: [IPAddress] = [own], pod: MachineNetwork.Pod? = nil) -> MachineNetwork {
        MachineNetwork(
            interfaces: [
                .init(name: "lo", addresses: [.loopback4, .loopback6], isOverlay: false),
                .init(name: "eth0", addresses: addresses, isOverlay: false),
                .init(name: "asterism0", addresses: [IPAddress("fd00::1")!], isOverlay: true),
            ], pod: pod)
    }

    private static func findings(
        _ outcome: NATFindings.Outcome, udp: NATFinding<Bool>, mapping: NATFinding<NATFindings.Mapping>
    ) -> NATFindings {
        var server = NATFindings.Server(address: server)
        server.outcome = outcome
        return NATFindings(
            servers: [server], udp: udp, reflexive: nil, mapping: mapping, filtering: .unknown(.noOtherAddress),
            ports: .known(.sequential(step: 2)), hairpin: .known(false))
    }

    private static func discovery(_ findings: NATFindings?) -> NATDiscoveryReport {
        var report = NATDiscoveryReport(servers: [.init(name: "stun.example.org:3478", addresses: [server])])
        report.ipv4 = findings
        report.endedAt = now
        return report
    }

    @Test func `without peers and servers all is unknown, with the reason`() {
        var view = NetcheckView(of: Self.mesh([], .unknown), isMember: false)
        view.add(Self.machine())
        view.add(NATDiscoveryReport(servers: []), now: Self.now)
        #expect(view.ipv4.udp == .unknown(.noFleet) && view.ipv4.mapping == .unknown(.noFleet))
        #expect(view.ipv4.filtering == .unknown(.notAsked) && view.ipv4.lifetime.unknown == .notAsked)
        // The overlay's own address, loopback and link-local ones lead nowhere.
        #expect(view.ipv6.udp == .unknown(.noAddress) && view.ipv6.mapping == .unknown(.noAddress))
        #expect(view.stun.isEmpty && view.kubernetes == nil && view.sinceDiscoveryMilliseconds == nil)
        view = NetcheckView(of: Self.mesh([], .unknown), isMember: true)
        #expect(view.ipv4.udp == .unknown(.noAnswer))
    }

    @Test func `beacons alone show UDP and the mapping`() {
        for mapping in NATMapping.allCases where mapping != .blocked {
            let view = NetcheckView(of: Self.mesh([Self.seen, Self.seen], mapping), isMember: true)
            #expect(view.ipv4.udp == .known(.works))
            let known = NetcheckView.Mapping(rawValue: "\(mapping)").map { NetcheckView.Finding.known($0) }
            #expect(view.ipv4.mapping == (mapping == .unknown ? .unknown(.oneBeacon) : known))
            #expect(view.beacons.count == 2 && view.beacons[0].roundTripMicroseconds == 3000)
        }
    }

    @Test func `relays over TCP alone mean that UDP is blocked`() {
        let view = NetcheckView(of: Self.mesh([], .blocked), isMember: true)
        #expect(view.ipv4.udp == .known(.blocked) && view.ipv4.mapping == .unknown(.noAnswer))
    }

    @Test func `a NAT discovery's mapping has priority over the beacons', but its silence has not`() {
        var view = NetcheckView(of: Self.mesh([Self.seen, Self.seen], .endpointDependent), isMember: true)
        view.add(Self.machine())
        var other = view
        view.add(
            Self.discovery(
                Self.findings(
                    .answered(Self.seen, roundTrip: .milliseconds(2)), udp: .known(true),
                    mapping: .known(.addressDependent))),
            now: Self.now + .seconds(4))
        #expect(view.ipv4.mapping == .known(.addressDependent) && view.ipv4.ports == .known(.sequential))
        #expect(view.ipv4.portStep == 2 && view.ipv4.hairpin == .known(.no))
        #expect(view.stun[0].seen == Self.seen && view.stun[0].roundTripMicroseconds == 2000)
        #expect(view.sinceDiscoveryMilliseconds == 4000 && view.ipv4.lifetime.unknown == .noOtherAddress)
        // A firewall may drop what goes to that port, and the mesh works all the same.
        other.add(
            Self.discovery(Self.findings(.silent, udp: .known(false), mapping: .unknown(.noAnswer))), now: Self.now)
        #expect(other.ipv4.udp == .known(.works) && other.ipv4.mapping == .known(.endpointDependent))
        #expect(other.stun[0].problem == "does not answer")
    }

    @Test func `silent servers where nothing else is received mean that UDP is blocked`() {
        var view = NetcheckView(of: Self.mesh([], .unknown), isMember: true)
        view.add(Self.machine())
        view.add(
            Self.discovery(Self.findings(.silent, udp: .known(false), mapping: .unknown(.noAnswer))), now: Self.now)
        #expect(view.ipv4.udp == .known(.blocked) && view.ipv4.mapping == .unknown(.noAnswer))
        #expect(view.ipv4.lifetime.unknown == .noAnswer)
    }

    @Test func `a measured lifetime is reported, and a mapping that cannot expire has none`() {
        var view = NetcheckView(of: Self.mesh([], .unknown), isMember: false)
        var report = Self.discovery(
            Self.findings(
                .answered(Self.seen, roundTrip: nil), udp: .known(true), mapping: .known(.endpointIndependent)))
        report.lifetime = .known(NATLifetime(atLeast: .seconds(20), below: .seconds(45)))
        view.add(report, now: Self.now)
        #expect(view.ipv4.lifetime == .init(atLeastSeconds: 20, belowSeconds: 45))
        report.ipv4?.mapping = .known(.none)
        report.ipv4?.filtering = .known(.endpointIndependent)
        view.add(report, now: Self.now)
        #expect(view.ipv4.lifetime.unknown == .noNAT)
    }

    static let pods: [(seen: String?, own: String, sourceNAT: NetcheckView.Finding<NetcheckView.Decision>)] = [
        ("198.51.100.7:7950", "10.244.1.5", .known(.yes)), ("10.244.1.5:7950", "10.244.1.5", .known(.no)),
        (nil, "10.244.1.5", .unknown(.noAnswer)),
    ]

    @Test(arguments: pods.indices)
    func `a pod that is seen at another address is translated`(_ index: Int) throws {
        let (seen, own, sourceNAT) = Self.pods[index]
        let address = seen.flatMap { SocketAddress($0) }
        let pod = MachineNetwork.Pod(namespace: "training", name: "trainer-0")
        let machine = Self.machine([try #require(IPAddress(own))], pod: pod)
        // By a beacon.
        var view = NetcheckView(of: Self.mesh(address.map { [$0] } ?? [], .unknown), isMember: true)
        view.add(machine)
        #expect(view.kubernetes == .init(namespace: "training", pod: "trainer-0", sourceNAT: sourceNAT))
        // By a STUN server.
        view = NetcheckView(of: Self.mesh([], .unknown), isMember: false)
        view.add(machine)
        let outcome = address.map { NATFindings.Outcome.answered($0, roundTrip: nil) } ?? .silent
        view.add(
            Self.discovery(Self.findings(outcome, udp: .known(true), mapping: .unknown(.oneAddress))), now: Self.now)
        #expect(view.kubernetes?.sourceNAT == sourceNAT)
    }

    @Test func `a server without an address shows what is wrong with its name`() {
        var view = NetcheckView(of: Self.mesh([], .unknown), isMember: false)
        view.add(
            NATDiscoveryReport(servers: [.init(name: "x.invalid:1", problem: "its name cannot be resolved")]),
            now: Self.now)
        #expect(view.stun == [.init(name: "x.invalid:1", problem: "its name cannot be resolved")])
    }
}
