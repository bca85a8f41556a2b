package import Base
package import Mesh
import Wire

/// The network that a node is in, as far as it is known. Each `Finding` has either a `value` or, as `unknown`, the reason
/// why there is none.
package struct NetcheckView: Hashable, Sendable, Codable {
    package struct Finding<Value: Hashable & Sendable & Codable>: Hashable, Sendable, Codable {
        package private(set) var value: Value?
        package private(set) var unknown: Unknown?

        package static func known(_ value: Value) -> Finding { Finding(value: value) }
        package static func unknown(_ reason: Unknown) -> Finding { Finding(unknown: reason) }
    }

    /// Why something is not known.
    package enum Unknown: String, Hashable, Sendable, Codable, CaseIterable {
        /// The discovery is running.
        case pending
        case noAnswer
        /// One server with one address was asked; two addresses must be compared.
        case oneAddress
        /// No STUN server has a second address.
        case noOtherAddress
        /// A STUN server's second address does not answer.
        case otherIsSilent
        /// The STUN server does not support the request.
        case notServed
        case noNAT
        /// Too few mappings were seen.
        case tooFew
        /// No STUN server of this family is configured.
        case notAsked
        /// This node is in no fleet, so no beacon is known. No STUN server is configured.
        case noFleet
        /// One beacon has answered; two must be compared.
        case oneBeacon
        /// This machine has no address of the family.
        case noAddress
        /// It is measured once a day, and was measured before the machine moved to this network.
        case daily
    }

    package enum UDP: String, Hashable, Sendable, Codable, CaseIterable {
        case works, blocked
    }
    /// RFC 4787, section 4.1. Beacons alone find `untranslated`, `endpointIndependent` and `endpointDependent`; STUN servers
    /// distinguish the two kinds of endpoint-dependent mapping.
    package enum Mapping: String, Hashable, Sendable, Codable, CaseIterable {
        case untranslated = "none"
        case endpointIndependent, addressDependent, addressAndPortDependent
        /// One of the two before.
        case endpointDependent
    }
    /// RFC 4787, section 5.
    package enum Filtering: String, Hashable, Sendable, Codable, CaseIterable {
        case endpointIndependent, addressDependent, addressAndPortDependent
    }
    /// RFC 4787, section 4.2.
    package enum Ports: String, Hashable, Sendable, Codable, CaseIterable {
        case preserving, sequential, random
    }
    package enum Decision: String, Hashable, Sendable, Codable, CaseIterable {
        case yes, no
    }

    package struct Interface: Hashable, Sendable, Codable {
        package private(set) var name: String
        package var addresses: [IPAddress]
        /// The overlay's own.
        package let isOverlay: Bool

        package init(name: String, addresses: [IPAddress], isOverlay: Bool) {
            self.name = name
            self.addresses = addresses
            self.isOverlay = isOverlay
        }
    }

    package struct Gateway: Hashable, Sendable, Codable {
        package let address: IPAddress
        package let interface: String

        package init(address: IPAddress, interface: String) {
            self.address = address
            self.interface = interface
        }
    }

    /// How a beacon sees the mesh's port.
    package struct Beacon: Hashable, Sendable, Codable {
        package private(set) var node: NodeID
        package private(set) var name: String?
        package private(set) var seen: SocketAddress
        package private(set) var roundTripMicroseconds: Int64?
    }

    /// How a STUN server sees a socket of the NAT discovery.
    package struct Server: Hashable, Sendable, Codable {
        /// As it was configured.
        package private(set) var name: String
        package private(set) var address: SocketAddress?
        package private(set) var seen: SocketAddress?
        package private(set) var roundTripMicroseconds: Int64?
        /// From where it answers when it is asked to (RFC 5780).
        package private(set) var otherAddress: SocketAddress?
        package private(set) var software: String?
        /// In words.
        package private(set) var problem: String?

        package init(
            name: String, address: SocketAddress? = nil, otherAddress: SocketAddress? = nil, software: String? = nil,
            problem: String? = nil
        ) {
            self.name = name
            self.address = address
            self.otherAddress = otherAddress
            self.software = software
            self.problem = problem
        }
    }

    package struct Lifetime: Hashable, Sendable, Codable {
        package fileprivate(set) var atLeastSeconds: Int64?
        /// Absent where the mapping outlived the longest wait.
        package fileprivate(set) var belowSeconds: Int64?
        package fileprivate(set) var unknown: Unknown?

        package init(atLeastSeconds: Int64? = nil, belowSeconds: Int64? = nil, unknown: Unknown? = nil) {
            self.atLeastSeconds = atLeastSeconds
            self.belowSeconds = belowSeconds
            self.unknown = unknown
        }
    }

    /// IPv4 or IPv6.
    package struct Family: Hashable, Sendable, Codable {
        package fileprivate(set) var udp: Finding<UDP>
        package fileprivate(set) var mapping: Finding<Mapping>
        package fileprivate(set) var filtering: Finding<Filtering>
        package fileprivate(set) var ports: Finding<Ports>
        /// The distance of `sequential` ports.
        package fileprivate(set) var portStep: Int?
        package fileprivate(set) var hairpin: Finding<Decision>
        package fileprivate(set) var lifetime: Lifetime
    }

    package struct Kubernetes: Hashable, Sendable, Codable {
        package private(set) var namespace: String?
        package private(set) var pod: String?
        /// Whether what leaves the pod gets another address.
        package let sourceNAT: Finding<Decision>

        package init(namespace: String?, pod: String?, sourceNAT: Finding<Decision>) {
            self.namespace = namespace
            self.pod = pod
            self.sourceNAT = sourceNAT
        }
    }

    package enum RelayState: String, Hashable, Sendable, Codable, CaseIterable {
        /// There is no session with it.
        case connecting
        /// There is a session, and no allocation yet.
        case binding
        /// It has no room, or is no relay.
        case refused
        case bound
    }
    package struct Relay: Hashable, Sendable, Codable {
        package private(set) var node: NodeID
        package private(set) var name: String?
        package private(set) var address: SocketAddress?
        /// Over TCP, since UDP does not get there.
        package let isTCP: Bool
        package private(set) var state: RelayState
        package private(set) var roundTripMicroseconds: Int64?
        /// Kept for this node itself; else because a peer is there.
        package let isHome: Bool
    }

    /// Where the mesh listens.
    package let listening: [SocketAddress]
    package private(set) var interfaces: [Interface] = []
    package private(set) var gateway4: Gateway?
    package let beacons: [Beacon]
    package private(set) var stun: [Server] = []
    package private(set) var sinceDiscoveryMilliseconds: Int64?
    package private(set) var ipv4: Family
    package private(set) var ipv6: Family
    /// Absent outside of a pod.
    package private(set) var kubernetes: Kubernetes?
    package private(set) var relays: [Relay]
    /// How often the paths to the relays are used, so that NATs keep the mappings.
    package private(set) var keepAliveSeconds: Int64?
    /// Absent where none is asked for.
    package var portMapping: PortMappingView?
}

// MARK: - Assembly

// Puts together what the mesh knows, what the machine reports of itself, and what a NAT discovery found. The more certain
// result wins: a discovery's mapping over that of the beacons, and any answer over a server's silence.

extension NetcheckView {
    /// What the mesh knows by itself.
    package init(of report: NetworkReport, isMember: Bool) {
        listening = report.listening
        beacons = report.reflexiveAddresses.map { reflexive in
            Beacon(
                node: reflexive.beacon, name: reflexive.name, seen: reflexive.address,
                roundTripMicroseconds: reflexive.roundTrip.map { $0.nanoseconds / 1000 })
        }
        relays = report.relays.map { relay in
            Relay(
                node: relay.node, name: relay.name, address: relay.address, isTCP: relay.isTCP,
                state: RelayState(relay.state),
                roundTripMicroseconds: relay.roundTrip.map { $0.nanoseconds / 1000 }, isHome: relay.isHome)
        }
        keepAliveSeconds = report.keepAlive?.seconds
        let nobody = isMember ? Unknown.noAnswer : .noFleet
        ipv4 = Family(isSeen: report.reflexiveAddresses.contains { $0.address.ip.isIPv4 }, nobody)
        ipv6 = Family(isSeen: report.reflexiveAddresses.contains { !$0.address.ip.isIPv4 }, nobody)
        switch report.mapping {
        case .none: ipv4.mapping = .known(.untranslated)
        case .endpointIndependent: ipv4.mapping = .known(.endpointIndependent)
        case .endpointDependent: ipv4.mapping = .known(.endpointDependent)
        case .blocked: ipv4.udp = .known(.blocked)
        case .unknown where ipv4.udp.value != nil: ipv4.mapping = .unknown(.oneBeacon)
        case .unknown: break
        }
    }

    package mutating func add(_ machine: MachineNetwork) {
        interfaces = machine.interfaces
        gateway4 = machine.gateway4
        let own = machine.addresses.filter { !$0.isLoopback }
        for (isIPv4, path) in [(true, \NetcheckView.ipv4), (false, \NetcheckView.ipv6)] {
            guard !own.contains(where: { $0.isIPv4 == isIPv4 && !$0.isLinkLocal }), self[keyPath: path].udp.value == nil
            else { continue }
            self[keyPath: path] = Family(isSeen: false, .noAddress)
            self[keyPath: path].setAll(.noAddress)
        }
        guard let pod = machine.pod else { return }
        kubernetes = Kubernetes(namespace: pod.namespace, pod: pod.name, sourceNAT: sourceNAT(own))
    }

    /// Whether something outside sees this pod at an address that is not its own.
    private func sourceNAT(_ own: [IPAddress]) -> Finding<Decision> {
        let seen = (beacons.map(\.seen) + stun.compactMap(\.seen)).map(\.ip).filter { $0.isIPv4 && !$0.isLoopback }
        guard !seen.isEmpty else { return .unknown(.noAnswer) }
        return .known(seen.allSatisfy(own.contains) ? .no : .yes)
    }

    package mutating func add(_ discovery: NATDiscoveryReport, now: Instant) {
        sinceDiscoveryMilliseconds = discovery.endedAt.map { (now - $0).milliseconds }
        stun = discovery.servers.flatMap { server -> [Server] in
            guard !server.addresses.isEmpty else { return [Server(name: server.name, problem: server.problem)] }
            return server.addresses.map { address in
                let findings = address.ip.isIPv4 ? discovery.ipv4 : discovery.ipv6
                return Server(server.name, address, findings?.servers.first { $0.address == address })
            }
        }
        if let findings = discovery.ipv4 { ipv4.take(findings) }
        if let findings = discovery.ipv6 { ipv6.take(findings) }
        if ipv4.lifetime.unknown == .notAsked, let findings = discovery.ipv4 {
            let isAnswered = findings.udp == .known(true), isAble = findings.servers.contains { $0.other != nil }
            ipv4.lifetime.unknown = !isAnswered ? .noAnswer : isAble ? .daily : .noOtherAddress
        }
        if let lifetime = discovery.lifetime { ipv4.lifetime = Lifetime(of: lifetime) }
        if ipv4.mapping.value == .untranslated, ipv4.filtering.value == .endpointIndependent {
            ipv4.lifetime = Lifetime(unknown: .noNAT)
        }
        guard let pod = kubernetes else { return }
        let own = interfaces.filter { !$0.isOverlay }.flatMap(\.addresses)
        kubernetes = Kubernetes(namespace: pod.namespace, pod: pod.pod, sourceNAT: sourceNAT(own))
    }
}

extension NetcheckView.Family {
    /// Without a NAT discovery, by beacons alone; `nobody`: the reason where no beacon has answered.
    fileprivate init(isSeen: Bool, _ nobody: NetcheckView.Unknown) {
        udp = isSeen ? .known(.works) : .unknown(nobody)
        mapping = .unknown(nobody)
        (filtering, ports, hairpin) = (.unknown(.notAsked), .unknown(.notAsked), .unknown(.notAsked))
        lifetime = NetcheckView.Lifetime(unknown: .notAsked)
    }

    fileprivate mutating func setAll(_ reason: NetcheckView.Unknown) {
        (udp, mapping, filtering) = (.unknown(reason), .unknown(reason), .unknown(reason))
        (ports, hairpin) = (.unknown(reason), .unknown(reason))
        lifetime = NetcheckView.Lifetime(unknown: reason)
    }

    fileprivate mutating func take(_ findings: NATFindings) {
        if udp.unknown == .noAddress, findings.udp != .known(true) { return }
        switch findings.udp {
        case .known(true): udp = .known(.works)
        case .known(false): if udp.value == nil { udp = .known(.blocked) }
        case .unknown(let reason): if udp.value == nil { udp = .unknown(NetcheckView.Unknown(reason)) }
        }
        if case .known(let value) = findings.mapping {
            mapping = .known(NetcheckView.Mapping(value))
        } else if mapping.value == nil {
            mapping = NetcheckView.Finding(findings.mapping) { NetcheckView.Mapping($0) }
        }
        filtering = NetcheckView.Finding(findings.filtering) { NetcheckView.Filtering($0) }
        hairpin = NetcheckView.Finding(findings.hairpin) { $0 ? .yes : .no }
        portStep = nil
        switch findings.ports {
        case .known(.preserving): ports = .known(.preserving)
        case .known(.sequential(let step)): (ports, portStep) = (.known(.sequential), step)
        case .known(.random): ports = .known(.random)
        case .unknown(let reason): ports = .unknown(NetcheckView.Unknown(reason))
        }
    }
}

extension NetcheckView.Finding {
    fileprivate init<Found>(_ finding: NATFinding<Found>, _ value: (Found) -> Value) {
        switch finding {
        case .known(let found): self = .known(value(found))
        case .unknown(let reason): self = .unknown(NetcheckView.Unknown(reason))
        }
    }
}

extension NetcheckView.Unknown {
    fileprivate init(_ reason: NATUnknown) {
        switch reason {
        case .pending: self = .pending
        case .noAnswer: self = .noAnswer
        case .oneAddress: self = .oneAddress
        case .noOtherAddress: self = .noOtherAddress
        case .otherIsSilent: self = .otherIsSilent
        case .notServed: self = .notServed
        case .noNAT: self = .noNAT
        case .tooFew: self = .tooFew
        }
    }
}

extension NetcheckView.Mapping {
    fileprivate init(_ mapping: NATFindings.Mapping) {
        switch mapping {
        case .none: self = .untranslated
        case .endpointIndependent: self = .endpointIndependent
        case .addressDependent: self = .addressDependent
        case .addressAndPortDependent: self = .addressAndPortDependent
        case .dependent: self = .endpointDependent
        }
    }
}

extension NetcheckView.Filtering {
    fileprivate init(_ filtering: NATFindings.Filtering) {
        switch filtering {
        case .endpointIndependent: self = .endpointIndependent
        case .addressDependent: self = .addressDependent
        case .addressAndPortDependent: self = .addressAndPortDependent
        }
    }
}

extension NetcheckView.RelayState {
    fileprivate init(_ state: NetworkReport.RelayState) {
        switch state {
        case .connecting: self = .connecting
        case .binding: self = .binding
        case .refused: self = .refused
        case .bound: self = .bound
        }
    }
}

extension NetcheckView.Lifetime {
    fileprivate init(of finding: NATFinding<NATLifetime>) {
        switch finding {
        case .known(let life): self.init(atLeastSeconds: life.atLeast.seconds, belowSeconds: life.below?.seconds)
        case .unknown(let reason): self.init(unknown: NetcheckView.Unknown(reason))
        }
    }
}

extension NetcheckView.Server {
    fileprivate init(_ name: String, _ address: SocketAddress, _ found: NATFindings.Server?) {
        self.init(name: name, address: address, otherAddress: found?.other, software: found?.software)
        switch found?.outcome {
        case .answered(let seen, let roundTrip):
            self.seen = seen
            roundTripMicroseconds = roundTrip.map { $0.nanoseconds / 1000 }
        case .pending: problem = "has not answered yet"
        case .silent: problem = "does not answer"
        case .unreachable: problem = "cannot be reached: this machine cannot send there, or an error came back"
        case .refused(let code): problem = "refuses, with error \(code)"
        case nil: problem = "is one of more than are asked, \(NATDiscovery.serverLimit)"
        }
    }
}

extension IPAddress {
    /// RFC 3927 and RFC 4291, section 2.5.6.
    fileprivate var isLinkLocal: Bool {
        switch self {
        case .v4(let value): value >> 16 == 0xa9fe
        case .v6(let high, _): high >> 54 == 0x3fa
        }
    }
}
