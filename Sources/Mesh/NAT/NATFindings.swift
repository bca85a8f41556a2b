package import Base

/// The findings of a `NATDiscovery`, for one family of addresses.
package struct NATFindings: Hashable, Sendable {
    package struct Server: Hashable, Sendable {
        package let address: SocketAddress
        package var outcome = Outcome.pending
        /// Its second address, which it answers from when asked to.
        package var other: SocketAddress?
        package var software: String?

        package init(address: SocketAddress) { self.address = address }
    }

    package enum Outcome: Hashable, Sendable {
        case pending
        /// How it saw the discovery's first socket; a round trip only where one datagram was enough.
        case answered(SocketAddress, roundTrip: Interval?)
        case silent
        /// This machine could not send, or an ICMP error came back: there is no listener, or a firewall refuses.
        case unreachable
        /// It answered with a STUN error.
        case refused(code: Int)
    }

    /// RFC 4787, section 4.1.
    package enum Mapping: String, Hashable, Sendable, CaseIterable {
        /// The machine's own address is seen outside.
        case none
        case endpointIndependent, addressDependent, addressAndPortDependent
        /// One of the two: no two ports of one far address were asked.
        case dependent
    }

    /// RFC 4787, section 5: from which senders datagrams are let in. Firewalls that do not translate filter as well.
    package enum Filtering: String, Hashable, Sendable, CaseIterable {
        case endpointIndependent, addressDependent, addressAndPortDependent
    }

    /// RFC 4787, section 4.2: which outside port a mapping gets.
    package enum Ports: Hashable, Sendable {
        /// The inside port.
        case preserving
        /// The distance from the port of the previous mapping; where others make mappings too, the usual distance.
        case sequential(step: Int)
        /// No pattern was seen.
        case random
    }

    package private(set) var servers: [Server]
    /// Datagrams come back.
    package var udp: NATFinding<Bool>
    /// How the first socket is seen by the first server that answered.
    package private(set) var reflexive: SocketAddress?
    package var mapping: NATFinding<Mapping>
    package var filtering: NATFinding<Filtering>
    package var ports: NATFinding<Ports>
    /// Two sockets of this machine reach each other at their outside addresses (RFC 4787, section 6).
    package var hairpin: NATFinding<Bool>

    package init(
        servers: [Server], udp: NATFinding<Bool>, reflexive: SocketAddress?, mapping: NATFinding<Mapping>,
        filtering: NATFinding<Filtering>, ports: NATFinding<Ports>, hairpin: NATFinding<Bool>
    ) {
        self.servers = servers
        self.udp = udp
        self.reflexive = reflexive
        self.mapping = mapping
        self.filtering = filtering
        self.ports = ports
        self.hairpin = hairpin
    }
}
