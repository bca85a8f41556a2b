package import Base
package import Wire

/// The path of data to a peer, and why there is no better one.
package struct PathReport: Hashable, Sendable {
    /// Why data goes over a relay.
    package enum RelayReason: String, Hashable, Sendable, CaseIterable {
        /// Direct paths are being tried, for the first time.
        case trying
        /// The peer has reported no address of its own, or not yet.
        case noCandidates
        /// Both NATs have endpoint-dependent mappings, so that neither node can learn where to send.
        case bothMappingsDependent
        /// This node's NAT does, and the peer's lets in only known addresses and ports.
        case ownMappingDependent
        /// The peer's NAT does, and this node's lets in only known addresses and ports.
        case peerMappingDependent
        /// A direct path became silent; it is not used again for a while.
        case failed
        /// This node's network blocks outgoing UDP, so its relays are reached over TCP.
        case ownUDPBlocked
        case peerUDPBlocked
        /// Both ends have endpoint-independent mappings, and still nothing arrives: a firewall drops it.
        case blocked
        /// The NAT of one of them is not known, and nothing arrives.
        case unknown
        /// A person has requested it (`asterism debug relay-only`).
        case relayOnly
    }

    package let node: NodeID
    package let name: String?
    /// `nil`: there is no session.
    package let path: PathAddress?
    package let second: PathAddress?
    package let relayReason: RelayReason?
    package let ownMapping: NATMapping
    package let peerMapping: NATMapping
    package let datagramBytes: Int?
    package let paths: [PathSet.Facts]
    package let transitions: [PathSet.Transition]
    /// The relays of `paths` and `transitions`.
    package let relays: [RelayName]
}

extension PathReport {
    /// `sizes`: there is a data plane, which measures them.
    init(_ peer: Peer, of peers: PeerTable, _ traversal: Traversal, now: Instant, sizes: Bool) {
        let paths = peer.paths, link = peer.link
        let path = peer.isConnected ? paths.primary : nil
        let mapping = traversal.mapping
        let reason = path.flatMap { $0.isRelayed ? RelayReason(peer, own: mapping, now: now) : nil }
        let bytes = sizes ? path.map { link.datagramBytes(at: $0, second: paths.second) } : nil
        self.init(
            node: peer.node, name: peer.certificate?.name, path: path, second: paths.second, relayReason: reason,
            ownMapping: mapping, peerMapping: peer.traversal.mapping, datagramBytes: bytes,
            paths: paths.facts(now: now), transitions: paths.transitions,
            relays: RelayName.all(of: paths, traversal.relays, peers))
    }
}

extension PathReport.RelayReason {
    fileprivate init(_ peer: Peer, own: NATMapping, now: Instant) {
        let facts = peer.paths.facts(now: now), direct = facts.filter(\.address.isDirect)
        self =
            switch (own, peer.traversal.mapping) {
            case _ where peer.paths.isRelayOnly: .relayOnly
            case (.blocked, _): .ownUDPBlocked
            case (_, .blocked): .peerUDPBlocked
            case _ where direct.isEmpty: .noCandidates
            case _ where direct.contains(where: { $0.isAlive || $0.barredFor != nil }): .failed
            case (.endpointDependent, .endpointDependent): .bothMappingsDependent
            // Hole-punch probes may still succeed, where a filter is less strict than assumed.
            case _ where peer.paths.failedPunches == 0 && direct.contains(where: \.isPunching): .trying
            case (.endpointDependent, _): .ownMappingDependent
            case (_, .endpointDependent): .peerMappingDependent
            case (.unknown, _), (_, .unknown): .unknown
            case (.none, _), (.endpointIndependent, _): .blocked
            }
    }
}
