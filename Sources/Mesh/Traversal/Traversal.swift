package import Base
package import Wire

// Where this node is, where its peers are, and the relays between them.
//
//   beacons' pongs ──→ how we are seen ──┐
//   the shell ──→ our own addresses, ────┼──→ candidates ──→ peers, who answer with theirs: PathSet punches
//                 ports mapped for us    │            └────→ the directory, for those who are no peers yet
//   relays ──→ legs, bound ──────────────┘
//
// A session is made over whatever carries it first, and a relay is nearly always there: data flows at once, and better
// paths are found meanwhile.

extension Endpoint {
    /// Where this node may be reached, as it knows itself, best first.
    package var candidates: [PathCandidate] {
        var direct: [SocketAddress] = []
        for address in ownAddresses + mappedAddresses + reflexive.map(\.address) where !direct.contains(address) {
            direct.append(address)
        }
        let places = relayClients.filter(\.isHome).compactMap(\.place)
        return direct.prefix(Limits.addressesPerPeer - Limits.homeRelays).map { .direct($0) }
            + places.prefix(Limits.homeRelays).map { .relayed($0) }
    }

    /// What is before this node, as beacons see it, over IPv4.
    package var natMapping: NATMapping {
        let bound = relayClients.filter { $0.place != nil }
        if !bound.isEmpty, bound.allSatisfy({ $0.path?.isTCP ?? false }) { return .blocked }
        let seen = reflexive.map(\.address).filter(\.ip.isIPv4)
        guard let first = seen.first else { return .unknown }
        if seen.allSatisfy({ ownAddresses.contains($0) }) { return .none }
        guard seen.count > 1 else { return .unknown }
        return seen.allSatisfy { $0 == first } ? .stable : .varies
    }

    /// The addresses of this node's own interfaces, with the port that it listens on.
    package mutating func listens(at addresses: [SocketAddress], now: Instant) {
        guard addresses != ownAddresses else { return }
        let gone = ownAddresses.filter { !addresses.contains($0) }
        ownAddresses = addresses
        // What others saw belongs to the addresses of before.
        for position in relayClients.indices { relayClients[position].moved(now: now) }
        let beacons = reflexive.map(\.beacon)
        reflexive.removeAll { seen in gone.contains { $0.ip.isIPv4 == seen.address.ip.isIPv4 } }
        for beacon in beacons { askHowSeen(beacon, now: now) }
        if !gone.isEmpty { pathsHaveMoved(now: now) }
        candidatesHaveChanged()
    }

    private mutating func askHowSeen(_ beacon: NodeID, now: Instant) {
        guard let beacon = existingPeer(beacon) else { return }
        beacon.paths.ask(now: now)
        mark(beacon)
    }

    private func pathsHaveMoved(now: Instant) { for case let peer? in peers { peer.paths.moved(now: now) } }

    /// Addresses at gateways that lead to this node's port, whoever sends there.
    package mutating func mapped(_ addresses: [SocketAddress]) {
        let few = Array(addresses.prefix(Endpoint.mappedLimit))
        guard few != mappedAddresses else { return }
        mappedAddresses = few
        candidatesHaveChanged()
    }

    private static let mappedLimit = 2

    /// The relays that this node is to keep, best first; the others that it has are only kept for peers.
    package mutating func useRelays(
        _ relays: [ControllerAddress], now: Instant, into out: inout MeshOutbox
    ) {
        let wanted = relays.filter { $0.node != nodeID }.prefix(Limits.homeRelays)
        spareRelays = relays.filter { relay in relay.node != nodeID && !wanted.contains { $0.node == relay.node } }
        var isChanged = false
        for position in relayClients.indices {
            let isHome =
                wanted.contains { $0.node == relayClients[position].relay }
                || isInUse(relayClients[position], insteadOf: wanted)
            if relayClients[position].isHome != isHome {
                relayClients[position].isHome = isHome
                isChanged = true
            }
        }
        for relay in wanted {
            addRelay(relay, isHome: true, now: now)
        }
        if isChanged { candidatesHaveChanged() }
        serviceRelays(now: now, into: &out)
    }

    mutating func candidatesHaveChanged() {
        candidatesNumber += 1
        hasNewCandidates = true
        // Of another place other things are true.
        hopeless.forget()
    }

    // MARK: - This node as a relay

    mutating func carry(
        _ datagram: UnsafeMutableRawBufferPointer, _ legs: RelayLegs, from remote: PathAddress, now: Instant,
        into out: inout MeshOutbox
    ) {
        let inside = DatagramKind(rawValue: datagram[DatagramHeader.relayedSize])
        switch relay.carry(
            legs, count: datagram.count, isForRelays: inside?.isForRelays ?? true, from: remote, now: now)
        {
        case .forward(let path):
            // The legs trade places: what was the sender's is the receiver's far one.
            let ahead = path.overhead
            out.datagrams.append(
                reserving: ahead + datagram.count, remote: path.remote, socket: path.socket
            ) { buffer in
                path.write(to: buffer)
                let carried = UnsafeMutableRawBufferPointer(rebasing: buffer[ahead...])
                carried.copyMemory(from: UnsafeRawBufferPointer(datagram))
                carried[0] = DatagramKind.fromRelay.rawValue
                return ahead + datagram.count
            }
        case .challenge(let bytes): send(bytes, to: remote, into: &out)
        case .dropped(let reason): counters.drop(reason)
        }
    }

    mutating func receiveBind(
        _ datagram: [UInt8], from remote: PathAddress, now: Instant, into out: inout MeshOutbox
    ) {
        guard comesByOwnLeg(remote), let answer = relay.bind(datagram, from: remote, now: now) else {
            return counters.drop(.badBind)
        }
        send(answer, to: remote, into: &out)
    }

    mutating func grantLeg(to peer: Peer, at path: PathAddress, now: Instant) -> MeshFrame {
        guard isBeacon, let certificate = peer.certificate, path.hops < 2 else { return .legRefused(.notARelay) }
        let tenant = certificate.labels.first { $0.name == "app" }?.value ?? ""
        guard let leg = relay.leg(for: peer.node, tenant: tenant, at: path, now: now) else {
            return .legRefused(.full)
        }
        return .leg(leg.number, key: leg.key, challenge: leg.challenge)
    }

    // MARK: - This node at relays

    mutating func addRelay(_ place: ControllerAddress, isHome: Bool, now: Instant) {
        let node = place.node
        if let position = relayClients.firstIndex(where: { $0.relay == node }) {
            // A peer's word does not move a relay that the controller has named.
            guard isHome || !relayClients[position].isHome, relayClients[position].whereabouts != place else { return }
            relayClients[position].whereabouts = place
            // The session may go on over another relay meanwhile.
            guard isHome, let peer = existingPeer(node), peer.isConnected else { return }
            peer.paths.add(place.paths)
            peer.paths.punch(now: now)
            mark(peer)
            return
        }
        guard node != nodeID, relayClients.count < Endpoint.relayClientLimit else { return }
        relayClients.append(RelayClient(place, isHome: isHome, now: now))
        if let peer = existingPeer(node), peer.isConnected, let path = peer.paths.primary {
            relayPeerConnected(peer, at: path, now: now)
        }
    }

    private static let relayClientLimit = 8
    private static let relayAttempts = 2

    mutating func relayClient(of node: NodeID, _ body: (inout RelayClient) -> Void) {
        guard let position = relayClients.firstIndex(where: { $0.relay == node }) else { return }
        body(&relayClients[position])
    }

    mutating func relayPeerConnected(_ peer: Peer, at path: PathAddress, now: Instant) {
        guard let position = relayClients.firstIndex(where: { $0.relay == peer.node }), path.hops < 2 else { return }
        withdrawPaths(of: position, now: now)
        relayClients[position].connected(at: path, now: now)
        peer.paths.keepsWarm = configuration.keepAlive
        peer.paths.sent(now: now)
    }

    /// The peer is about to be forgotten, whatever it was to this node.
    mutating func leave(_ peer: Peer, now: Instant) {
        if guess?.slot == peer.slot { endGuess() }
        closedSockets += peer.sockets
        relay.release(peer.node)
        reflexive.removeAll { $0.beacon == peer.node }
        guard let position = relayClients.firstIndex(where: { $0.relay == peer.node }) else { return }
        withdrawPaths(of: position, now: now)
        relayClients[position].disconnected(now: now)
    }

    /// The leg is gone, and so are all paths over it.
    private mutating func withdrawPaths(of position: Int, now: Instant) {
        guard let leg = relayClients[position].leg else { return }
        if relayClients[position].isHome { candidatesHaveChanged() }
        for peer in peers {
            guard let peer, peer.paths.addresses.contains(where: { $0.uses(leg: leg) }) else { continue }
            peer.paths.withdraw(where: { $0.uses(leg: leg) }, now: now)
            mark(peer)
        }
    }

    mutating func receiveBindAnswer(
        _ datagram: [UInt8], leg: UInt32, now: Instant, into out: inout MeshOutbox
    ) {
        guard let position = relayClients.firstIndex(where: { $0.leg == leg }),
            let isBound = relayClients[position].answered(datagram, now: now)
        else { return counters.drop(.badBind) }
        if isBound, relayClients[position].isNew {
            relayClients[position].isNew = false
            shorten(position, now: now)
            for peer in peers {
                guard let peer, peer.paths.addresses.contains(where: { $0.uses(leg: leg) }) else { continue }
                peer.paths.bound(leg, now: now)
                mark(peer)
            }
        }
        if isBound, relayClients[position].isAnnounced == false {
            relayClients[position].isAnnounced = true
            if relayClients[position].isHome { candidatesHaveChanged() }
            // Peers that are at this relay too can be reached over it from now on.
            addRelayPaths(now: now)
        }
        serviceRelays(now: now, into: &out)
    }

    mutating func serviceRelays(now: Instant, into out: inout MeshOutbox) {
        relayClients.removeAll { !$0.isHome && $0.attempts > Endpoint.relayAttempts }
        for position in relayClients.indices {
            guard let work = relayClients[position].due(now: now) else { continue }
            let client = relayClients[position]
            switch work {
            case .connect:
                // A peer said that there is a relay; it is not asked for ever on a peer's word.
                guard client.isHome || client.attempts <= Endpoint.relayAttempts else { continue }
                connect(to: client.relay, at: client.whereabouts.paths, now: now, into: &out)
            case .detour: seekDetour(position, now: now, into: &out)
            case .ask:
                guard let peer = existingPeer(client.relay), peer.isConnected else { continue }
                peer.enqueue(.legRequest)
                mark(peer)
            case .bind(let bytes): if let path = client.path { send(bytes, to: path, into: &out) }
            }
        }
    }

    // MARK: - Peers' candidates

    /// A beacon tells where our datagrams seem to come from: those of IPv4 from one address and those of IPv6 from another.
    mutating func seen(as address: SocketAddress, by peer: Peer, now: Instant) {
        guard let roles = peer.certificate?.roles, roles.contains(.beacon) || roles.contains(.controller) else {
            return
        }
        let known = reflexive.firstIndex { $0.beacon == peer.node && $0.address.ip.isIPv4 == address.ip.isIPv4 }
        if let known {
            let before = reflexive[known].address
            guard before != address else { return }
            reflexive[known].address = address
            // A beacon that saw the same as this one did sees something else as well now, if it still sees anything.
            let others = reflexive.filter { $0.address == before }.map(\.beacon)
            reflexive.removeAll { $0.address == before }
            for other in others { askHowSeen(other, now: now) }
            pathsHaveMoved(now: now)
            // The leg is bound where the relay sees this node by the way that it takes to it.
            relayClient(of: peer.node) { client in
                if client.path?.remote.ip.isIPv4 == address.ip.isIPv4 { client.moved(now: now) }
            }
        } else {
            guard reflexive.count < Endpoint.reflexiveLimit else { return }
            reflexive.append((peer.node, address))
        }
        candidatesHaveChanged()
    }

    /// Four beacons' words, of both families.
    private static let reflexiveLimit = 8

    /// Tells the peer where this node is, until the peer has heard it.
    mutating func offerCandidates(to peer: Peer, now: Instant) {
        guard peer.certificate != nil, credentials != nil else { return }
        if peer.candidatesNumber != candidatesNumber {
            peer.candidatesNumber = candidatesNumber
            peer.candidatesHeard = false
            peer.candidateOffers = 0
            peer.candidatesAt = now
        }
        guard let at = peer.candidatesAt, at <= now else { return }
        peer.candidatesAt = nil
        let all = candidates
        guard !peer.candidatesHeard, !all.isEmpty, peer.candidateOffers < 6 else { return }
        peer.enqueue(.candidates(number: candidatesNumber, natMapping, all))
        peer.candidatesAt = now + .milliseconds(250 << Int64(peer.candidateOffers))
        peer.candidateOffers += 1
    }

    /// The peer tells where it is.
    mutating func hear(
        _ candidates: [PathCandidate], _ mapping: NATMapping, number: UInt64, from peer: Peer, now: Instant
    ) {
        guard number > peer.remoteCandidatesNumber else { return }
        peer.remoteCandidatesNumber = number
        peer.natMapping = mapping
        // Overlay addresses would lead the mesh through itself.
        let overlay =
            (peer.certificate?.overlayAddresses ?? []) + (credentials?.certificate.certificate.overlayAddresses ?? [])
        var direct: [PathAddress] = [], places: [RelayPlace] = []
        for candidate in candidates {
            switch candidate {
            case .direct(let address) where !overlay.contains(address.ip) && address.port != 0:
                direct.append(PathAddress(address))
            case .direct: break
            case .relayed(let place): places.append(place)
            }
        }
        peer.paths.add(direct)
        reach(peer, through: places, now: now)
        seekDirect(peer, now: now)
    }

    /// The peer has heard where this node is now, and shoots; whether it shot before, when this node's translator did not let
    /// that in yet, is not known.
    mutating func heardCandidates(_ number: UInt64, _ peer: Peer, now: Instant) {
        guard number == peer.candidatesNumber, !peer.candidatesHeard else { return }
        peer.candidatesHeard = true
        if peer.paths.isSettling(now) { seekDirect(peer, now: now) }
    }

    private mutating func seekDirect(_ peer: Peer, now: Instant) {
        let isHopeless = isHopeless(peer, now: now)
        if natMapping != .blocked, peer.natMapping != .blocked { peer.paths.punch(isBrief: isHopeless, now: now) }
        if isHopeless { peer.guessAt = nil } else { planGuess(of: peer, now: now) }
        beginTrial(with: peer, now: now)
        mark(peer)
    }

    /// Takes the peer's legs; relays that this node does not know are made use of where they are few.
    mutating func reach(_ peer: Peer, through places: [RelayPlace], now: Instant) {
        for old in peer.relayPlaces where !places.contains(where: { $0.relay == old.relay && $0.leg == old.leg }) {
            let near = relayClients.first { $0.relay == old.relay }?.leg
            peer.paths.withdraw(where: { $0.legs?.far == old.leg && $0.legs?.near == near }, now: now)
        }
        peer.relayPlaces = Array(places.prefix(Limits.homeRelays))
        for place in peer.relayPlaces {
            addRelay(ControllerAddress(node: place.relay, addresses: [place.address]), isHome: false, now: now)
        }
        seekRelays(of: peer, now: now)
        addRelayPaths(to: peer, now: now)
    }

    /// A TCP connection that this node had made is over. The next datagram makes another, and the relay must be told of it
    /// before it can be used.
    package mutating func connectionLost(to remote: SocketAddress, now: Instant, into out: inout MeshOutbox) {
        for position in relayClients.indices {
            guard relayClients[position].path == .tcp(remote) else { continue }
            relayClients[position].moved(now: now)
            if let peer = existingPeer(relayClients[position].relay) {
                peer.paths.sent(now: now)
                mark(peer)
            }
        }
        serviceRelays(now: now, into: &out)
        flush(now: now, into: &out)
    }

    /// A peer is heard by no path: perhaps nothing gets out any more, relays included, which are asked seldom.
    mutating func suspectRelays(of peer: Peer, now: Instant) {
        guard peer.paths.isDeaf(now), now - relaysSuspectedAt >= PathSet.probeEvery,
            !relayClients.contains(where: { $0.relay == peer.node })
        else { return }
        relaysSuspectedAt = now
        seekRelays(of: peer, now: now)
        for client in relayClients where client.isBound {
            guard let relay = existingPeer(client.relay), relay.isConnected else { continue }
            relay.paths.sent(now: now)
            mark(relay)
        }
    }

    mutating func addRelayPaths(now: Instant) {
        for peer in peers {
            guard let peer, !peer.relayPlaces.isEmpty else { continue }
            addRelayPaths(to: peer, now: now)
        }
    }

    /// The session with a relay goes another way: the leg is bound there, and whoever is reached through it is reached that
    /// way.
    mutating func rerouteRelay(_ peer: Peer, to path: PathAddress, now: Instant) {
        guard let position = relayClients.firstIndex(where: { $0.relay == peer.node }), path.hops < 2,
            let old = relayClients[position].path, old != path
        else { return }
        relayClients[position].rerouted(to: path, now: now)
        relayClients[position].leaving = nil
        guard let leg = relayClients[position].leg else { return }
        // What there is to tell of this node may be another: whether UDP gets out, and which relays are near.
        if old.isTCP != path.isTCP || old.isRelayed != path.isRelayed { candidatesHaveChanged() }
        // The long way is as good as it was until the leg is bound to the short one.
        if old.isRelayed, !path.isRelayed { return relayClients[position].leaving = old }
        addRelayPaths(now: now)
        // The far end is another, so that nothing arrives from where the leg was bound before.
        for peer in peers {
            guard let peer, peer.paths.addresses.contains(where: { $0.uses(leg: leg) }) else { continue }
            peer.paths.withdraw(
                where: {
                    $0.uses(leg: leg) && $0.remote == old.remote && $0.socket == old.socket
                        && ($0.legs?.near != leg || $0.via == old.legs)
                }, now: now)
            mark(peer)
        }
    }

    private mutating func addRelayPaths(to peer: Peer, now: Instant) {
        for place in peer.relayPlaces {
            guard let own = relayClients.first(where: { $0.relay == place.relay }), own.isAnnounced,
                let leg = own.leg, let path = own.path
            else { continue }
            // While a relay's leg is bound anew where it is nearer, the way to peers is still the long one.
            guard own.leaving == nil, let whole = path.extended(by: RelayLegs(near: leg, far: place.leg)) else {
                continue
            }
            peer.paths.add([whole])
        }
        peer.paths.tryRelays(now: now)
        // A handshake that waits for a way goes this one at once.
        if let initiation = peer.session.initiation, peer.session.current == nil { initiation.nextAt = now }
        mark(peer)
    }
}
