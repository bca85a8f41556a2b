package import Base

/// # Which host reaches which
///
/// Realms of addresses. Each except the outermost is behind a gateway that is in another realm: a home behind its router, a
/// provider's customers behind the provider's NAT, a cluster behind its node. A datagram leaves upwards, through gateways
/// until a realm knows its destination, and arrives downwards through others. The route up is computed when it is sent and
/// the route down when it arrives, since what a gateway admits depends on what was sent meanwhile.
///
/// ```
///            realm 0, the Internet:   beacon 203.0.113.1          gateway 198.51.100.7      gateway 198.51.100.8
///                                                                       │                        │
///                                          realm 1:  node 192.168.1.2 ──┤            realm 2: gateway 100.64.0.5
///                                                    node 192.168.1.3 ──┘                        │
///                                                                              realm 3: node 192.168.1.2
/// ```
///
/// IPv4 and IPv6 are realms of their own; a host may be in one of each.
package struct Internet: Sendable {
    package typealias RealmID = Int

    /// The outermost realms.
    package static let ipv4: RealmID = 0
    package static let ipv6: RealmID = 1

    private struct Realm {
        var parent: RealmID?
        var gateway: NATGateway?
        /// The largest IP packet that the gateway forwards; it drops larger ones without an ICMP error.
        var mtu = 1500
        var hosts = Table<IPAddress, Int>()
        /// Realms behind gateways, by the gateway's address here.
        var behind = Table<IPAddress, RealmID>()
        var firstHost: Int?
    }

    /// A datagram between the last gateway on its way up and the first on its way down.
    package struct Flight: Hashable, Sendable {
        package var realm: RealmID
        package var from: SocketAddress
        package var to: SocketAddress
    }

    package enum Loss: Error, Hashable, Sendable {
        case unreachable
        case refused(NATGateway.Refusal)
        /// Larger than a link carries, and dropped without an ICMP error.
        case tooBig
    }

    private var realms = [Realm(), Realm()]

    package init() {}

    /// Adds a realm behind a gateway in `parent`. A gateway that translates has `gateway.outside` as its address there.
    package mutating func addRealm(behind gateway: NATGateway, in parent: RealmID, mtu: Int = 1500) -> RealmID {
        let id = realms.count
        realms.append(Realm(parent: parent, gateway: gateway, mtu: mtu))
        if gateway.behaviour.isNAT { realms[parent].behind[gateway.outside] = id }
        return id
    }

    /// Puts a machine into a realm, in place of the one that had the address.
    package mutating func attach(_ machine: Int, at address: IPAddress, in realm: RealmID) {
        realms[realm].hosts[address] = machine
        if realms[realm].firstHost == nil { realms[realm].firstHost = machine }
        if realms[realm].gateway?.exposed == nil { realms[realm].gateway?.exposed = address }
        // A firewall changes no address, so hosts behind it can be addressed from outside.
        var inner = realm
        while let parent = realms[inner].parent, realms[inner].gateway?.behaviour.isNAT == false {
            realms[parent].behind[address] = inner
            inner = parent
        }
    }

    package mutating func detach(_ address: IPAddress, from realm: RealmID) {
        realms[realm].hosts.remove(address)
        var inner = realm
        while let parent = realms[inner].parent, realms[inner].gateway?.behaviour.isNAT == false {
            realms[parent].behind.remove(address)
            inner = parent
        }
    }

    package func gateway(of realm: RealmID) -> NATGateway? { realms[realm].gateway }

    /// Applies a fault to the gateway of a realm.
    package mutating func change(_ realm: RealmID, _ body: (inout NATGateway) -> Void) {
        guard var gateway = realms[realm].gateway, let parent = realms[realm].parent else { return }
        let before = gateway.outside
        body(&gateway)
        if gateway.behaviour.isNAT, gateway.outside != before {
            realms[parent].behind.remove(before)
            realms[parent].behind[gateway.outside] = realm
        }
        realms[realm].gateway = gateway
    }

    package mutating func setMTU(of realm: RealmID, _ mtu: Int) { realms[realm].mtu = mtu }

    /// The machine that has an address in a realm.
    package func host(at ip: IPAddress, in realm: RealmID) -> Int? { realms[realm].hosts[ip] }

    /// The outermost address that replaces the addresses of a realm; `nil` where none does.
    package func outside(of realm: RealmID) -> IPAddress? {
        var inner = realm, outside: IPAddress?
        while let parent = realms[inner].parent, let gateway = realms[inner].gateway {
            if gateway.behaviour.isNAT { outside = gateway.outside }
            inner = parent
        }
        return outside
    }

    // MARK: - Ways

    /// The route up of a datagram of `count` bytes of payload.
    package mutating func leave(
        _ realm: RealmID, from source: SocketAddress, to remote: SocketAddress, count: Int, now: Instant
    ) -> Result<Flight, Loss> {
        var realm = realm, from = source
        var below: RealmID?
        while true {
            if realms[realm].hosts[remote.ip] != nil { break }
            if let inner = realms[realm].behind[remote.ip] {
                // Back to where it came from: hairpinning, which some gateways do not support.
                guard inner != below || realms[inner].gateway!.behaviour.hairpins else {
                    return .failure(.unreachable)
                }
                break
            }
            guard let parent = realms[realm].parent else { return .failure(.unreachable) }
            guard fits(count, realm, from) else { return .failure(.tooBig) }
            switch realms[realm].gateway!.outbound(from: from, to: remote, now: now) {
            case .failure(let refusal): return .failure(.refused(refusal))
            case .success(let outside): from = outside
            }
            below = realm
            realm = parent
        }
        return .success(Flight(realm: realm, from: from, to: remote))
    }

    /// The route down: the machine that gets it, and at which of its addresses.
    package mutating func arrive(
        _ flight: Flight, count: Int, now: Instant
    ) -> Result<(machine: Int, at: SocketAddress), Loss> {
        var realm = flight.realm, to = flight.to
        while true {
            if let machine = realms[realm].hosts[to.ip] { return .success((machine, to)) }
            guard let inner = realms[realm].behind[to.ip] else { return .failure(.unreachable) }
            guard fits(count, inner, flight.from) else { return .failure(.tooBig) }
            switch realms[inner].gateway!.inbound(to: to, from: flight.from, now: now) {
            case .failure(let refusal): return .failure(.refused(refusal))
            case .success(let inside): to = inside
            }
            realm = inner
        }
    }

    /// The machine at the end of that route, whether or not it gets the datagram: for the length of the route.
    package func destination(of flight: Flight) -> Int? {
        if let machine = realms[flight.realm].hosts[flight.to.ip] { return machine }
        guard var realm = realms[flight.realm].behind[flight.to.ip] else { return nil }
        while true {
            if let machine = realms[realm].hosts[flight.to.ip] ?? realms[realm].firstHost { return machine }
            guard let inner = realms.indices.first(where: { realms[$0].parent == realm }) else { return nil }
            realm = inner
        }
    }

    private func fits(_ count: Int, _ realm: RealmID, _ source: SocketAddress) -> Bool {
        count + (source.ip.isIPv4 ? 28 : 48) <= realms[realm].mtu
    }
}
