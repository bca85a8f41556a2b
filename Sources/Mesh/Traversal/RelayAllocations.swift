package import Base
package import Wire

// Two relays between two nodes that have none in common.
//
//   a ── x ── y ── b        a reaches x alone, b reaches y alone
//
// A relay is a node and has legs at other relays, as every node has. So whoever cannot reach `y`, at which a peer has its
// leg, makes the session with `y` over `x` as with any peer, asks in it for a leg, and binds that over `x`. From then on `y`
// is a relay of his, one hop further away. The peer notices nothing: it sends to `y`, which knows that what goes to that leg
// goes to `x` first. That is done for a peer that nothing else leads to, a third of a second after `y` was asked in vain.

extension Endpoint {
    /// Where a relay that did not answer has legs itself, as the directory says: the answer to `MeshEvent.relayUnreached`.
    package mutating func detour(
        to relay: NodeID, through places: [RelayPlace], now: Instant, into out: inout MeshOutbox
    ) {
        guard let client = relayClients.first(where: { $0.relay == relay }), client.path == nil, !places.isEmpty,
            relay != nodeID
        else { return }
        connect(to: relay, at: client.whereabouts.paths, through: places, now: now, into: &out)
    }

    /// A relay does not answer.
    mutating func seekDetour(_ position: Int, now: Instant, into out: inout MeshOutbox) {
        if relayClients[position].isHome { useSpareRelay(now: now) }
        guard isMissed(relayClients[position].relay, now) else { return }
        relayClients[position].detoured(now: now)
        out.events.append(.relayUnreached(relayClients[position].relay))
    }

    /// Peers can be reached through the relay and by nothing else. Relays that are themselves looked for over others do not
    /// count, or one would lead to the next.
    private func isMissed(_ relay: NodeID, _ now: Instant) -> Bool {
        peers.contains { peer in
            guard let peer, peer.node != relay, peer.isWanted || peer.isConnected, !peer.paths.isWell(now),
                peer.relayPlaces.contains(where: { $0.relay == relay })
            else { return false }
            return !relayClients.contains { $0.relay == peer.node && $0.detouredAt != nil }
        }
    }

    /// Nothing leads to the peer, or nothing does any more: its relays are looked for once more.
    mutating func seekRelays(of peer: Peer, now: Instant) {
        guard !peer.paths.isWell(now) else { return }
        for place in peer.relayPlaces {
            // It may have been given up since, and may answer now, or elsewhere.
            addRelay(ControllerAddress(node: place.relay, addresses: [place.address]), isHome: false, now: now)
            relayClient(of: place.relay) { $0.missed(now: now) }
        }
    }

    /// Whether a relay that was a spare one is to stay: one of those that are `wanted` does not answer, or is behind another
    /// one, so that it cannot be told to peers.
    func isInUse(_ client: RelayClient, insteadOf wanted: ArraySlice<ControllerAddress>) -> Bool {
        client.isHome && spareRelays.contains { $0.node == client.relay }
            && relayClients.contains { other in
                (other.path?.isRelayed ?? (other.attempts > 0)) && wanted.contains { $0.node == other.relay }
            }
    }

    /// One of the relays that were to be this node's does not answer: the next one that the controller named does it as well.
    private mutating func useSpareRelay(now: Instant) {
        while let spare = spareRelays.first {
            spareRelays.removeFirst()
            guard let known = relayClients.firstIndex(where: { $0.relay == spare.node }) else {
                return addRelay(spare, isHome: true, now: now)
            }
            guard !relayClients[known].isHome else { continue }
            relayClients[known].isHome = true
            return candidatesHaveChanged()
        }
    }

    /// Whether what came that way may be for this node as a relay, or be from one: straight from a node, or over a relay at
    /// which this node has a leg.
    func comesByOwnLeg(_ path: PathAddress) -> Bool {
        guard let legs = path.legs else { return true }
        return path.via == nil
            && relayClients.contains {
                $0.leg == legs.near && $0.path == PathAddress(path.remote, socket: path.socket)
            }
    }

    /// A relay is reached straight that was reached over another one. What went over both goes on, now over it alone.
    mutating func shorten(_ position: Int, now: Instant) {
        guard let long = relayClients[position].leaving, let short = relayClients[position].path,
            let leg = relayClients[position].leg
        else { return }
        relayClients[position].leaving = nil
        for case let peer? in peers {
            for old in peer.paths.addresses where old.legs?.near == leg && old.via == long.legs {
                guard let legs = old.legs, let new = short.extended(by: legs) else { continue }
                peer.paths.replace(old, by: new, now: now)
                mark(peer)
            }
        }
        addRelayPaths(now: now)
    }
}
