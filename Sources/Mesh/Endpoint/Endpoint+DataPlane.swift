package import Base
import Noise
import Wire

// What `Endpoint` and the data plane tell each other. The data plane has keys of its own, from the same handshakes, under
// the same indices: an epoch begins and ends for both at once.

extension Endpoint {
    private static let dataPlaneLabel = "asterism data plane"
    /// What is believed of a path before the kernel has said more.
    private static let ethernetMTU = 1500

    // MARK: - To the data plane

    /// Who this node is in the overlay.
    mutating func tellLocal() {
        guard configuration.hasDataPlane, let certificate = credentials?.certificate.certificate else { return }
        dataPlaneChanges.append(
            .local(
                OverlayLocal(address4: certificate.overlay4Given, address6: certificate.overlay6)))
    }

    func dataKeys(_ state: borrowing HandshakeState, _ cipher: Cipher) -> CipherStates? {
        guard configuration.hasDataPlane else { return nil }
        return state.additionalKeys(Endpoint.dataPlaneLabel, for: cipher)
    }

    /// Lets the data plane open what the peer seals with the keys of `epoch`, and keeps the other key until it is used.
    mutating func install(
        _ keys: consuming CipherStates?, _ epoch: Epoch, of peer: Peer, from remote: PathAddress, isConfirmed: Bool
    ) {
        guard let keys, let own = credentials?.certificate.certificate, let certificate = epoch.hello.certificate else {
            return
        }
        let receive = keys.receive.copyKey()
        epoch.dataKeys = consume keys
        dataPlaneChanges.append(
            .install(
                RxEntry(
                    index: epoch.localIndex, peer: peer.slot, key: receive,
                    address4: certificate.overlay4Given, address6: certificate.overlay6,
                    policy: PeerPolicy(own: own, peer: certificate, rules: configuration.policy), remote: remote,
                    isConfirmed: isConfirmed, expiresAt: epoch.createdAt + configuration.rejectAfter)))
    }

    /// Packets to the peer are sealed with the keys of `epoch` from here on.
    mutating func route(_ epoch: Epoch, of peer: Peer) {
        guard let keys = epoch.dataKeys.take(), let own = credentials?.certificate.certificate,
            let certificate = epoch.hello.certificate, let remote = peer.paths.primary
        else { return }
        let policy = PeerPolicy(own: own, peer: certificate, rules: configuration.policy)
        peer.routeExpiresAt = epoch.createdAt + configuration.rejectAfter
        if peer.size == nil || peer.toldPath?.primary != remote { resize(peer, for: remote) }
        peer.toldBytes = datagramBytes(of: peer, at: remote)
        dataPlaneChanges.append(
            .route(
                TxRoute(
                    peer: peer.slot, remoteIndex: epoch.remoteIndex, key: keys.send.copyKey(),
                    address4: certificate.overlay4Given, address6: certificate.overlay6, remote: remote,
                    datagramBytes: peer.toldBytes, tracksFlows: !policy.allowsEverything,
                    expiresAt: epoch.createdAt + configuration.rejectAfter)))
        measure(peer, at: remote)
        peer.toldPath = (remote, nil)
    }

    /// Replaces the rules for peers of other applications, for sessions that are open as well. A packet that a removed
    /// rule allowed is denied from then on, except as a reply to what this node sends.
    package mutating func setPolicy(_ rules: [PolicyRule]) {
        guard rules != configuration.policy else { return }
        configuration.policy = rules
        guard configuration.hasDataPlane, let own = credentials?.certificate.certificate else { return }
        for peer in peers {
            guard let peer else { continue }
            for epoch in peer.session.epochs {
                guard let certificate = epoch.hello.certificate else { continue }
                let policy = PeerPolicy(own: own, peer: certificate, rules: rules)
                dataPlaneChanges.append(.restrict(index: epoch.localIndex, policy))
                if epoch === peer.session.current {
                    dataPlaneChanges.append(.track(peer: peer.slot, !policy.allowsEverything))
                }
            }
        }
    }

    /// Bytes of a datagram of this node's, without what a relay wants before it.
    func datagramBytes(of peer: Peer, at path: PathAddress) -> Int {
        // What goes two ways must fit into both.
        let overhead = max(path.overhead, peer.paths.second?.overhead ?? 0)
        return (peer.size?.limit ?? Endpoint.payload(ofMTU: Endpoint.ethernetMTU, to: path.remote)) - overhead
    }

    /// Packets go another way: how large they may be there is not known yet.
    private func resize(_ peer: Peer, for path: PathAddress) {
        let ceiling = Endpoint.payload(ofMTU: Endpoint.ethernetMTU, to: path.remote)
        peer.size = PathSize(ceiling: ceiling, isIPv4: path.remote.ip.isIPv4)
    }

    /// Probes how large a datagram may be, and tells the data plane what came of it.
    mutating func probeSize(of peer: Peer, with epoch: Epoch, now: Instant, into out: inout MeshOutbox) {
        guard var size = peer.size, let path = peer.paths.primary else { return }
        let due = size.due(
            now, patience: peer.paths.patience,
            isAlive: peer.paths.isAnswered(since: now - peer.paths.patience - .milliseconds(500)),
            room: Int(sizeBudget.available(now)), firstToken: probeTokens)
        peer.size = size
        for (bytes, token) in due {
            sealAlone(.ping(token: token), with: epoch, of: peer, to: path, size: bytes, now: now, into: &out)
            counters.probesSent += 1
        }
        probeTokens &+= UInt64(due.count)
        if !due.isEmpty { _ = sizeBudget.take(Int64(due.count), now: now) }
        tellSize(of: peer)
    }

    private mutating func tellSize(of peer: Peer) {
        guard let path = peer.toldPath?.primary, datagramBytes(of: peer, at: path) != peer.toldBytes else { return }
        peer.toldBytes = datagramBytes(of: peer, at: path)
        dataPlaneChanges.append(.limit(peer: peer.slot, peer.toldBytes))
    }

    /// Bytes of UDP payload in an IP packet (less 20 or 40, and 8).
    private static func payload(ofMTU mtu: Int, to remote: SocketAddress) -> Int {
        mtu - (remote.ip.isIPv4 ? 28 : 48)
    }

    /// The data plane's packets go where the peer's path set says.
    mutating func tellPath(of peer: Peer) {
        let news = peer.paths.takeNews()
        for transition in news { counters.switched(transition) }
        if let last = news.last { rerouteRelay(peer, to: last.to, now: last.at) }
        guard let told = peer.toldPath, let primary = peer.paths.primary else { return }
        let second = peer.paths.second
        guard told.primary != primary || told.second != second else { return }
        peer.toldPath = (primary, second)
        dataPlaneChanges.append(.redirect(peer: peer.slot, primary, second: second))
        guard told.primary != primary else { return tellSize(of: peer) }
        resize(peer, for: primary)
        tellSize(of: peer)
        measure(peer, at: primary)
    }

    /// A connection takes datagrams of any size.
    private mutating func measure(_ peer: Peer, at path: PathAddress) {
        if !path.isTCP { dataPlaneChanges.append(.measure(peer: peer.slot, path.remote)) }
    }

    /// The index is nobody's any more.
    mutating func release(_ released: UInt32) {
        index.release(released)
        if configuration.hasDataPlane { dataPlaneChanges.append(.remove(index: released)) }
    }

    // MARK: - From the data plane

    /// Something that the data plane has learned.
    package mutating func handle(
        _ event: DataPlaneEvent, now: Instant, wall: UnixTime, into out: inout MeshOutbox
    ) {
        self.wall = wall
        switch event {
        case .confirmed(let index, let remote):
            guard let slot = self.index.peer(of: index), let peer = peers[slot],
                let epoch = peer.session.epoch(of: index)
            else { return }
            guard confirm(epoch, of: peer, from: remote, now: now, into: &out) else { return }
            peer.lastReceivedAt = now
            peer.unansweredSince = nil
            mark(peer)
        case .moved(let index, let remote, let counter):
            guard let slot = self.index.peer(of: index), let peer = peers[slot],
                let epoch = peer.session.current, epoch.localIndex == index, counter >= epoch.movedAt
            else { return }
            epoch.movedAt = counter
            peer.paths.heard(from: remote, isNewest: true, now: now)
            mark(peer)
        // For the driver, and for the layer above, which looks for whoever has the address.
        case .active, .wanted: break
        }
        flush(now: now, into: &out)
    }

    /// Traffic that the data plane has seen counts as hearing and saying. To be told every second or so, and while there is
    /// some every tenth of a second.
    ///
    /// Whoever only receives says something now and then, if only an empty datagram; so a peer to which packets go and
    /// from which nothing comes has lost its keys, or cannot be reached, and that is found out as for anything else that
    /// wants an answer.
    package mutating func note(_ activities: [DataPlaneActivity], now: Instant) {
        func peer(of activity: DataPlaneActivity) -> Peer? {
            activity.peer < peers.count ? peers[activity.peer] : nil
        }
        for activity in activities where !activity.isInward {
            guard let peer = peer(of: activity) else { continue }
            counters.paths.relayedBytesSent += Int(activity.relayedBytes)
            peer.packetsSent += Int(activity.packets)
            peer.packetBytesSent += Int(activity.bytes)
            peer.lastSentAt = max(peer.lastSentAt ?? .origin, activity.lastAt)
            peer.paths.sent(now: now)
            peer.size?.used(now)
            if let current = peer.session.current, activity.counter >= current.keys.cipher.rekeyAfterMessages {
                peer.wantsRekey = true
            }
        }
        for activity in activities where activity.isInward {
            guard let peer = peer(of: activity) else { continue }
            counters.paths.relayedBytesReceived += Int(activity.relayedBytes)
            peer.packetsReceived += Int(activity.packets)
            peer.packetBytesReceived += Int(activity.bytes)
            peer.lastReceivedAt = max(peer.lastReceivedAt ?? .origin, activity.lastAt)
            if let since = peer.unansweredSince, activity.lastAt >= since { peer.unansweredSince = nil }
            if activity.lastAt - (peer.lastSentAt ?? .origin) >= Endpoint.silence { peer.owesConfirmation = true }
        }
        for activity in activities {
            guard let peer = peer(of: activity) else { continue }
            // In the end, when all that was heard is known.
            if !activity.isInward, peer.unansweredSince == nil,
                activity.lastAt - (peer.lastReceivedAt ?? .origin) >= Endpoint.silence
            {
                peer.unansweredSince = activity.lastAt
            }
            mark(peer)
        }
    }

    private static let silence = Interval.milliseconds(900)

    /// What the kernel believes of the way to an address: an IP packet of so many bytes. `peer` where it was asked about
    /// one, else it is about all peers there.
    package mutating func measured(_ peer: Int?, at remote: SocketAddress, mtu: Int) {
        let bytes = max(Endpoint.payload(ofMTU: mtu, to: remote), PathSize.floor)
        let meant = peer.map { $0 < peers.count ? [peers[$0]] : [] } ?? peers
        for peer in meant {
            guard let peer, peer.paths.primary?.remote == remote, peer.size != nil else { continue }
            peer.size?.believe(bytes)
            tellSize(of: peer)
        }
    }
}
