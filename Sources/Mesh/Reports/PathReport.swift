package import Base
package import Wire

// Why a peer is reached as it is.

/// What carries data to a peer, and why nothing better does.
package struct PathReport: Hashable, Sendable {
    /// Why data goes over a relay.
    package enum RelayReason: String, Hashable, Sendable, CaseIterable {
        /// Direct paths are being tried, for the first time.
        case trying
        /// The peer has told no address of its own, or not yet.
        case noCandidates
        /// Both translators show each far end another address, so that neither can be told where to send.
        case bothMappingsVary
        /// This node's does, and the peer's lets in only whom it knows, port and all.
        case ownMappingVaries
        /// The peer's does, and this node's lets in only whom it knows, port and all.
        case peerMappingVaries
        /// A direct path was there and fell silent; it is not taken back for a while.
        case failed
        /// This node's network lets no UDP out, so its relays are reached over TCP.
        case ownUDPBlocked
        case peerUDPBlocked
        /// Both ends are seen at the same address by all, and yet nothing arrives: a firewall drops it.
        case blocked
        /// What is before one of them is not known, and nothing arrives.
        case unknown
        /// A person wants it so (`asterism debug relay-only`).
        case relayOnly
    }

    package var node: NodeID
    package var name: String?
    /// `nil`: there is no session.
    package var path: PathAddress?
    package var second: PathAddress?
    package var relayReason: RelayReason?
    package var ownMapping: NATMapping
    package var peerMapping: NATMapping
    package var datagramBytes: Int?
    package var paths: [PathSet.Facts]
    package var transitions: [PathSet.Transition]
    /// Whose relays are in `paths` and `transitions`.
    package var relays: [RelayName] = []
}

extension Endpoint {
    /// All about the ways to a peer; `nil` for a stranger.
    package func report(on node: NodeID, now: Instant) -> PathReport? {
        guard let peer = existingPeer(node) else { return nil }
        let path = peer.isConnected ? peer.paths.primary : nil
        let relays = relayNames(for: peer)
        return PathReport(
            node: node, name: peer.certificate?.name, path: path, second: peer.paths.second,
            relayReason: path.flatMap { $0.isRelayed ? relayReason(of: peer, now: now) : nil },
            ownMapping: natMapping, peerMapping: peer.natMapping,
            datagramBytes: configuration.hasDataPlane ? path.map { datagramBytes(of: peer, at: $0) } : nil,
            paths: peer.paths.facts(now: now), transitions: peer.paths.transitions,
            relays: relays)
    }

    private func relayReason(of peer: Peer, now: Instant) -> PathReport.RelayReason {
        if peer.paths.isRelayOnly { return .relayOnly }
        let direct = peer.paths.facts(now: now).filter(\.address.isDirect)
        if natMapping == .blocked { return .ownUDPBlocked }
        if peer.natMapping == .blocked { return .peerUDPBlocked }
        if direct.isEmpty { return .noCandidates }
        if direct.contains(where: { $0.isAlive || $0.barredFor != nil }) { return .failed }
        switch (natMapping, peer.natMapping) {
        case (.varies, .varies): return .bothMappingsVary
        // Shots may still bring it about, where a filter lets in more than it must.
        case _ where peer.paths.vainPunches == 0 && direct.contains(where: \.isPunching): return .trying
        case (.varies, _): return .ownMappingVaries
        case (_, .varies): return .peerMappingVaries
        case (.unknown, _), (_, .unknown): return .unknown
        case (.none, _), (.stable, _), (.blocked, _): return .blocked
        }
    }
}
