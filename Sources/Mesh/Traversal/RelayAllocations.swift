import Base
import Wire

/// # This node's allocations at relays, and the paths over them
///
/// A node keeps an allocation (an allocation) at each of its home relays, which the controller names, and at relays that a peer
/// is reached through. Where a peer has an allocation at the same relay, there is a path to it. A home relay that does not
/// answer is replaced by the next one that the controller has named.
///
/// Two relays can lie between two nodes that have none in common:
///
///   a ── x ── y ── b        a reaches x alone, b reaches y alone
///
/// A relay is a node and has allocations at other relays, as every node has. So a node that cannot reach `y`, where a peer
/// has its allocation, makes the session with `y` over `x` as with any peer, asks in it for an allocation, and binds that
/// over `x`. From then on `y` is a relay of its own, one hop further away. The peer notices nothing: it sends to `y`, which
/// knows that what goes to that allocation goes to `x` first. That is done for a peer that nothing else leads to, a third of a
/// second after `y` was asked without an answer.
struct RelayAllocations {
    private(set) var clients: [RelayClient] = []
    /// Relays that the controller has named as well, best first.
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

    /// Allocations at home relays that peers may be informed of.
    var homePlaces: [RelayedAddress] { clients.filter(\.isHome).compactMap(\.place) }

    /// Every relay is reached over TCP: this node's network lets no UDP out.
    var isUDPBlocked: Bool {
        let bound = clients.filter { $0.place != nil }
        return !bound.isEmpty && bound.allSatisfy { $0.path?.isTCP ?? false }
    }

    var deadline: Instant? { clients.map(\.deadline).min() }

    private func position(of relay: NodeID) -> Int? { clients.firstIndex { $0.relay == relay } }

    /// The client of that relay, if it is one that is looked for at present.
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

    /// Whether what came that way may be for this node as a relay, or be from one: straight from a node, or over a relay at
    /// which this node has an allocation.
    func isOwnPath(_ path: PathAddress) -> Bool {
        guard let allocations = path.allocations else { return true }
        return path.via == nil
            && clients.contains {
                $0.allocation == allocations.near && $0.path == PathAddress(path.remote, socket: path.socket)
            }
    }

    // MARK: - Which relays

    /// The relays that this node is to keep, best first; the others that it has are only kept for peers.
    mutating func use(
        _ relays: [ControllerAddress], location: inout NodeLocation, peers: inout PeerTable, now: Instant
    ) {
        let desired = relays.filter { $0.node != node }.prefix(Limits.homeRelays)
        spares = relays.filter { relay in relay.node != node && !desired.contains { $0.node == relay.node } }
        var isChanged = false
        for position in clients.indices {
            let isHome =
                desired.contains { $0.node == clients[position].relay }
                || isInUse(clients[position], insteadOf: desired)
            if clients[position].setHome(isHome) { isChanged = true }
        }
        for relay in desired {
            add(relay, isHome: true, location: &location, peers: &peers, now: now)
        }
        if isChanged { location.candidatesChanged() }
    }

    /// Whether a relay that was a spare one is to stay: one of those that are `desired` does not answer, or is behind
    /// another one, so that it cannot be instructed to peers.
    private func isInUse(_ client: RelayClient, insteadOf desired: ArraySlice<ControllerAddress>) -> Bool {
        client.isHome && spares.contains { $0.node == client.relay }
            && clients.contains { other in
                (other.path?.isRelayed ?? (other.attempts > 0)) && desired.contains { $0.node == other.relay }
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

    /// Looks for a relay from now on, where there are few.
    mutating func add(
        _ place: ControllerAddress, isHome: Bool, location: inout NodeLocation, peers: inout PeerTable, now: Instant
    ) {
        if let position = position(of: place.node) {
            // A peer's word does not move a relay that the controller has named.
            guard isHome || !clients[position].isHome, clients[position].location != place else { return }
            clients[position].relocated(to: place)
            // The session may go on over another relay meanwhile.
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

    /// What is known of how long the NAT remembers a mapping. True if the paths to relays are used at another rate now.
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

    /// The allocation is gone, and so are all paths over it.
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

    /// This node is elsewhere than it was.
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

    /// The session with a relay goes another way: the allocation is bound there, and peers that are reached through it are
    /// reached that way.
    mutating func reroute(
        _ peer: Peer, to path: PathAddress, location: inout NodeLocation, peers: inout PeerTable, now: Instant
    ) {
        guard let position = position(of: peer.node), path.hops < 2, let old = clients[position].path, old != path
        else { return }
        clients[position].rerouted(to: path, now: now)
        guard let allocation = clients[position].allocation else { return }
        // What there is to report this node may be another: whether UDP gets out, and which relays are near.
        if old.isTCP != path.isTCP || old.isRelayed != path.isRelayed { location.candidatesChanged() }
        // The long way is as good as it was until the allocation is bound to the short one.
        if old.isRelayed, !path.isRelayed { return clients[position].keep(old) }
        addPaths(to: &peers, now: now)
        // The destination is another, so that nothing arrives from where the allocation was bound before.
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

    /// A relay is reached straight that was reached over another one. What went over both goes on, now over it alone.
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
            // While a relay's allocation is bound again where it is nearer, the way to peers is still the long one.
            guard own.leaving == nil,
                let whole = path.extended(by: AllocationPair(near: allocation, far: place.allocation))
            else {
                continue
            }
            peer.paths.add([whole])
        }
        peer.paths.tryRelays(now: now)
        // A handshake that waits for a way goes this one at once.
        if let initiation = peer.session.initiation, peer.session.current == nil { initiation.nextAt = now }
        peers.mark(peer)
    }

    /// The peer has allocations at these relays. Those that this node does not know are made use of where they are few.
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

    /// Nothing leads to the peer, or nothing does any more: its relays are looked for once more.
    private mutating func seek(
        of peer: Peer, location: inout NodeLocation, peers: inout PeerTable, now: Instant
    ) {
        guard !peer.paths.isWell(now) else { return }
        for place in peer.traversal.relayedAddresses {
            // It may have been given up since, and may answer now, or elsewhere.
            let relay = ControllerAddress(node: place.relay, addresses: [place.address])
            add(relay, isHome: false, location: &location, peers: &peers, now: now)
            update(place.relay) { $0.missed(now: now) }
        }
    }

    /// A peer is received by no path: perhaps nothing gets out any more, relays included, which are asked seldom.
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

    /// A relay that a peer informed of is not asked for ever on the peer's word.
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

    /// Peers can be reached through the relay and by nothing else. Relays that are themselves looked for over others do not
    /// count, or one would lead to the next.
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
