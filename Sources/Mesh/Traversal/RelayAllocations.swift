import Base
import Wire

/// # This node's allocations at relays, and the paths over them
///
/// A node keeps an allocation at each of its home relays, which the controller names, and at relays that a peer is reached
/// through. Where a peer has an allocation at the same relay, there is a path to it. A home relay that does not answer is
/// replaced by the next one that the controller has named.
///
/// Two relays can lie between two nodes that have none in common:
///
///   a ── x ── y ── b        a reaches x alone, b reaches y alone
///
/// A relay is a node and has allocations at other relays, as every node has. So a node that cannot reach `y`, where a peer
/// has its allocation, makes the session with `y` over `x` as with any peer, asks in it for an allocation, and binds that
/// over `x`. From then on `y` is a relay like any other, one hop further away. Nothing changes for the peer: it sends to `y`,
/// which knows that datagrams to that allocation go to `x` first. This is done for a peer without any other path, a third of
/// a second after `y` was asked without an answer.
struct RelayAllocations {
    private(set) var clients: [RelayClient] = []
    /// Further relays that the controller has named, best first.
    private var spares: [ControllerAddress] = []
    private var suspectedAt = Instant.origin
    /// How often the paths to relays are used.
    private(set) var keepAlive = KeepAlive.unknown
    /// This node.
    private let node: NodeID

    private static let clientLimit = 8
    private static let attemptsLimit = 2

    init(node: NodeID) { self.node = node }

    // MARK: - What there is

    /// Allocations at home relays that may be announced to peers.
    var homePlaces: [RelayedAddress] { clients.filter(\.isHome).compactMap(\.place) }

    /// Every relay is reached over TCP: this node's network blocks outgoing UDP.
    var isUDPBlocked: Bool {
        let bound = clients.filter { $0.place != nil }
        return !bound.isEmpty && bound.allSatisfy { $0.path?.isTCP ?? false }
    }

    var deadline: Instant? { clients.map(\.deadline).min() }

    private func position(of relay: NodeID) -> Int? { clients.firstIndex { $0.relay == relay } }

    /// The client of that relay, if there is one at present.
    func client(of relay: NodeID) -> RelayClient? { clients.first { $0.relay == relay } }

    mutating func update(_ relay: NodeID, _ body: (inout RelayClient) -> Void) {
        guard let position = position(of: relay) else { return }
        body(&clients[position])
    }

    /// The relay that carries a path; `nil` for a direct one, and for a relay that this node has left.
    func relay(of path: PathAddress) -> NodeID? {
        guard let allocations = path.allocations else { return nil }
        let known = clients.first { $0.allocation == allocations.near }
        if path.via != nil { return known?.relay }
        return (known ?? clients.first { $0.location.addresses.contains(path.remote) })?.relay
    }

    /// The relay that is reached by that direct path.
    func relay(at path: PathAddress) -> NodeID? {
        clients.first { $0.path == path || $0.location.addresses.contains(path.remote) }?.relay
    }

    /// Whether a datagram by that path may be for this node as a relay, or come from one: directly from a node, or over a
    /// relay at which this node has an allocation.
    func isOwnPath(_ path: PathAddress) -> Bool {
        guard let allocations = path.allocations else { return true }
        return path.via == nil
            && clients.contains {
                $0.allocation == allocations.near && $0.path == PathAddress(path.remote, socket: path.socket)
            }
    }

    // MARK: - Which relays

    /// The relays that this node is to keep, best first; its other relays are kept only for peers.
    mutating func use(
        _ relays: [ControllerAddress], location: inout NodeLocation, peers: inout PeerTable, now: Instant
    ) {
        let home = relays.filter { $0.node != node }.prefix(Limits.homeRelays)
        spares = relays.filter { relay in relay.node != node && !home.contains { $0.node == relay.node } }
        var isChanged = false
        for position in clients.indices {
            let isHome =
                home.contains { $0.node == clients[position].relay }
                || isInUse(clients[position], insteadOf: home)
            if clients[position].setHome(isHome) { isChanged = true }
        }
        for relay in home {
            add(relay, isHome: true, location: &location, peers: &peers, now: now)
        }
        if isChanged { location.candidatesChanged() }
    }

    /// Whether a relay that was a spare one is to stay: one of the `home` relays does not answer, or is behind another
    /// one, so that it cannot be announced to peers.
    private func isInUse(_ client: RelayClient, insteadOf home: ArraySlice<ControllerAddress>) -> Bool {
        client.isHome && spares.contains { $0.node == client.relay }
            && clients.contains { other in
                (other.path?.isRelayed ?? (other.attempts > 0)) && home.contains { $0.node == other.relay }
            }
    }

    /// One of the home relays does not answer: the next one that the controller has named becomes one as well.
    private mutating func useSpare(
        location: inout NodeLocation, peers: inout PeerTable, now: Instant
    ) {
        while let spare = spares.first {
            spares.removeFirst()
            guard let known = position(of: spare.node) else {
                return add(spare, isHome: true, location: &location, peers: &peers, now: now)
            }
            guard clients[known].setHome(true) else { continue }
            return location.candidatesChanged()
        }
    }

    /// Adds a relay to use, where there are few.
    mutating func add(
        _ place: ControllerAddress, isHome: Bool, location: inout NodeLocation, peers: inout PeerTable, now: Instant
    ) {
        if let position = position(of: place.node) {
            // A peer's statement does not change the address of a relay that the controller has named.
            guard isHome || !clients[position].isHome, clients[position].location != place else { return }
            clients[position].relocated(to: place)
            // Meanwhile the session may continue over another relay.
            guard isHome, let peer = peers[place.node], peer.isConnected else { return }
            peer.paths.add(place.paths)
            peer.paths.punch(now: now)
            peers.mark(peer)
            return
        }
        guard place.node != node, clients.count < RelayAllocations.clientLimit else { return }
        clients.append(RelayClient(place, isHome: isHome, now: now))
        if let peer = peers[place.node], peer.isConnected, let path = peer.paths.primary {
            connected(peer, at: path, location: &location, peers: &peers, now: now)
        }
    }

    /// What is known of how long the NAT remembers a mapping. True if the keep-alive interval of the paths to relays has
    /// changed.
    mutating func learned(_ lifetime: NATLifetime?) -> Bool {
        let interval = KeepAlive.interval(for: lifetime)
        defer { keepAlive = interval }
        return interval != keepAlive
    }

    // MARK: - Sessions with relays

    /// There is a session (again) with a peer, which may be a relay.
    mutating func connected(
        _ peer: Peer, at path: PathAddress, location: inout NodeLocation, peers: inout PeerTable, now: Instant
    ) {
        guard let position = position(of: peer.node), path.hops < 2 else { return }
        withdrawPaths(of: position, location: &location, peers: &peers, now: now)
        clients[position].connected(at: path, now: now)
        peer.paths.keepsWarm = keepAlive
        peer.paths.sent(now: now)
    }

    mutating func disconnected(_ peer: Peer, location: inout NodeLocation, peers: inout PeerTable, now: Instant) {
        guard let position = position(of: peer.node) else { return }
        withdrawPaths(of: position, location: &location, peers: &peers, now: now)
        clients[position].disconnected(now: now)
    }

    /// The allocation is gone: removes all paths over it.
    private mutating func withdrawPaths(
        of position: Int, location: inout NodeLocation, peers: inout PeerTable, now: Instant
    ) {
        guard let allocation = clients[position].allocation else { return }
        if clients[position].isHome { location.candidatesChanged() }
        for peer in peers where peer.paths.uses(allocation: allocation) {
            peer.paths.withdraw(where: { $0.uses(allocation: allocation) }, now: now)
            peers.mark(peer)
        }
    }

    /// This node has moved.
    mutating func moved(now: Instant) { for position in clients.indices { clients[position].moved(now: now) } }

    /// A TCP connection to that address is over. The next datagram makes another, and the relay must be informed of it before
    /// it can be used.
    mutating func connectionLost(to remote: SocketAddress, peers: inout PeerTable, now: Instant) {
        for position in clients.indices where clients[position].path == .tcp(remote) {
            clients[position].moved(now: now)
            if let peer = peers[clients[position].relay] {
                peer.paths.sent(now: now)
                peers.mark(peer)
            }
        }
    }

    /// The session with a relay has another path: the allocation is bound there, and peers behind the relay are reached by
    /// that path.
    mutating func reroute(
        _ peer: Peer, to path: PathAddress, location: inout NodeLocation, peers: inout PeerTable, now: Instant
    ) {
        guard let position = position(of: peer.node), path.hops < 2, let old = clients[position].path, old != path
        else { return }
        clients[position].rerouted(to: path, now: now)
        guard let allocation = clients[position].allocation else { return }
        // This node's candidates may have changed: whether UDP gets out, and which relays are near.
        if old.isTCP != path.isTCP || old.isRelayed != path.isRelayed { location.candidatesChanged() }
        // The longer path stays in use until the allocation is bound to the shorter one.
        if old.isRelayed, !path.isRelayed { return clients[position].keep(old) }
        addPaths(to: &peers, now: now)
        // The destination has changed, so that nothing arrives from the address where the allocation was bound before.
        for peer in peers where peer.paths.uses(allocation: allocation) {
            peer.paths.withdraw(
                where: {
                    $0.uses(allocation: allocation) && $0.remote == old.remote && $0.socket == old.socket
                        && ($0.allocations?.near != allocation || $0.via == old.allocations)
                }, now: now)
            peers.mark(peer)
        }
    }

    // MARK: - Binding

    /// A relay has answered a bind. False if the answer was not for this node.
    mutating func answered(
        _ datagram: [UInt8], allocation: UInt32, location: inout NodeLocation, peers: inout PeerTable, now: Instant
    ) -> Bool {
        guard let position = clients.firstIndex(where: { $0.allocation == allocation }),
            let isBound = clients[position].answered(datagram, now: now)
        else { return false }
        guard isBound else { return true }
        if clients[position].openedPath() {
            shorten(position, peers: &peers, now: now)
            for peer in peers where peer.paths.uses(allocation: allocation) {
                peer.paths.bound(allocation, now: now)
                peers.mark(peer)
            }
        }
        if clients[position].announced() {
            if clients[position].isHome { location.candidatesChanged() }
            // Peers that are at this relay too can be reached over it from now on.
            addPaths(to: &peers, now: now)
        }
        return true
    }

    /// A relay that was reached over another one is now reached directly. Paths over both continue, now over it alone.
    private mutating func shorten(_ position: Int, peers: inout PeerTable, now: Instant) {
        guard let short = clients[position].path, let allocation = clients[position].allocation,
            let long = clients[position].takeLeaving()
        else { return }
        for peer in peers {
            for old in peer.paths.addresses where old.allocations?.near == allocation && old.via == long.allocations {
                guard let allocations = old.allocations, let new = short.extended(by: allocations) else { continue }
                peer.paths.replace(old, by: new, now: now)
                peers.mark(peer)
            }
        }
        addPaths(to: &peers, now: now)
    }

    // MARK: - Paths to peers

    /// Adds the paths over relays at which peers have allocations too.
    private func addPaths(to peers: inout PeerTable, now: Instant) {
        for peer in peers where !peer.traversal.relayedAddresses.isEmpty { addPaths(to: peer, of: &peers, now: now) }
    }

    func addPaths(to peer: Peer, of peers: inout PeerTable, now: Instant) {
        for place in peer.traversal.relayedAddresses {
            guard let own = client(of: place.relay), own.isAnnounced, let allocation = own.allocation,
                let path = own.path
            else {
                continue
            }
            // While a relay's allocation is being bound to a shorter path, the path to peers is still the long one.
            guard own.leaving == nil,
                let whole = path.extended(by: AllocationPair(near: allocation, far: place.allocation))
            else {
                continue
            }
            peer.paths.add([whole])
        }
        peer.paths.tryRelays(now: now)
        // A handshake that waits for a path uses this one at once.
        if let initiation = peer.session.initiation, peer.session.current == nil { initiation.nextAt = now }
        peers.mark(peer)
    }

    /// The peer has allocations at these relays. Unknown relays are used if they are few.
    mutating func reach(
        _ peer: Peer, through places: [RelayedAddress], location: inout NodeLocation, peers: inout PeerTable,
        now: Instant
    ) {
        let before = peer.traversal.relayedAddresses
        for old in before where !places.contains(where: { $0.relay == old.relay && $0.allocation == old.allocation }) {
            let near = client(of: old.relay)?.allocation
            peer.paths.withdraw(
                where: { $0.allocations?.far == old.allocation && $0.allocations?.near == near }, now: now)
        }
        peer.traversal.setRelayPlaces(places)
        for place in peer.traversal.relayedAddresses {
            let relay = ControllerAddress(node: place.relay, addresses: [place.address])
            add(relay, isHome: false, location: &location, peers: &peers, now: now)
        }
        seek(of: peer, location: &location, peers: &peers, now: now)
        addPaths(to: peer, of: &peers, now: now)
    }

    /// There is no path to the peer, or no longer: its relays are tried once more.
    private mutating func seek(
        of peer: Peer, location: inout NodeLocation, peers: inout PeerTable, now: Instant
    ) {
        guard !peer.paths.isWell(now) else { return }
        for place in peer.traversal.relayedAddresses {
            // It may have been given up meanwhile, and may answer now, or at another address.
            let relay = ControllerAddress(node: place.relay, addresses: [place.address])
            add(relay, isHome: false, location: &location, peers: &peers, now: now)
            update(place.relay) { $0.missed(now: now) }
        }
    }

    /// Nothing is received from a peer on any path: perhaps nothing gets out any more, not even to relays, which are probed
    /// rarely.
    mutating func suspect(
        because peer: Peer, location: inout NodeLocation, peers: inout PeerTable, now: Instant
    ) {
        guard peer.paths.isDeaf(now), now - suspectedAt >= PathSet.probeEvery, position(of: peer.node) == nil else {
            return
        }
        suspectedAt = now
        seek(of: peer, location: &location, peers: &peers, now: now)
        for client in clients where client.isBound {
            guard let relay = peers[client.relay], relay.isConnected else { continue }
            relay.paths.sent(now: now)
            peers.mark(relay)
        }
    }

    // MARK: - Time

    /// A relay that only a peer has named is not tried forever.
    mutating func dropUnanswered() {
        clients.removeAll { !$0.isHome && $0.attempts > RelayAllocations.attemptsLimit }
    }

    /// What is due for one relay; `nil`: nothing.
    mutating func due(
        at position: Int, location: inout NodeLocation, peers: inout PeerTable, now: Instant
    ) -> RelayClient.Work? {
        guard let work = clients[position].due(now: now) else { return nil }
        let client = clients[position]
        switch work {
        case .connect: return client.isHome || client.attempts <= RelayAllocations.attemptsLimit ? work : nil
        case .ask, .bind: return work
        case .relayChain:
            if client.isHome { useSpare(location: &location, peers: &peers, now: now) }
            guard isMissed(client.relay, peers: peers, now: now) else { return nil }
            clients[position].isRelayChained(now: now)
            return work
        }
    }

    /// Peers can be reached through the relay and by nothing else. Relays that are themselves tried over others do not count,
    /// or each would require the next.
    private func isMissed(_ relay: NodeID, peers: PeerTable, now: Instant) -> Bool {
        peers.contains { peer in
            guard peer.node != relay, peer.isRequested || peer.isConnected, !peer.paths.isWell(now),
                peer.traversal.relayedAddresses.contains(where: { $0.relay == relay })
            else { return false }
            return !clients.contains { $0.relay == peer.node && $0.relayChainedAt != nil }
        }
    }
}

extension PathSet {
    /// Whether any path goes by that allocation of this node's.
    fileprivate func uses(allocation: UInt32) -> Bool { addresses.contains { $0.uses(allocation: allocation) } }
}
