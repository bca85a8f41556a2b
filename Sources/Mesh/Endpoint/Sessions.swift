import Base
import Noise
import Wire

/// # Sessions with peers, from the first message of a handshake to the end
///
/// Connects `Handshaker`, which makes and reads messages, to the peers. A session begins when both ends have shown that they
/// hold its keys. It gets new keys when the current ones are old, when the peer does not answer, or on request. It ends when
/// one end closes it, when nothing is received for too long, or when its keys are too old.
///
/// Other work at the begin or end of a session is not done here: methods return a `Change` for `Endpoint`.
struct Sessions: ~Copyable {
    enum Change {
        case began(Peer, at: PathAddress)
        /// The session goes on with new keys.
        case renewed(Peer)
        /// The peer is not in the table any more.
        case ended(Peer)
    }

    private let configuration: MeshConfiguration
    private let handshaker: Box<Handshaker>
    var peers = PeerTable()
    /// Peers with a session and without a certificate.
    private var anonymousCount = 0
    /// Goes to the data plane with the next `flush`.
    var dataPlane: DataPlaneUpdates
    /// Certificates are checked against it.
    var wall = UnixTime(milliseconds: 0)

    init(_ configuration: MeshConfiguration, _ handshaker: consuming Handshaker) {
        self.configuration = configuration
        dataPlane = DataPlaneUpdates(configuration)
        if let certificate = handshaker.credentials?.certificate.certificate { dataPlane.adopt(certificate) }
        self.handshaker = Box(handshaker)
    }

    // MARK: - This node

    var nodeID: NodeID { handshaker.value.nodeID }
    var credentials: Credentials? { handshaker.value.credentials }

    mutating func adopt(_ credentials: Credentials) {
        handshaker.value.adopt(credentials)
        dataPlane.adopt(credentials.certificate.certificate)
    }
    mutating func trust(_ authorities: [VerifyingKey]) { handshaker.value.trust(authorities) }
    mutating func pin(_ nodes: [NodeID]) { handshaker.value.pin(nodes) }

    // MARK: - Peers

    /// The peer with that key; `nil` if it is new and there is no room. `added` is to prepare a new one.
    mutating func peer(
        of node: NodeID, at addresses: [PathAddress], now: Instant, added: (Peer) -> Void
    ) -> Peer? {
        if let known = peers[node] { return known }
        guard !peers.isFull else { return nil }
        let streams = newStreams(with: node, now: now)
        let association = handshaker.value.association()
        let peer = peers.insert { slot in
            Peer(
                node: node, slot: slot, association: association, paths: PathSet(addresses), streams: streams,
                now: now)
        }
        added(peer)
        return peer
    }

    private func newStreams(with node: NodeID, now: Instant) -> StreamMux {
        StreamMux(role: nodeID < node ? .lower : .higher, now: now)
    }

    /// The peer and the keys of a receiver index.
    func find(_ index: UInt32) -> (peer: Peer, keypair: Keypair)? {
        guard let peer = handshaker.value.slot(of: index).flatMap({ peers[$0] }),
            let keypair = peer.session.keypair(of: index)
        else { return nil }
        return (peer, keypair)
    }

    // MARK: - Initiator

    private mutating func startHandshake(with peer: Peer, counters: inout MeshCounters, now: Instant) {
        guard let local = handshaker.value.allocateIndex(for: peer.slot) else { return counters.drop(.tooManySessions) }
        peer.session.initiation = Initiation(index: local, now: now)
        counters.startedHandshake()
    }

    /// A requested peer without keys gets a first message.
    mutating func startIfRequested(
        _ peer: Peer, random: inout Random, counters: inout MeshCounters, now: Instant, into out: inout MeshOutbox
    ) {
        if peer.isRequested, peer.session.current == nil, peer.session.initiation == nil {
            startHandshake(with: peer, counters: &counters, now: now)
        }
        retryIfDue(peer, random: &random, counters: &counters, now: now, into: &out)
    }

    /// Sends a first message, if it is time (a repetition has new ephemerals and does not wait for an answer to the last
    /// one).
    private mutating func retryIfDue(
        _ peer: Peer, random: inout Random, counters: inout MeshCounters, now: Instant, into out: inout MeshOutbox
    ) {
        guard let initiation = peer.session.initiation, initiation.nextAt <= now else { return }
        let targets = peer.paths.targets(attempt: initiation.attempts)
        guard
            let message = handshaker.value.firstMessage(
                to: peer.node, association: peer.association, of: initiation, cookies: &peer.cookies, now: now)
        else {
            peer.session.initiation = nil
            handshaker.value.release(initiation.index)
            return counters.drop(.handshakeFailed)
        }
        for target in targets { out.send(message, to: target, counters: &counters) }
        // Twice the round trip, where one is known: on a slow path, early repetitions fill the queues that cause the delay.
        let patience = max(MeshConfiguration.handshakeRetry, (peer.paths.smoothedRoundTrip ?? .zero) * 2)
        let doubled = patience * Int64(1 << min(initiation.attempts, 10))
        initiation.nextAt = now + random.jittered(min(doubled, MeshConfiguration.handshakeRetryMax), percent: 10)
        initiation.attempts += 1
    }

    /// The peer whose handshake a second message or a cookie answers.
    private func initiator(_ receiver: UInt32) -> (peer: Peer, initiation: Initiation)? {
        guard let peer = handshaker.value.slot(of: receiver).flatMap({ peers[$0] }),
            let initiation = peer.session.initiation,
            initiation.index == receiver
        else { return nil }
        return (peer, initiation)
    }

    mutating func receiveSecond(
        _ datagram: [UInt8], sender: UInt32, receiver: UInt32, from remote: PathAddress, counters: inout MeshCounters,
        now: Instant, into out: inout MeshOutbox
    ) -> Change? {
        guard let (peer, initiation) = initiator(receiver) else {
            counters.drop(.unsolicitedResponse)
            return nil
        }
        let outcome = handshaker.value.readSecond(
            datagram, sender: sender, to: initiation, of: peer.node, now: now, wall: wall)
        if let sentAt = outcome.sentAt { peer.paths.measured(now - sentAt, at: remote) }
        switch outcome.verdict {
        case .dropped(let reason):
            counters.drop(reason)
            return nil
        case .refused(let fault):
            counters.drop(fault.drop)
            out.events.append(
                peer.isConnected
                    ? .disconnected(peer.node, .certificate(fault)) : .connectFailed(peer.node, .certificate(fault)))
            return remove(peer)
        case .completed(let keypair):
            peer.session.initiation = nil
            dataPlane.install(keypair, of: peer, from: remote, isConfirmed: true)
            // The responder may use the keys only after it has seen them used.
            peer.frames.confirm()
            return establish(keypair, with: peer, from: remote, counters: &counters, now: now, into: &out)
        }
    }

    mutating func receiveCookie(
        _ datagram: [UInt8], receiver: UInt32, counters: inout MeshCounters, now: Instant
    ) {
        guard let (peer, initiation) = initiator(receiver) else { return counters.drop(.unsolicitedResponse) }
        let reply = datagram.span.bytes.extracting(droppingFirst: DatagramHeader.cookieSize)
        guard peer.cookies.received(reply: reply, now: now) else { return counters.drop(.badCookie) }
        initiation.nextAt = now
        peers.mark(peer)
    }

    // MARK: - Responder

    mutating func receiveFirst(
        _ datagram: [UInt8], sender: UInt32, from remote: PathAddress, counters: inout MeshCounters, now: Instant,
        added: (Peer) -> Void, into out: inout MeshOutbox
    ) {
        let hasRoom = anonymousCount < Limits.anonymousSessions
        let outcome = handshaker.value.readFirst(
            datagram, sender: sender, from: remote.remote, hasRoom: hasRoom, now: now, wall: wall)
        switch consume outcome {
        case .dropped(let reason): counters.drop(reason)
        case .cookie(let reply):
            counters.drop(.cookieDemanded)
            out.send(reply, to: remote, counters: &counters)
        case .authentic(let request):
            guard let peer = peer(of: request.node, at: [remote], now: now, added: added) else {
                return counters.drop(.tooManySessions)
            }
            answer(request, of: peer, from: remote, counters: &counters, now: now, into: &out)
        }
    }

    private mutating func answer(
        _ request: consuming Handshaker.Request, of peer: Peer, from remote: PathAddress,
        counters: inout MeshCounters, now: Instant, into out: inout MeshOutbox
    ) {
        guard let local = handshaker.value.allocateIndex(for: peer.slot) else { return counters.drop(.tooManySessions) }
        guard
            let (keypair, message) = handshaker.value.answer(
                request, localIndex: local, association: peer.association, now: now)
        else {
            handshaker.value.release(local)
            return counters.drop(.handshakeFailed)
        }
        dataPlane.install(keypair, of: peer, from: remote, isConfirmed: false)
        for displaced in peer.session.answer(keypair) { release(displaced) }
        counters.answeredHandshake()
        out.send(message, to: remote, counters: &counters)
        peers.mark(peer)
    }

    // MARK: - Begin and end

    /// Whether there is room for the session, if the peer has shown that it holds the keys of `keypair`.
    func admits(_ keypair: Keypair, of peer: Peer) -> Bool {
        peer.session.isInUse(keypair) || keypair.hello.certificate != nil || peer.isAnonymous
            || anonymousCount < Limits.anonymousSessions
    }

    /// The peer has sealed with the keys of `keypair`, so it holds them.
    mutating func confirm(
        _ keypair: Keypair, of peer: Peer, from remote: PathAddress, counters: inout MeshCounters, now: Instant,
        into out: inout MeshOutbox
    ) -> Change? {
        if peer.session.isInUse(keypair) { return nil }
        return establish(keypair, with: peer, from: remote, counters: &counters, now: now, into: &out)
    }

    /// `keypair` is what both ends seal with from now on.
    private mutating func establish(
        _ keypair: Keypair, with peer: Peer, from remote: PathAddress, counters: inout MeshCounters, now: Instant,
        into out: inout MeshOutbox
    ) -> Change {
        let isNew = !peer.remembers(keypair)
        if peer.isAnonymous { anonymousCount -= 1 }
        if peer.isConnected, isNew {
            out.events.append(.disconnected(peer.node, .peerForgot))
            peer.reset(newStreams(with: peer.node, now: now))
        }
        for released in peer.session.promote(keypair) { release(released) }
        peer.establish(keypair, at: remote, isNew: isNew, now: now)
        if peer.isAnonymous { anonymousCount += 1 }
        dataPlane.route(keypair, of: peer)
        guard isNew else {
            counters.renewedSession()
            return .renewed(peer)
        }
        counters.establishedSession()
        let session = PeerSession(
            certificate: peer.certificate, handshakeHash: keypair.handshakeHash, address: remote.remote)
        out.events.append(.connected(peer.node, session))
        return .began(peer, at: remote)
    }

    /// Does for one peer what is due.
    mutating func service(
        _ peer: Peer, random: inout Random, counters: inout MeshCounters, now: Instant, into out: inout MeshOutbox
    ) -> Change? {
        for released in peer.session.expire(now, life: MeshConfiguration.rejectAfter) { release(released) }
        if peer.isConnected {
            if let reason = peer.endOfConnection(configuration, now: now) {
                return end(peer, reason, counters: &counters, now: now, into: &out)
            }
            var events: [StreamEvent] = []
            peer.streams.tick(now: now, into: &events)
            out.append(events, of: peer.node)
            if peer.restIfIdle(now: now) { dataPlane.rest(peer) }
        } else if peer.hasGivenUp(now: now) {
            return end(peer, .timeout, counters: &counters, now: now, into: &out)
        }
        if peer.needsHandshake(configuration, now: now) {
            peer.liveness.handshakeStarted()
            startHandshake(with: peer, counters: &counters, now: now)
        }
        retryIfDue(peer, random: &random, counters: &counters, now: now, into: &out)
        peers.mark(peer)
        return nil
    }

    /// Ends any session with `peer` and removes it; reports that if a session was reported, or requested. The peer is
    /// informed if there is a `code`.
    mutating func end(
        _ peer: Peer, _ reason: DisconnectReason, closing code: CloseCode? = nil, counters: inout MeshCounters,
        now: Instant, into out: inout MeshOutbox
    ) -> Change {
        if let code, peer.isConnected { peer.sendClose(code, now: now, counters: &counters, into: &out) }
        if peer.isConnected {
            out.events.append(.disconnected(peer.node, reason))
        } else if peer.isRequested, reason != .local {
            out.events.append(.connectFailed(peer.node, .timeout))
        }
        return remove(peer)
    }

    private mutating func remove(_ peer: Peer) -> Change {
        if peer.isAnonymous { anonymousCount -= 1 }
        for released in peer.session.indices { release(released) }
        dataPlane.append(.unroute(peer: peer.slot))
        peers.remove(peer)
        return .ended(peer)
    }

    /// The index is no longer in use.
    private mutating func release(_ index: UInt32) {
        handshaker.value.release(index)
        dataPlane.append(.remove(index: index))
    }

    // MARK: - The data plane

    /// Traffic that the data plane has seen counts as received and sent.
    ///
    /// A node that only receives sends something periodically, if only an empty datagram. So a peer that gets packets and
    /// sends nothing has lost its keys or cannot be reached. That is detected as for anything else that requires an answer.
    mutating func note(_ activities: [DataPlaneActivity], counters: inout MeshCounters, now: Instant) {
        for activity in activities where !activity.isInward {
            guard let peer = peers[activity.peer] else { continue }
            counters.paths.relayedBytesSent += Int(activity.relayedBytes)
            peer.packetsSent(activity, now: now)
        }
        for activity in activities where activity.isInward {
            guard let peer = peers[activity.peer] else { continue }
            counters.paths.relayedBytesReceived += Int(activity.relayedBytes)
            peer.packetsReceived(activity)
        }
        for activity in activities {
            guard let peer = peers[activity.peer] else { continue }
            // At the end, when all received packets are known.
            if !activity.isInward { peer.liveness.checkAnswer(toPacketsAt: activity.lastAt) }
            peers.mark(peer)
        }
    }

    /// The kernel's path MTU to `remote`, for the peer in `slot`, or for all peers at that address.
    mutating func measured(_ slot: Int?, at remote: SocketAddress, mtu: Int) {
        let meant = slot.map { peers[$0].map { [$0] } ?? [] } ?? Array(peers)
        for peer in meant where peer.paths.primary?.remote == remote && peer.link.measured(mtu: mtu, at: remote) {
            dataPlane.resize(peer)
        }
    }
}

extension Session {
    /// Both ends have shown that they hold these keys.
    fileprivate func isInUse(_ keypair: Keypair) -> Bool { keypair === current || keypair === previous }
}
