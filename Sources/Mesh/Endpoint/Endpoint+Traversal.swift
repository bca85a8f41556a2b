package import Base
package import Wire

// What the layer above calls about addresses, relays and paths.

extension Endpoint {
    // MARK: - This node

    /// Where this node may be reached, to its own knowledge, best first.
    package var candidates: [PathCandidate] { traversal.candidates }
    /// The current keep-alive interval of the paths to relays.
    package var keepAlive: Interval { traversal.relays.keepAlive }

    /// The addresses of this node's own interfaces, with the port that it listens on.
    package mutating func listens(at addresses: [SocketAddress], now: Instant) {
        traversal.setAddresses(addresses, peers: &sessions.peers, now: now)
    }

    /// Addresses at gateways that lead to this node's port, from any source.
    package mutating func mapped(_ addresses: [SocketAddress]) { traversal.location.setMapped(addresses) }

    /// What is known of the lifetime of IPv4 mappings at the NATs before this node; `nil`: nothing.
    package mutating func learned(_ lifetime: NATLifetime?, now: Instant) {
        traversal.learned(lifetime, peers: &sessions.peers, now: now)
    }

    // MARK: - Relays

    /// The relays that this node is to keep, best first; its other relays are kept only for peers.
    package mutating func useRelays(_ relays: [ControllerAddress], now: Instant, into out: inout MeshOutbox) {
        traversal.useRelays(relays, peers: &sessions.peers, now: now)
        serviceRelays(now: now, into: &out)
    }

    /// A TCP connection that this node had made is over. The next datagram makes another, and the relay must be informed of it
    /// before it can be used.
    package mutating func connectionLost(to remote: SocketAddress, now: Instant, into out: inout MeshOutbox) {
        traversal.relays.connectionLost(to: remote, peers: &sessions.peers, now: now)
        serviceRelays(now: now, into: &out)
        flush(now: now, into: &out)
    }

    /// The allocations of a relay that did not answer, from the directory: the answer to `MeshEvent.relayUnreached`.
    package mutating func relayChain(
        to relay: NodeID, through places: [RelayedAddress], now: Instant, into out: inout MeshOutbox
    ) {
        guard let client = traversal.relays.client(of: relay), client.path == nil, !places.isEmpty, relay != nodeID
        else { return }
        connect(to: relay, at: client.location.paths, through: places, now: now, into: &out)
    }

    /// Does what is due for each relay that there is now.
    mutating func serviceRelays(now: Instant, into out: inout MeshOutbox) {
        traversal.relays.dropUnanswered()
        for position in traversal.relays.clients.indices {
            let relay = traversal.serviceRelay(
                at: position, peers: &sessions.peers, counters: &counters, now: now, into: &out)
            if let relay { connect(to: relay.node, at: relay.paths, now: now, into: &out) }
        }
    }

    /// The relay that carries a path; `nil` for a direct one, and for a relay that this node has left.
    package func relay(of path: PathAddress) -> NodeID? { traversal.relays.relay(of: path) }

    // MARK: - Paths

    /// The owner of a path: the peer that has it now, or the relay itself.
    package func peer(at path: PathAddress) -> NodeID? {
        sessions.peers.peer(at: path)?.node ?? (path.isRelayed ? nil : traversal.relays.relay(at: path))
    }

    /// The owner of an overlay address.
    package func peer(withOverlay address: IPAddress) -> NodeID? { sessions.peers.peer(withOverlay: address)?.node }

    /// Treats a path as one that has fallen silent. False if the peer has no such path, or no other.
    package mutating func drop(_ path: PathAddress, of node: NodeID, now: Instant) -> Bool {
        guard let peer = sessions.peers[node], peer.paths.drop(path, now: now) else { return false }
        sessions.peers.mark(peer)
        return true
    }

    /// From now on, until it is called again or the process ends, everything to the peer goes over relays. False without a
    /// relay, where that would cut it off, and where too many peers are in this mode.
    package mutating func relayOnly(_ node: NodeID, _ isOn: Bool, now: Instant) -> Bool {
        traversal.setRelayOnly(node, isOn, peers: &sessions.peers, now: now)
    }

    // MARK: - Reports

    /// All peers, in the order of their slots.
    package func summaries(now: Instant) -> [PeerSummary] {
        sessions.peers.map { PeerSummary($0, now: now, sizes: sessions.dataPlane.isOn) }
    }

    /// All about the paths to a peer; `nil` for a node that is none.
    package func report(on node: NodeID, now: Instant) -> PathReport? {
        sessions.peers[node].map {
            PathReport($0, of: sessions.peers, traversal, now: now, sizes: sessions.dataPlane.isOn)
        }
    }

    /// How this node is seen by the peers that it has sessions with.
    package func networkReport(now: Instant) -> NetworkReport { NetworkReport(traversal, sessions.peers) }
}
