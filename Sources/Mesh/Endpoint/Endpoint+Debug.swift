package import Base
package import Wire

// What people want to know of paths, and try with them: whose they are, pings by one of them, and what data is to use.

/// Which node a relay is, for people.
package struct RelayName: Hashable, Sendable {
    package var path: PathAddress
    package var node: NodeID
    package var name: String?
    /// The one before it, of a path over two.
    package var first: String?
}

extension Endpoint {
    /// The relays of a peer's paths, those that it had as well.
    func relayNames(for peer: Peer) -> [RelayName] {
        let paths = peer.paths.addresses + peer.paths.transitions.flatMap { [$0.from, $0.to].compactMap { $0 } }
        var names: [RelayName] = []
        for path in paths where !names.contains(where: { $0.path == path }) {
            guard let node = relay(of: path) else { continue }
            let first = path.via.flatMap { relay(of: PathAddress(path.remote, legs: $0, socket: path.socket)) }
            names.append(
                RelayName(
                    path: path, node: node, name: certificate(of: node)?.name,
                    first: first.map { certificate(of: $0)?.name ?? $0.short }))
        }
        return names
    }

    /// Whose relay carries a path; `nil` for a direct one, and for a relay that this node has left.
    package func relay(of path: PathAddress) -> NodeID? {
        guard let legs = path.legs else { return nil }
        let known = relayClients.first { $0.leg == legs.near }
        if path.via != nil { return known?.relay }
        return (known ?? relayClients.first { $0.whereabouts.addresses.contains(path.remote) })?.relay
    }

    /// Whose path that is: a peer's that has it now, or a relay's own.
    package func peer(at path: PathAddress) -> NodeID? {
        for case let peer? in peers where peer.paths.addresses.contains(path) { return peer.node }
        guard !path.isRelayed else { return nil }
        return relayClients.first { $0.path == path || $0.whereabouts.addresses.contains(path.remote) }?.relay
    }

    /// Whose overlay address that is.
    package func peer(withOverlay address: IPAddress) -> NodeID? {
        for case let peer? in peers where peer.certificate?.overlayAddresses.contains(address) ?? false {
            return peer.node
        }
        return nil
    }

    /// As `ping(_:token:now:)`, by all of these paths, whichever data uses; the first answer counts.
    package mutating func ping(_ node: NodeID, token: UInt64, by paths: [PathAddress], now: Instant) -> Bool {
        guard let peer = existingPeer(node), peer.isConnected else { return false }
        if peer.pings.count >= Peer.pingsLimit { peer.pings.removeFirst() }
        peer.pings.append((token, now))
        // As answers do, they go the way that they are given.
        for path in paths { peer.reply(.ping(token: token), by: path) }
        mark(peer)
        return true
    }

    /// Treats a path as one that has fallen silent. False if the peer has no such path, or no other.
    package mutating func drop(_ path: PathAddress, of node: NodeID, now: Instant) -> Bool {
        guard let peer = existingPeer(node), peer.paths.drop(path, now: now) else { return false }
        mark(peer)
        return true
    }

    /// From here on, until it is said again or the process ends, nothing goes to the peer but over relays. False without a
    /// relay, where that would cut it off, and where too many peers are kept so.
    package mutating func relayOnly(_ node: NodeID, _ isOn: Bool, now: Instant) -> Bool {
        let peer = existingPeer(node)
        if isOn, !relayOnly.contains(node) {
            guard relayOnly.count < Endpoint.relayOnlyLimit,
                peer?.paths.addresses.contains(where: \.isRelayed) ?? false
            else { return false }
            relayOnly.append(node)
        }
        if !isOn { relayOnly.removeAll { $0 == node } }
        guard let peer else { return true }
        peer.paths.relayOnly(isOn, now: now)
        mark(peer)
        return true
    }

    private static let relayOnlyLimit = 64
}
