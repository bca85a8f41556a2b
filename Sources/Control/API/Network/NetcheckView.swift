package import Base

/// The network that a node is in, as far as it is known. What is not known says why: in each `Finding` either `value` is
/// there or `unknown`.
///
/// Reasons: `pending` (it is being found out), `noAnswer`, `oneAddress` (two must be compared), `noOtherAddress` (no STUN
/// server has a second address), `otherIsSilent` (nobody answers at it), `notServed` (the server does not do as it is
/// asked), `noTranslation`, `tooFew`, `notAsked` (no STUN server of this family is configured), `noFleet` (and no beacon is
/// known), `oneBeacon`, `noAddress` (this machine has no address of the family), `daily` (it is measured once a day, and
/// was before the machine came here).
package struct NetcheckView: Hashable, Sendable, Codable {
    package struct Finding: Hashable, Sendable, Codable {
        package var value: String?
        package var unknown: String?

        package static func known(_ value: String) -> Finding { Finding(value: value) }
        package static func unknown(_ reason: String) -> Finding { Finding(unknown: reason) }
    }

    package struct Interface: Hashable, Sendable, Codable {
        package var name: String
        package var addresses: [IPAddress]
        /// The overlay's own.
        package var isOverlay: Bool

        package init(name: String, addresses: [IPAddress], isOverlay: Bool) {
            self.name = name
            self.addresses = addresses
            self.isOverlay = isOverlay
        }
    }

    package struct Gateway: Hashable, Sendable, Codable {
        package var address: IPAddress
        package var interface: String

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
        package var address: SocketAddress?
        package var seen: SocketAddress?
        package var roundTripMicroseconds: Int64?
        /// From where it answers when it is asked to (RFC 5780).
        package var otherAddress: SocketAddress?
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
        package var atLeastSeconds: Int64?
        /// Absent where the mapping outlived the longest wait.
        package var belowSeconds: Int64?
        package var unknown: String?

        package init(atLeastSeconds: Int64? = nil, belowSeconds: Int64? = nil, unknown: String? = nil) {
            self.atLeastSeconds = atLeastSeconds
            self.belowSeconds = belowSeconds
            self.unknown = unknown
        }
    }

    /// IPv4 or IPv6.
    package struct Family: Hashable, Sendable, Codable {
        /// `works` or `blocked`.
        package var udp: Finding
        /// `none`, `endpointIndependent`, `addressDependent`, `addressAndPortDependent`, `dependent` (one of these two); by
        /// beacons alone `none`, `stable` or `varies`.
        package var mapping: Finding
        /// `endpointIndependent`, `addressDependent` or `addressAndPortDependent`.
        package var filtering: Finding
        /// `preserving`, `sequential` or `random`.
        package var ports: Finding
        package var portStep: Int?
        /// `yes` or `no`.
        package var hairpin: Finding
        package var lifetime: Lifetime
    }

    package struct Kubernetes: Hashable, Sendable, Codable {
        package var namespace: String?
        package var pod: String?
        /// Whether what leaves the pod gets another address: `yes` or `no`.
        package var translated: Finding

        package init(namespace: String?, pod: String?, translated: Finding) {
            self.namespace = namespace
            self.pod = pod
            self.translated = translated
        }
    }

    package struct Relay: Hashable, Sendable, Codable {
        package var node: NodeID
        package var name: String?
        package var address: SocketAddress?
        /// Over TCP, since UDP does not get there.
        package var isTCP: Bool
        /// `connecting`, `binding`, `refused` or `bound`.
        package var state: String
        package var roundTripMicroseconds: Int64?
        /// Kept for this node's own sake; else because a peer is there.
        package var isHome: Bool
    }

    /// Where the mesh listens.
    package var listening: [SocketAddress]
    package var interfaces: [Interface] = []
    package var gateway4: Gateway?
    package var beacons: [Beacon]
    package var stun: [Server] = []
    package var sinceSurveyedMilliseconds: Int64?
    package var ipv4: Family
    package var ipv6: Family
    /// Absent outside of a pod.
    package var kubernetes: Kubernetes?
    package var relays: [Relay]
    /// How often the ways to the relays are used, so that translators do not forget them.
    package var keepAliveSeconds: Int64?
    /// Absent where none is asked for.
    package var portMapping: PortMappingView?
}
