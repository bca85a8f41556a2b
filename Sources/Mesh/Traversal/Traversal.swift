import Base
import Noise
import Wire

/// # NAT traversal
///
/// Where this node is, where its peers are, and the relays between them.
///
///   beacons' pongs ──→ reflexive addresses ──┐
///   the shell ──→ own and mapped addresses ──┼──→ candidates ──→ peers, who answer with theirs: PathSet punches
///   relays ──→ allocations, bound ───────────┘            └────→ the directory, for nodes that are no peers yet
///
/// A session is made over the first path that works, and a relay is nearly always available: data flows at once, and better
/// paths are found meanwhile. For each peer: relay first, hole punching at once, port prediction if that does not help, and a
/// negative cache of the site where all of it has failed.
///
/// `Traversal` composes its parts, which do not know each other, and changes the peers in the table that it is given.
/// Its datagrams go to the outbox; `Endpoint` makes sessions.
struct Traversal {
    /// This node.
    private let node: NodeID
    var location = NodeLocation()
    var relays: RelayAllocations
    private var prediction: PortPrediction
    /// Peers with which only relays are used, because a person has requested it (`asterism debug relay-only`).
    private(set) var relayOnly: [NodeID] = []

    private static let relayOnlyLimit = 64

    init(node: NodeID) {
        self.node = node
        relays = RelayAllocations(node: node)
        prediction = PortPrediction(node: node)
    }

    // MARK: - This node

    /// Where this node may be reached, to its own knowledge, best first.
    var candidates: [PathCandidate] {
        location.direct.prefix(Limits.addressesPerPeer - Limits.homeRelays).map { .direct($0) }
            + relays.homePlaces.prefix(Limits.homeRelays).map { .relayed($0) }
    }

    /// The behaviour of the NAT in front of this node.
    var mapping: NATMapping { relays.isUDPBlocked ? .blocked : location.mapping }

    /// The addresses of this node's own interfaces, with the port on which it listens.
    mutating func setAddresses(_ addresses: [SocketAddress], peers: inout PeerTable, now: Instant) {
        guard let (gone, beacons) = location.setAddresses(addresses) else { return }
        // The reflexive addresses belong to the former addresses.
        relays.moved(now: now)
        for beacon in beacons { askAddress(of: beacon, peers: &peers, now: now) }
        if !gone.isEmpty { pathsMoved(peers, now: now) }
        location.candidatesChanged()
    }

    /// A peer sees this node at that address. Only beacons and controllers are trusted.
    mutating func observed(at address: SocketAddress, by peer: Peer, peers: inout PeerTable, now: Instant) {
        guard let roles = peer.certificate?.roles, roles.contains(.beacon) || roles.contains(.controller) else {
            return
        }
        switch location.observe(address, by: peer.node) {
        case .known: return
        case .new: break
        case .moved(let others):
            for other in others { askAddress(of: other, peers: &peers, now: now) }
            pathsMoved(peers, now: now)
            // The allocation is bound to the address at which the relay sees this node on its path to the relay.
            relays.update(peer.node) { client in
                if client.path?.remote.ip.isIPv4 == address.ip.isIPv4 { client.moved(now: now) }
            }
        }
        location.candidatesChanged()
    }

    /// Asks the beacon how it sees this node now.
    private func askAddress(of beacon: NodeID, peers: inout PeerTable, now: Instant) {
        guard let beacon = peers[beacon] else { return }
        beacon.paths.ask(now: now)
        peers.mark(beacon)
    }

    private func pathsMoved(_ peers: PeerTable, now: Instant) { for peer in peers { peer.paths.moved(now: now) } }

    /// What is known of how long the NAT in front of this node remembers a mapping over IPv4; `nil`: nothing.
    mutating func learned(_ lifetime: NATLifetime?, peers: inout PeerTable, now: Instant) {
        guard relays.learned(lifetime) else { return }
        for peer in peers {
            peer.paths.limitKeepAlive(to: relays.keepAlive, now: now)
            peers.mark(peer)
        }
    }

    // MARK: - Peers come and go

    /// A peer was added to the table.
    func added(_ peer: Peer, now: Instant) {
        peer.paths.limitKeepAlive(to: relays.keepAlive, now: now)
        if relayOnly.contains(peer.node) { peer.paths.relayOnly(true, now: now) }
    }

    /// A session with the peer has begun.
    mutating func connected(_ peer: Peer, at path: PathAddress, peers: inout PeerTable, now: Instant) {
        relays.connected(peer, at: path, location: &location, peers: &peers, now: now)
    }

    /// The peer was removed from the table, in whatever role.
    mutating func removed(_ peer: Peer, peers: inout PeerTable, now: Instant) {
        if prediction.isRunning(with: peer) { endPrediction(with: peer, peers: &peers) }
        prediction.close(peer.traversal.sockets)
        location.forget(peer.node)
        relays.disconnected(peer, location: &location, peers: &peers, now: now)
    }

    // MARK: - Candidates

    /// Sends this node's candidates to the peer, until the peer confirms them.
    func offerCandidates(to peer: Peer, now: Instant) {
        guard peer.certificate != nil, peer.traversal.isOfferDue(location.number, now: now) else { return }
        let all = candidates
        guard !all.isEmpty else { return }
        peer.frames.append(.candidates(number: location.number, mapping, all))
        peer.traversal.offered(now: now)
    }

    /// The peer has sent its candidates. `overlay`: this node's own overlay addresses.
    mutating func received(
        _ candidates: [PathCandidate], _ mapping: NATMapping, number: UInt64, from peer: Peer, overlay: [IPAddress],
        peers: inout PeerTable, now: Instant
    ) {
        guard peer.traversal.received(number, mapping) else { return }
        // Overlay addresses would lead the mesh through itself.
        let overlay = (peer.certificate?.overlayAddresses ?? []) + overlay
        var direct: [PathAddress] = [], places: [RelayedAddress] = []
        for candidate in candidates {
            switch candidate {
            case .direct(let address) where !overlay.contains(address.ip) && address.port != 0:
                direct.append(PathAddress(address))
            case .direct: break
            case .relayed(let place): places.append(place)
            }
        }
        peer.paths.add(direct)
        reach(peer, through: places, peers: &peers, now: now)
        findDirectPath(peer, peers: &peers, now: now)
    }

    /// The peer has received this node's candidates, and sends hole-punch probes. It is unknown whether it sent some before,
    /// when this node's NAT did not let them in yet.
    mutating func candidatesReceived(_ number: UInt64, by peer: Peer, peers: inout PeerTable, now: Instant) {
        guard peer.traversal.confirmOffer(number), peer.paths.isSettling(now) else { return }
        findDirectPath(peer, peers: &peers, now: now)
    }

    /// The peer has allocations at these relays.
    mutating func reach(_ peer: Peer, through places: [RelayedAddress], peers: inout PeerTable, now: Instant) {
        relays.reach(peer, through: places, location: &location, peers: &peers, now: now)
    }

    // MARK: - Direct paths

    private func findDirectPath(_ peer: Peer, peers: inout PeerTable, now: Instant) {
        let isKnownUnreachable = isKnownUnreachable(peer, now: now)
        if mapping != .blocked, peer.traversal.mapping != .blocked {
            peer.paths.punch(isBrief: isKnownUnreachable, now: now)
        }
        if isKnownUnreachable {
            peer.traversal.planPrediction(at: nil)
        } else {
            prediction.plan(with: peer, own: mapping, now: now)
        }
        if !peer.paths.hasAliveDirect, peer.paths.addresses.contains(where: \.isDirect) {
            peer.traversal.beginTrial(now: now)
        }
        peers.mark(peer)
    }

    /// No direct path to a node of the peer's site was found.
    private func isKnownUnreachable(_ peer: Peer, now: Instant) -> Bool {
        guard let site = peer.certificate?.site, !peer.paths.hasAliveDirect else { return false }
        return location.sites.isKnownUnreachable(site, peer.traversal.mapping, now: now)
    }

    /// Counts the result of a trial, as soon as it is known.
    mutating func judgeTrial(with peer: Peer, counters: inout MeshCounters, now: Instant) {
        guard peer.traversal.isTrying else { return }
        let isDirect = peer.paths.hasAliveDirect
        let isPredicting = prediction.isRunning(with: peer)
        guard let trial = peer.traversal.endTrial(isDirect: isDirect, isPredicting: isPredicting, now: now) else {
            return
        }
        let mapping = peer.traversal.mapping
        if let site = peer.certificate?.site {
            if isDirect {
                location.sites.succeeded(site, mapping)
            } else if !location.sites.isKnownUnreachable(site, mapping, now: now) {
                location.sites.failed(site, mapping, now: now)
            }
        }
        counters.paths.ended(
            PathMetrics.Punch(
                own: self.mapping, peer: mapping, method: trial.hasPredicted ? .prediction : .punchProbes,
                isDirect: isDirect))
    }

    /// Does the due steps of port prediction with the peer.
    mutating func predictPorts(
        of peer: Peer, with keypair: Keypair, random: inout Random, peers: inout PeerTable,
        counters: inout MeshCounters,
        now: Instant, into out: inout MeshOutbox
    ) {
        if peer.traversal.isPredictionDue(now) {
            prediction.begin(with: peer, own: mapping, now: now, random: &random, counters: &counters)
        }
        guard prediction.isRunning(with: peer) else { return }
        guard let due = prediction.due(with: peer, now: now) else { return endPrediction(with: peer, peers: &peers) }
        for address in due {
            // A peer that receives a probe answers on its path, and so the path becomes known.
            peer.sealAlone(.ping(token: 0), with: keypair, to: address, now: now, counters: &counters, into: &out)
            counters.sentPredictionProbe()
        }
    }

    private mutating func endPrediction(with peer: Peer, peers: inout PeerTable) {
        if prediction.end(with: peer, own: mapping) { peers.mark(peer) }
    }

    /// Sockets that are no longer used, since the last call.
    mutating func takeClosedSockets() -> [UInt16] { prediction.takeClosedSockets() }

    /// The next time at which something is due for the peer, while there is a session.
    func deadline(of peer: Peer) -> Instant? {
        let running = prediction.deadline(of: peer)
        let planned = peer.traversal.deadline(isPredicting: running != nil)
        return [running, planned].compactMap { $0 }.min()
    }

    // MARK: - Relays

    mutating func useRelays(_ relays: [ControllerAddress], peers: inout PeerTable, now: Instant) {
        self.relays.use(relays, location: &location, peers: &peers, now: now)
    }

    /// Data uses another path to the peer, which may be a relay.
    mutating func rerouted(_ peer: Peer, to path: PathAddress, peers: inout PeerTable, now: Instant) {
        relays.reroute(peer, to: path, location: &location, peers: &peers, now: now)
    }

    mutating func suspectRelays(because peer: Peer, peers: inout PeerTable, now: Instant) {
        relays.suspect(because: peer, location: &location, peers: &peers, now: now)
    }

    /// A relay has answered a bind. False if the answer was not for this node.
    mutating func bindAnswered(_ datagram: [UInt8], allocation: UInt32, peers: inout PeerTable, now: Instant) -> Bool {
        relays.answered(datagram, allocation: allocation, location: &location, peers: &peers, now: now)
    }

    /// Does the due steps for one relay. Returns the relay if a session with it is desired.
    mutating func serviceRelay(
        at position: Int, peers: inout PeerTable, counters: inout MeshCounters, now: Instant, into out: inout MeshOutbox
    ) -> ControllerAddress? {
        guard let work = relays.due(at: position, location: &location, peers: &peers, now: now) else { return nil }
        let client = relays.clients[position]
        switch work {
        case .connect: return client.location
        case .relayChain: out.events.append(.relayUnreached(client.relay))
        case .ask:
            guard let peer = peers[client.relay], peer.isConnected else { return nil }
            peer.frames.append(.allocationRequest)
            peers.mark(peer)
        case .bind(let bytes): if let path = client.path { out.send(bytes, to: path, counters: &counters) }
        }
        return nil
    }

    // MARK: - For people

    /// Keeps a peer to relays, or ends that. False without a relay, where that would cut the peer off, and where too many
    /// peers are in this mode.
    mutating func setRelayOnly(_ node: NodeID, _ isOn: Bool, peers: inout PeerTable, now: Instant) -> Bool {
        let peer = peers[node]
        if isOn, !relayOnly.contains(node) {
            guard relayOnly.count < Traversal.relayOnlyLimit,
                peer?.paths.addresses.contains(where: \.isRelayed) ?? false
            else { return false }
            relayOnly.append(node)
        }
        if !isOn { relayOnly.removeAll { $0 == node } }
        guard let peer else { return true }
        peer.paths.relayOnly(isOn, now: now)
        peers.mark(peer)
        return true
    }
}
