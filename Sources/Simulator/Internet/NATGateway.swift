package import Base
import OrderedCollections

/// # A NAT
///
/// A gateway stands between an inside and an outside. A datagram that leaves gets an outside address, its *mapping*; one
/// that comes in is let through if there is a mapping for its destination and the *filter* knows its sender. No standard
/// defines what a NAT does beyond that. RFC 4787 gave names to the behaviour found in the field. The fields of `Behaviour`
/// have these names, and every combination is possible.
///
/// ```
///   inside 192.168.1.7:7946 ──→ mapping ──→ outside 203.0.113.5:40001      by whom it goes to, perhaps (mapping)
///   inside 192.168.1.7:7946 ←── filter  ←── outside 203.0.113.5:40001      by whom it comes from, perhaps (filtering)
/// ```
///
/// Mappings and the filter use one table of conversations, as in Linux's conntrack: each mapping has the destinations that it
/// was used with, each with its own timeout. A gateway that does not translate is a stateful firewall, as home routers have
/// for IPv6. Nothing here knows of networks; `Internet` moves datagrams between gateways.
package struct NATGateway: Sendable {
    /// Whether something is the same for all destinations, for all ports of a far address, or for one destination only
    /// (RFC 4787, sections 4.1 and 5).
    package enum Dependence: String, Hashable, Sendable, CaseIterable {
        case endpointIndependent, addressDependent, addressAndPortDependent
    }

    package enum Filtering: Hashable, Sendable {
        /// Everything that arrives goes to one host inside: a one-to-one NAT, or a router's exposed host.
        case open
        case by(Dependence)
    }

    /// Which outside port a new mapping gets (RFC 4787, section 4.2).
    package enum PortAllocation: Hashable, Sendable {
        /// The inside port. Where the mapping depends on the destination, several mappings share it as long as their
        /// destinations differ, as Linux's masquerading does; else the next one that is free.
        case preserving
        /// The last one plus `step`.
        case sequential(step: UInt16)
        case random
        /// Random, and even for even inside ports.
        case parity
    }

    package struct Behaviour: Hashable, Sendable {
        /// False: a firewall that keeps state and changes no address.
        package var isNAT = true
        package var mapping = Dependence.endpointIndependent
        package var filtering = Filtering.by(.addressAndPortDependent)
        package var ports = PortAllocation.preserving
        /// How long a conversation is remembered after its last datagram.
        package var lifetime = Interval.seconds(120)
        /// Whether inbound datagrams refresh it too; outbound ones always do (RFC 4787, section 4.3).
        package var isRefreshedByInbound = true
        /// The maximum of simultaneous mappings; a request beyond it fails.
        package var capacity = 4096
        /// Whether inside hosts reach each other at their outside addresses (RFC 4787, section 6).
        package var hairpins = false
        /// A machine that translates without a firewall, as Linux does. An inbound datagram without a mapping is a
        /// conversation with the machine itself, and an inside host that sends to that destination gets another port.
        package var remembersUnsolicited = false
        /// A firewall that blocks outgoing UDP.
        package var blocksUDP = false

        package init() {}
        package init(
            _ mapping: Dependence, _ filtering: Filtering, _ ports: PortAllocation = .preserving,
            lifetime: Interval = .seconds(120)
        ) {
            self.mapping = mapping
            self.filtering = filtering
            self.ports = ports
            self.lifetime = lifetime
        }

        /// A stateful firewall that lets answers in.
        package static func firewall(_ filtering: Dependence = .addressAndPortDependent) -> Behaviour {
            var behaviour = Behaviour(.endpointIndependent, .by(filtering))
            behaviour.isNAT = false
            return behaviour
        }
    }

    package enum Refusal: Error, Hashable, Sendable {
        /// No inside host has that outside address.
        case noMapping
        /// The filter does not know the sender.
        case filtered
        /// There is no room for another mapping.
        case tableFull
        /// No UDP leaves here.
        case blocked
    }

    private struct Mapping {
        var inside: SocketAddress
        /// The destinations that share it.
        var scope: Scope
        var outsidePort: UInt16
        /// Until when each destination is remembered, in the granularity of the filter.
        var conversations = OrderedDictionary<SocketAddress, Instant>()
        /// A port that the inside host requested (PCP, UPnP): admits every sender until then.
        var forwardedUntil: Instant?

        func expires(_ now: Instant) -> Bool {
            if let forwardedUntil, forwardedUntil > now { return false }
            return !conversations.values.contains { $0 > now }
        }
    }

    /// Part of a destination: nothing, its address, or all of it.
    private struct Scope: Hashable {
        var ip: IPAddress?
        var port: UInt16?

        init(_ dependence: Dependence, _ remote: SocketAddress) {
            ip = dependence == .endpointIndependent ? nil : remote.ip
            port = dependence == .addressAndPortDependent ? remote.port : nil
        }
        static let all = Scope(.endpointIndependent, SocketAddress(.any4, 0))
    }

    package private(set) var behaviour: Behaviour
    private let blocksUDPAlways: Bool
    package private(set) var outside: IPAddress
    /// Where an open filter sends datagrams without a mapping.
    package var exposed: IPAddress?
    private var mappings: [Mapping] = []
    private var nextPort: UInt16
    private var random: Random
    /// By outside port and destination: until when it belongs to an unsolicited sender.
    private var unsolicited = OrderedDictionary<Unsolicited, Instant>()

    private struct Unsolicited: Hashable {
        var port: UInt16
        var remote: SocketAddress
    }
    /// Linux's nf_conntrack_udp_timeout.
    private static let unsolicitedLifetime = Interval.seconds(30)

    private static let ports: ClosedRange<Int64> = 1024...65_535

    package init(_ behaviour: Behaviour, outside: IPAddress, random: Random) {
        self.behaviour = behaviour
        blocksUDPAlways = behaviour.blocksUDP
        self.outside = outside
        self.random = random
        nextPort = 1024
        nextPort = UInt16(self.random.next(in: NATGateway.ports))
    }

    /// Blocks outgoing UDP, and also the inbound datagrams that were admitted until now.
    package mutating func block() {
        behaviour.blocksUDP = true
        mappings = []
    }

    /// Restores the original behaviour.
    package mutating func unblock() { behaviour.blocksUDP = blocksUDPAlways }

    /// Mappings in use.
    package func count(now: Instant) -> Int { mappings.count { !$0.expires(now) } }

    // MARK: - Datagrams

    /// A datagram leaves; the result is its outside source.
    package mutating func outbound(
        from inside: SocketAddress, to remote: SocketAddress, now: Instant
    ) -> Result<SocketAddress, Refusal> {
        guard !behaviour.blocksUDP else { return .failure(.blocked) }
        let scope = Scope(behaviour.mapping, remote)
        if let index = mappings.firstIndex(where: { $0.inside == inside && $0.scope == scope && !$0.expires(now) }) {
            touch(index, remote, now)
            return .success(outsideAddress(of: mappings[index]))
        }
        mappings.removeAll { $0.expires(now) }
        unsolicited.removeAll { $0.value <= now }
        guard mappings.count < behaviour.capacity, let port = port(for: inside, scope, remote) else {
            return .failure(.tableFull)
        }
        mappings.append(Mapping(inside: inside, scope: scope, outsidePort: port))
        touch(mappings.count - 1, remote, now)
        return .success(outsideAddress(of: mappings[mappings.count - 1]))
    }

    /// A datagram comes in; the result is the inside host that gets it.
    package mutating func inbound(
        to address: SocketAddress, from remote: SocketAddress, now: Instant
    ) -> Result<SocketAddress, Refusal> {
        var isMapped = false
        for index in mappings.indices where !mappings[index].expires(now) {
            guard outsideAddress(of: mappings[index]) == address else { continue }
            isMapped = true
            guard admits(mappings[index], remote, now) else { continue }
            if behaviour.isRefreshedByInbound { refresh(index, remote, now) }
            return .success(mappings[index].inside)
        }
        if behaviour.filtering == .open, let exposed {
            return .success(SocketAddress(behaviour.isNAT ? exposed : address.ip, address.port))
        }
        if behaviour.remembersUnsolicited, behaviour.isNAT {
            unsolicited[Unsolicited(port: address.port, remote: remote)] = now + NATGateway.unsolicitedLifetime
        }
        return .failure(isMapped ? .filtered : .noMapping)
    }

    /// An inside host requests a port that is open to every sender (RFC 6887); `nil` if there is none.
    package mutating func forward(_ inside: SocketAddress, until: Instant, now: Instant) -> SocketAddress? {
        if let index = mappings.firstIndex(where: { $0.inside == inside && $0.scope == .all && !$0.expires(now) }) {
            mappings[index].forwardedUntil = until
            return outsideAddress(of: mappings[index])
        }
        mappings.removeAll { $0.expires(now) }
        guard mappings.count < behaviour.capacity, let port = port(for: inside, .all, inside) else { return nil }
        mappings.append(Mapping(inside: inside, scope: .all, outsidePort: port, forwardedUntil: until))
        return outsideAddress(of: mappings[mappings.count - 1])
    }

    // MARK: - Faults of a gateway

    /// It has lost power for a moment: nothing is remembered.
    package mutating func reboot() {
        mappings = []
        unsolicited = [:]
        nextPort = UInt16(random.next(in: NATGateway.ports))
    }

    /// Its provider has given it another address.
    package mutating func renumber(_ address: IPAddress) {
        outside = address
        mappings = []
    }

    /// Mappings that are in use get other ports, in mid-flow, as some NATs do when they balance load.
    package mutating func rebind(now: Instant) {
        for index in mappings.indices {
            mappings[index].outsidePort = UInt16(random.next(in: NATGateway.ports))
        }
    }

    // MARK: -

    private func outsideAddress(of mapping: Mapping) -> SocketAddress {
        behaviour.isNAT ? SocketAddress(outside, mapping.outsidePort) : mapping.inside
    }

    private mutating func touch(_ index: Int, _ remote: SocketAddress, _ now: Instant) {
        mappings[index].conversations[remote] = now + behaviour.lifetime
    }

    private mutating func refresh(_ index: Int, _ remote: SocketAddress, _ now: Instant) {
        // A sender that the filter admitted without an outbound datagram keeps the mapping alive too.
        guard behaviour.filtering == .by(.addressAndPortDependent) else { return touch(index, remote, now) }
        if mappings[index].conversations[remote] != nil { touch(index, remote, now) }
    }

    private func admits(_ mapping: Mapping, _ remote: SocketAddress, _ now: Instant) -> Bool {
        if let until = mapping.forwardedUntil, until > now { return true }
        guard case .by(let dependence) = behaviour.filtering else { return true }
        // Under a mapping that depends on destinations, no other destination has it.
        if mapping.scope.ip.map({ $0 != remote.ip }) ?? false { return false }
        if mapping.scope.port.map({ $0 != remote.port }) ?? false { return false }
        let scope = Scope(dependence, remote)
        return mapping.conversations.contains { $0.value > now && Scope(dependence, $0.key) == scope }
    }

    private mutating func port(for inside: SocketAddress, _ scope: Scope, _ remote: SocketAddress) -> UInt16? {
        guard behaviour.isNAT else { return inside.port }
        if unsolicited[Unsolicited(port: inside.port, remote: remote)] != nil {
            return free(from: UInt16(random.next(in: NATGateway.ports)), step: 1, scope)
        }
        switch behaviour.ports {
        case .preserving: return free(from: inside.port, step: 1, scope)
        case .sequential(let step):
            let port = free(from: nextPort, step: max(1, step), scope)
            if let port { nextPort = NATGateway.wrapped(Int64(port) + Int64(max(1, step))) }
            return port
        case .random: return free(from: UInt16(random.next(in: NATGateway.ports)), step: 1, scope)
        case .parity:
            let drawn = UInt16(random.next(in: NATGateway.ports))
            return free(from: drawn & ~1 | inside.port & 1, step: 2, scope)
        }
    }

    private func free(from first: UInt16, step: UInt16, _ scope: Scope) -> UInt16? {
        var port = first
        for _ in 0..<65_536 {
            if !mappings.contains(where: { $0.outsidePort == port && conflicts($0, scope) }) { return port }
            port = NATGateway.wrapped(Int64(port) + Int64(step))
        }
        return nil
    }

    /// Two mappings may share a port if no datagram that comes in could mean both; only ports that are preserved are
    /// shared so.
    private func conflicts(_ mapping: Mapping, _ scope: Scope) -> Bool {
        guard behaviour.ports == .preserving, behaviour.mapping != .endpointIndependent else { return true }
        return mapping.scope == scope || mapping.scope == .all || scope == .all
    }

    private static func wrapped(_ port: Int64) -> UInt16 {
        UInt16(port > ports.upperBound ? port - ports.upperBound + ports.lowerBound - 1 : port)
    }
}
