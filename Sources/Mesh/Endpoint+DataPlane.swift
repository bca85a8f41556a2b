package import Base
import Noise
import Wire

// What `Endpoint` and the data plane tell each other. The data plane has keys of its own, from the same handshakes, under
// the same indices: an epoch begins and ends for both at once.

extension Endpoint {
    private static let dataPlaneLabel = "asterism data plane"
    /// Bytes of UDP payload that go through Ethernet without a piece being cut off (1500 less 20 or 40, and 8).
    private static let ethernet4 = 1472
    private static let ethernet6 = 1452

    package var carriesPackets: Bool { configuration.hasDataPlane }

    // MARK: - To the data plane

    /// Who this node is in the overlay.
    mutating func tellLocal() {
        guard configuration.hasDataPlane, let certificate = credentials?.certificate.certificate else { return }
        dataPlaneChanges.append(
            .local(
                OverlayLocal(
                    address4: certificate.overlay4 == .any4 ? nil : certificate.overlay4,
                    address6: OverlayAddress.v6(of: nodeID, fleet: certificate.fleet))))
    }

    func dataKeys(_ state: borrowing HandshakeState, _ cipher: Cipher) -> CipherStates? {
        guard configuration.hasDataPlane else { return nil }
        return state.additionalKeys(Endpoint.dataPlaneLabel, for: cipher)
    }

    /// Lets the data plane open what the peer seals with the keys of `epoch`, and keeps the other key until it is used.
    mutating func install(
        _ keys: consuming CipherStates?, _ epoch: Epoch, of peer: Peer, from remote: SocketAddress, isConfirmed: Bool
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
                    address4: certificate.overlay4 == .any4 ? nil : certificate.overlay4,
                    address6: OverlayAddress.v6(of: peer.node, fleet: certificate.fleet),
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
        dataPlaneChanges.append(
            .route(
                TxRoute(
                    peer: peer.slot, remoteIndex: epoch.remoteIndex, key: keys.send.copyKey(),
                    address4: certificate.overlay4 == .any4 ? nil : certificate.overlay4,
                    address6: OverlayAddress.v6(of: peer.node, fleet: certificate.fleet), remote: remote,
                    datagramBytes: datagramBytes(of: peer, at: remote), tracksFlows: !policy.allowsEverything,
                    expiresAt: epoch.createdAt + configuration.rejectAfter)))
    }

    func datagramBytes(of peer: Peer, at remote: SocketAddress) -> Int {
        peer.datagramBytes ?? (remote.ip.isIPv4 ? Endpoint.ethernet4 : Endpoint.ethernet6)
    }

    /// An authentic datagram came from there, newer than all before it.
    mutating func heard(_ peer: Peer, from remote: SocketAddress, now: Instant) {
        guard peer.paths.heard(from: remote, now: now) else { return }
        counters.roams += 1
        guard configuration.hasDataPlane else { return }
        peer.datagramBytes = nil
        dataPlaneChanges.append(.redirect(peer: peer.slot, remote))
        dataPlaneChanges.append(.limit(peer: peer.slot, datagramBytes(of: peer, at: remote)))
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
        case .moved(let index, let remote):
            guard let slot = self.index.peer(of: index), let peer = peers[slot],
                peer.session.current?.localIndex == index
            else { return }
            heard(peer, from: remote, now: now)
            mark(peer)
        // The layer above looks for whoever has the address.
        case .wanted: break
        }
        flush(now: now, into: &out)
    }

    /// Traffic that the data plane has seen counts as hearing and saying. To be told every second or so.
    ///
    /// Whoever only receives says something now and then, if only an empty datagram; so a peer to which packets go and
    /// from which nothing comes has lost its keys, or cannot be reached, and that is found out as for anything else that
    /// wants an answer.
    package mutating func note(_ activities: [DataPlaneActivity], now: Instant) {
        for activity in activities where activity.isInward {
            guard activity.peer < peers.count, let peer = peers[activity.peer] else { continue }
            peer.packetsReceived += Int(activity.packets)
            peer.packetBytesReceived += Int(activity.bytes)
            peer.lastReceivedAt = max(peer.lastReceivedAt ?? .origin, activity.lastAt)
            if let since = peer.unansweredSince, activity.lastAt >= since { peer.unansweredSince = nil }
            let isSilent = !activities.contains { !$0.isInward && $0.peer == activity.peer }
            if isSilent, activity.lastAt - (peer.lastSentAt ?? .origin) >= Endpoint.silence {
                peer.owesConfirmation = true
            }
            mark(peer)
        }
        for activity in activities where !activity.isInward {
            guard activity.peer < peers.count, let peer = peers[activity.peer] else { continue }
            peer.packetsSent += Int(activity.packets)
            peer.packetBytesSent += Int(activity.bytes)
            peer.lastSentAt = max(peer.lastSentAt ?? .origin, activity.lastAt)
            if let current = peer.session.current {
                peer.wantsRekey = activity.counter >= current.keys.cipher.rekeyAfterMessages
            }
            if peer.unansweredSince == nil, activity.lastAt - (peer.lastReceivedAt ?? .origin) >= Endpoint.silence {
                peer.unansweredSince = activity.lastAt
            }
            mark(peer)
        }
    }

    private static let silence = Interval.milliseconds(900)

    /// What the path to an address carries at most has become known: bytes of UDP payload.
    package mutating func limit(_ remote: SocketAddress, datagramBytes: Int, now: Instant) {
        let bytes = max(datagramBytes, Limits.datagramBytes)
        for peer in peers {
            guard let peer, peer.paths.primary == remote, self.datagramBytes(of: peer, at: remote) != bytes else {
                continue
            }
            peer.datagramBytes = bytes
            dataPlaneChanges.append(.limit(peer: peer.slot, bytes))
        }
    }
}
