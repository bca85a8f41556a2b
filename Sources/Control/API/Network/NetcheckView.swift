package import Base

/// The network that a node is in, as far as it is known. What is not known says why: in each `Finding` either `value` is
/// there or `unknown`.
package struct NetcheckView: Hashable, Sendable, Codable {
    package struct Finding<Value: Hashable & Sendable & Codable>: Hashable, Sendable, Codable {
        package private(set) var value: Value?
        package var unknown: Unknown?

        package static func known(_ value: Value) -> Finding { Finding(value: value) }
        package static func unknown(_ reason: Unknown) -> Finding { Finding(unknown: reason) }
    }

    /// Why something is not known.
    package enum Unknown: String, Hashable, Sendable, Codable, CaseIterable {
        /// It is being found out.
        case pending
        case noAnswer
        /// One server with one address was asked; two addresses must be compared.
        case oneAddress
        /// No STUN server has a second address.
        case noOtherAddress
        /// Nobody answers at a STUN server's second address.
        case otherIsSilent
        /// The STUN server does not do as it is asked.
        case notServed
        case noNAT
        /// Too few mappings were seen.
        case tooFew
        /// No STUN server of this family is configured.
        case notAsked
        /// This node is in no fleet, so that no beacon is known, and no STUN server is configured.
        case noFleet
        /// One beacon has answered; two must be compared.
        case oneBeacon
        /// This machine has no address of the family.
        case noAddress
        /// It is measured once a day, and was before the machine came here.
        case daily
    }

    package enum UDP: String, Hashable, Sendable, Codable, CaseIterable {
        case works, blocked
    }
    /// RFC 4787, section 4.1. Beacons alone find `untranslated`, `endpointIndependent` and `endpointDependent`; STUN servers
    /// tell the two kinds of endpoint-dependent mapping apart.
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
        package var name: String
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
        package var node: NodeID
        package var name: String?
        package var seen: SocketAddress
        package var roundTripMicroseconds: Int64?
    }

    /// How a STUN server sees a socket of its own kind.
    package struct Server: Hashable, Sendable, Codable {
        /// As it was configured.
        package var name: String
        package private(set) var address: SocketAddress?
        package var seen: SocketAddress?
        package var roundTripMicroseconds: Int64?
        /// From where it answers when it is asked to (RFC 5780).
        package private(set) var otherAddress: SocketAddress?
        package var software: String?
        /// In words.
        package var problem: String?

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
        package private(set) var atLeastSeconds: Int64?
        /// Absent where the mapping outlived the longest wait.
        package private(set) var belowSeconds: Int64?
        package var unknown: Unknown?

        package init(atLeastSeconds: Int64? = nil, belowSeconds: Int64? = nil, unknown: Unknown? = nil) {
            self.atLeastSeconds = atLeastSeconds
            self.belowSeconds = belowSeconds
            self.unknown = unknown
        }
    }

    /// IPv4 or IPv6.
    package struct Family: Hashable, Sendable, Codable {
        package var udp: Finding<UDP>
        package var mapping: Finding<Mapping>
        package var filtering: Finding<Filtering>
        package var ports: Finding<Ports>
        /// The distance of `sequential` ports.
        package var portStep: Int?
        package var hairpin: Finding<Decision>
        package var lifetime: Lifetime
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
        package var node: NodeID
        package var name: String?
        package private(set) var address: SocketAddress?
        /// Over TCP, since UDP does not get there.
        package let isTCP: Bool
        package var state: RelayState
        package var roundTripMicroseconds: Int64?
        /// Kept for this node's own sake; else because a peer is there.
        package let isHome: Bool
    }

    /// Where the mesh listens.
    package let listening: [SocketAddress]
    package var interfaces: [Interface] = []
    package var gateway4: Gateway?
    package let beacons: [Beacon]
    package var stun: [Server] = []
    package var sinceDiscoveryMilliseconds: Int64?
    package var ipv4: Family
    package var ipv6: Family
    /// Absent outside of a pod.
    package var kubernetes: Kubernetes?
    package var relays: [Relay]
    /// How often the ways to the relays are used, so that NATs do not forget them.
    package var keepAliveSeconds: Int64?
    /// Absent where none is asked for.
    package var portMapping: PortMappingView?
}
