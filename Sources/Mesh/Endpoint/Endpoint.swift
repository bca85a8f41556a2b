package import Base
package import Noise
package import Wire

/// # One node's end of the mesh
///
/// An endpoint holds sessions with peers and moves bytes between four parts that do not know each other: `Session`
/// (keys), `PathSet` (addresses), `StreamMux` (reliable streams) and the layer above. It does no I/O: datagrams come in
/// with a time, datagrams and events go out into the caller's outbox, and `deadline` says when to call `tick`.
///
/// - `Endpoint+Receive.swift` is the road of a datagram inwards, in order.
/// - `Endpoint+Handshake.swift` makes and answers handshakes.
/// - `Endpoint+Send.swift` is the road outwards.
/// - `Endpoint+Streams.swift` is what the layer above calls.
///
/// A peer is known by its static key. Sessions are made on demand (`connect`) or by answering. A session that goes
/// unanswered makes new keys, since the peer may have lost its own in a crash; one that stays so ends.
package struct Endpoint: ~Copyable {
    let identity: Identity
    /// Noise_IK_25519_ChaChaPoly_BLAKE2b.
    let handshake = ProtocolName(.ik, CipherSuite(.chaChaPoly, .blake2b))
    package private(set) var credentials: Credentials?
    var configuration: MeshConfiguration
    var generator: KeyGenerator
    var random: Random
    var peers: [Peer?] = []
    var freeSlots: [Int] = []
    var slotOfNode = Table<NodeID, Int>()
    var index = SessionIndex()
    var gate = HandshakeGate()
    var checker: CookieChecker
    var timers = TimerQueue()
    /// Slots that `flush` is to look at.
    var dirty: [Int] = []
    var anonymousCount = 0
    /// Set before an entry point calls anything; certificates are checked against it.
    var wall = UnixTime(milliseconds: 0)
    package internal(set) var counters = MeshCounters()
    /// All figures with their names, a relay's own among them, in a fixed order.
    package var figures: [(name: String, count: Int)] { counters.all + (isBeacon ? relay.counters : []) }
    /// Goes to the data plane with the next `flush`.
    var dataPlaneChanges: [DataPlaneChange] = []
    /// Has no legs unless the node is a beacon.
    var relay: Relay
    var relayClients: [RelayClient] = []
    /// Relays that the controller has named as well, best first.
    var spareRelays: [ControllerAddress] = []
    var relaysSuspectedAt = Instant.origin
    /// Probes over all peers: whoever talks to ten thousand at once must not flood its own line, nor the table of the
    /// translator that it is behind (EasyTier#1504, tailscale#5389).
    var probeBudget: TokenBucket
    /// Probes of sizes, which come in dozens, have as much, so that they do not take the place of those that find out whether a
    /// path is alive.
    var sizeBudget: TokenBucket
    /// Tokens of probes count on from here; they travel sealed, so nobody can guess them.
    var probeTokens: UInt64
    /// When the driver came by last.
    private var lastEntry: Instant
    /// What this node knows of itself; see `Endpoint+Paths.swift`.
    var ownAddresses: [SocketAddress] = []
    var reflexive: [(beacon: NodeID, address: SocketAddress)] = []
    /// Ports that gateways keep open for this node.
    var mappedAddresses: [SocketAddress] = []
    var candidatesNumber: UInt64 = 1
    /// Sites to which no direct way was found.
    var hopeless = SiteMemo()
    /// With whom ports are being guessed: one peer at a time.
    var guess: (slot: Int, guess: PortGuess)?
    var guessSockets: UInt16 = 1
    /// Go to the driver with the next `flush`.
    var closedSockets: [UInt16] = []
    var hasNewCandidates = false
    /// Peers with which only relays are used; see `Endpoint+Debug.swift`.
    var relayOnly: [NodeID] = []

    package init(
        identity: consuming Identity, credentials: Credentials?, configuration: MeshConfiguration, seed: Seed,
        now: Instant
    ) {
        var generator = KeyGenerator(seed)
        checker = CookieChecker(responder: identity.nodeID, using: &generator, now: now)
        random = Random(Seed(generator.uint64(), generator.uint64(), generator.uint64(), generator.uint64()))
        relay = Relay(using: &generator, bytesPerSecond: configuration.relayBytesPerSecond, now: now)
        probeBudget = TokenBucket(
            perSecond: configuration.probesPerSecond, burst: configuration.probesPerSecond, now: now)
        sizeBudget = TokenBucket(
            perSecond: configuration.probesPerSecond, burst: configuration.probesPerSecond, now: now)
        probeTokens = generator.uint64()
        lastEntry = now
        self.generator = generator
        self.identity = identity
        self.credentials = credentials
        self.configuration = configuration
        tellLocal()
    }

    package var nodeID: NodeID { identity.nodeID }

    /// Takes new credentials. Sessions go on; the next handshake with each peer shows the new certificate.
    package mutating func adopt(_ credentials: Credentials) {
        self.credentials = credentials
        tellLocal()
    }

    /// Whether this node carries datagrams for others.
    var isBeacon: Bool { credentials?.certificate.certificate.roles.contains(.beacon) ?? false }

    /// Until there are credentials, these authorities are believed: those that a token names.
    package mutating func trust(_ authorities: [VerifyingKey]) { configuration.authorities = authorities }

    /// The fleet's controllers, whose keys this node knows: their certificates are believed without a date.
    package mutating func pin(_ nodes: [NodeID]) { configuration.pinned = nodes }

    /// New keys with every peer, and so a look at this node's present certificate.
    package mutating func rekeyAll(now: Instant) {
        for case let peer? in peers where peer.isConnected {
            peer.wantsRekey = true
            mark(peer)
        }
    }

    /// The driver comes by. If it comes late, and did not meanwhile, this machine or this process stood still, and what
    /// was not answered was perhaps not heard.
    mutating func enter(_ now: Instant) {
        defer { lastEntry = now }
        guard let due = timers.earliest() else { return }
        let late = now - max(due, lastEntry)
        guard late >= Endpoint.lateness else { return }
        for peer in peers { peer?.paths.slept(late) }
    }

    private static let lateness = Interval.milliseconds(100)

    /// The next time at which `tick` has something to do.
    package var deadline: Deadline? {
        mutating get {
            Deadline.earliest(
                timers.earliest().map { Deadline($0, "mesh: keys, retries, probes and streams") },
                relayClients.map(\.deadline).min().map { Deadline($0, "mesh: relays") })
        }
    }

    /// Does what is due.
    package mutating func tick(now: Instant, wall: UnixTime, into out: inout MeshOutbox) {
        self.wall = wall
        enter(now)
        serviceRelays(now: now, into: &out)
        while let slot = timers.popDue(now) {
            guard let peer = peers[slot] else { continue }
            service(peer, now: now, into: &out)
        }
        flush(now: now, into: &out)
    }

    /// Everything that time brings to one peer.
    private mutating func service(_ peer: Peer, now: Instant, into out: inout MeshOutbox) {
        for released in peer.session.expire(now, life: configuration.rejectAfter) { release(released) }
        if peer.isConnected {
            if let reason = endOfConnection(peer, now) {
                end(peer, reason, closing: nil, now: now, into: &out)
                return
            }
            tickStreams(of: peer, now: now, into: &out)
            restIfQuiet(peer, now: now)
        } else if isHopeless(peer, now) {
            end(peer, .timeout, closing: nil, now: now, into: &out)
            return
        }
        if needsHandshake(peer, now) {
            if peer.unansweredSince != nil { peer.vainHandshakes += 1 }
            startHandshake(with: peer, now: now, into: &out)
        }
        if let initiation = peer.session.initiation, initiation.nextAt <= now {
            retry(initiation, with: peer, now: now, into: &out)
        }
        mark(peer)
    }

    private func endOfConnection(_ peer: Peer, _ now: Instant) -> DisconnectReason? {
        if peer.certificate == nil, now - peer.createdAt >= Limits.anonymousSessionLife, !peer.isWanted {
            return .anonymousExpired
        }
        if let since = peer.unansweredSince, now - since >= configuration.unansweredBeforeTimeout { return .timeout }
        if peer.session.current != nil || peer.session.previous != nil { return nil }
        guard let initiation = peer.session.initiation else { return .idle }
        return now - initiation.startedAt >= configuration.connectTimeout ? .idle : nil
    }

    /// No session, and no more reason to wait for one.
    private func isHopeless(_ peer: Peer, _ now: Instant) -> Bool {
        if let wantedAt = peer.wantedAt { return now - wantedAt >= configuration.connectTimeout }
        return peer.session.pending.isEmpty && peer.session.initiation == nil
    }

    private func needsHandshake(_ peer: Peer, _ now: Instant) -> Bool {
        guard peer.session.initiation == nil else { return false }
        guard let current = peer.session.current else { return peer.isWanted }
        if let since = peer.unansweredSince, now - since >= patience(with: peer) { return true }
        return rekeyTime(of: peer, current).map { $0 <= now } ?? false
    }

    /// How long an unanswered peer is waited for before new keys are made. New keys help a peer that has lost its own, and
    /// are a burden to one that hears badly, so each time that they did not help the wait is twice as long.
    private func patience(with peer: Peer) -> Interval {
        configuration.unansweredBeforeHandshake * Int64(1 << min(peer.vainHandshakes, 3))
    }

    /// When new keys are due. The responder waits a quarter longer, so that one side makes them, unless that side is
    /// gone; and a session in which nothing was said under the present keys is left to run out.
    private func rekeyTime(of peer: Peer, _ epoch: Epoch) -> Instant? {
        let wait =
            epoch.isInitiator ? configuration.rekeyAfter : configuration.rekeyAfter + configuration.rekeyAfter / 4
        let quiet = epoch.createdAt + Endpoint.confirmationTime
        let isUsed = [peer.lastReceivedAt, peer.lastSentAt].contains { $0.map { $0 > quiet } ?? false }
        if peer.wantsRekey || epoch.keys.wantsRekey { return epoch.createdAt }
        return isUsed ? epoch.createdAt + wait : nil
    }

    /// What is said so soon after new keys may be no more than their confirmation.
    private static let confirmationTime = Interval.seconds(1)

    /// Asks for a look at `peer` by `flush`.
    mutating func mark(_ peer: Peer) {
        guard !peer.isDirty else { return }
        peer.isDirty = true
        dirty.append(peer.slot)
    }

    /// Sets the timer of `peer` to whatever it waits for first.
    mutating func reschedule(_ peer: Peer) {
        var times = [peer.streams.deadline?.at, peer.session.expiry(life: configuration.rejectAfter)].compactMap { $0 }
        if let initiation = peer.session.initiation {
            times.append(initiation.nextAt)
            if peer.session.current == nil, peer.session.previous == nil {
                times.append(initiation.startedAt + configuration.connectTimeout)
            }
        } else if let current = peer.session.current {
            if let time = rekeyTime(of: peer, current) { times.append(time) }
            if let since = peer.unansweredSince { times.append(since + patience(with: peer)) }
        }
        if peer.isConnected {
            if let since = peer.unansweredSince { times.append(since + configuration.unansweredBeforeTimeout) }
            if peer.certificate == nil, !peer.isWanted { times.append(peer.createdAt + Limits.anonymousSessionLife) }
        } else if let wantedAt = peer.wantedAt {
            times.append(wantedAt + configuration.connectTimeout)
        }
        // Without keys or a path nothing can be sent, and what is due must not wake anybody.
        if peer.isConnected, peer.session.current != nil, peer.paths.primary != nil {
            if let time = restTime(of: peer) { times.append(time) }
            if let time = peer.paths.deadline { times.append(time) }
            if let time = peer.candidatesAt { times.append(time) }
            if let time = peer.size?.deadline { times.append(time) }
            if let time = peer.guessAt { times.append(time) }
            if let time = trialEnd(of: peer) { times.append(time) }
            if let guess, guess.slot == peer.slot { times.append(guess.guess.deadline) }
        }
        timers.set(peer.slot, at: times.min())
    }

    /// The peer with that key, made if there is room.
    mutating func peer(of node: NodeID, at addresses: [PathAddress], now: Instant) -> Peer? {
        if let slot = slotOfNode[node] { return peers[slot] }
        guard peers.count - freeSlots.count < Limits.sessions else { return nil }
        let slot = freeSlots.popLast() ?? peers.count
        if slot == peers.count { peers.append(nil) }
        let role: StreamRole = nodeID < node ? .lower : .higher
        let peer = Peer(
            node: node, slot: slot, association: generator.uint64(), paths: PathSet(addresses),
            streams: StreamMux(role: role, limits: configuration.streams, now: now), now: now)
        peers[slot] = peer
        slotOfNode[node] = slot
        peer.paths.needs(configuration.keepAlive, now: now)
        if relayOnly.contains(node) { peer.paths.relayOnly(true, now: now) }
        return peer
    }

    func existingPeer(_ node: NodeID) -> Peer? { slotOfNode[node].flatMap { peers[$0] } }

    /// Ends what there is with `peer` and forgets it; says so above if it had been said to be there.
    mutating func end(
        _ peer: Peer, _ reason: DisconnectReason, closing code: CloseCode?, now: Instant, into out: inout MeshOutbox
    ) {
        if let code, peer.isConnected { sendClose(code, to: peer, now: now, into: &out) }
        if peer.isConnected {
            out.events.append(.disconnected(peer.node, reason))
            if peer.certificate == nil { anonymousCount -= 1 }
        } else if peer.isWanted, reason != .local {
            out.events.append(.connectFailed(peer.node, .timeout))
        }
        forget(peer, now: now)
    }

    mutating func forget(_ peer: Peer, now: Instant) {
        leave(peer, now: now)
        for released in peer.session.indices { release(released) }
        if configuration.hasDataPlane { dataPlaneChanges.append(.unroute(peer: peer.slot)) }
        timers.set(peer.slot, at: nil)
        peers[peer.slot] = nil
        slotOfNode.remove(peer.node)
        freeSlots.append(peer.slot)
    }
}

/// What `asterism peers` shows of one peer.
package struct PeerSummary: Hashable, Sendable {
    package var node: NodeID
    package var name: String?
    package var isConnected: Bool
    package var path: PathAddress?
    package var roundTrip: Interval?
    package var cipher: String?
    /// Age of the keys in use.
    package var keyAge: Interval?
    package var sinceHeard: Interval?
    package var bytesReceived: Int
    package var bytesSent: Int
    package var openStreams: Int
    /// Of the data plane, both ways.
    package var packetsReceived: Int
    package var packetsSent: Int
    package var packetBytesReceived: Int
    package var packetBytesSent: Int
    /// Whether the data plane has keys to seal with for the peer.
    package var hasRoute: Bool
    /// Bytes of UDP payload that the path carries at most; `nil` without a data plane, or without a path.
    package var datagramBytes: Int?
}
