package import Base
package import Noise
import Wire

/// # One node's end of the mesh
///
/// An endpoint moves bytes between parts that do not know each other: `Sessions` (handshakes and keys), `PathSet` (the
/// addresses of one peer), `StreamMux` (reliable streams), `Traversal` (candidates, relays, hole punching), `Relay` (this
/// node as a relay), the data plane, and the layer above. It does no I/O: datagrams come in with a time, datagrams and events
/// go out into the caller's outbox, and `deadline` is when to call `tick`.
///
/// - `Endpoint+Receive.swift` is the receiving path of a datagram, in order, to the last frame.
/// - `Endpoint+Send.swift` is the sending path.
/// - `Endpoint+Streams.swift` is what the layer above calls about peers and their streams.
/// - `Endpoint+DataPlane.swift` is what the data plane reports.
/// - `Endpoint+Traversal.swift` is what the layer above calls about addresses, relays and paths.
///
/// A peer is known by its static key. Sessions are made on demand (`connect`) or by answering. A session without answers
/// makes new keys, since the peer may have lost its own in a crash; without answers after that it ends.
package struct Endpoint: ~Copyable {
    let configuration: MeshConfiguration
    var sessions: Sessions
    var traversal: Traversal
    /// Has no allocations unless the node is a beacon.
    let relay: Box<Relay>
    var probes: ProbeBudget
    /// For jitter and port prediction; keys have their own generator.
    var random: Random
    package internal(set) var counters = MeshCounters()
    /// When the driver last called.
    private var lastEntry: Instant

    package init(
        identity: consuming Identity, credentials: Credentials?, configuration: MeshConfiguration, seed: Seed,
        now: Instant
    ) {
        var generator = KeyGenerator(seed)
        let node = identity.nodeID
        let checker = CookieChecker(responder: node, using: &generator, now: now)
        random = Random(Seed(generator.uint64(), generator.uint64(), generator.uint64(), generator.uint64()))
        relay = Box(Relay(using: &generator, bytesPerSecond: MeshConfiguration.relayBytesPerSecond, now: now))
        probes = ProbeBudget(
            perSecond: MeshConfiguration.probesPerSecond, firstToken: generator.uint64(), now: now)
        let handshaker = Handshaker(
            identity: identity, credentials: credentials, configuration: configuration, checker: checker,
            generator: generator)
        sessions = Sessions(configuration, handshaker)
        traversal = Traversal(node: node)
        lastEntry = now
        self.configuration = configuration
    }

    // MARK: - This node

    package var nodeID: NodeID { sessions.nodeID }
    package var credentials: Credentials? { sessions.credentials }

    /// All figures with their names, a relay's own among them, in a fixed order.
    package var figures: [(name: String, count: Int)] { counters.all + (isBeacon ? relay.value.counters : []) }

    /// Whether this node carries datagrams for others.
    var isBeacon: Bool { credentials?.certificate.certificate.roles.contains(.beacon) ?? false }

    /// Takes new credentials. Sessions go on; the next handshake with each peer shows the new certificate.
    package mutating func adopt(_ credentials: Credentials) { sessions.adopt(credentials) }

    /// Until there are credentials, these authorities are trusted: those that a token names.
    package mutating func trust(_ authorities: [VerifyingKey]) { sessions.trust(authorities) }

    /// The fleet's controllers, whose keys this node knows: their certificates are accepted without a check of the date.
    package mutating func pin(_ nodes: [NodeID]) { sessions.pin(nodes) }

    /// Makes new keys with every peer, so that all see this node's current certificate.
    package mutating func rekeyAll() {
        for peer in sessions.peers where peer.isConnected {
            peer.rekey()
            sessions.peers.mark(peer)
        }
    }

    // MARK: - Time

    /// The driver calls. If it calls late, and has not called since the deadline, this machine or this process was suspended.
    /// Then unanswered probes were perhaps not received.
    mutating func enter(_ now: Instant, wall: UnixTime) {
        sessions.wall = wall
        defer { lastEntry = now }
        guard let due = sessions.peers.earliest() else { return }
        let late = now - max(due, lastEntry)
        guard late >= Endpoint.lateness else { return }
        for peer in sessions.peers { peer.paths.slept(late) }
    }

    private static let lateness = Interval.milliseconds(100)

    /// The next time at which `tick` has something to do.
    package var deadline: Deadline? {
        mutating get {
            Deadline.earliest(
                sessions.peers.earliest().map { Deadline($0, "mesh: keys, retries, probes and streams") },
                traversal.relays.deadline.map { Deadline($0, "mesh: relays") })
        }
    }

    /// Does what is due.
    package mutating func tick(now: Instant, wall: UnixTime, into out: inout MeshOutbox) {
        enter(now, wall: wall)
        serviceRelays(now: now, into: &out)
        while let peer = sessions.peers.popDue(now) {
            apply(sessions.service(peer, random: &random, counters: &counters, now: now, into: &out), now: now)
        }
        flush(now: now, into: &out)
    }

    // MARK: - Sessions

    /// A session has begun or ended: informs the parts other than `Sessions`.
    mutating func apply(_ change: Sessions.Change?, now: Instant) {
        switch change {
        case nil, .renewed: break
        case .began(let peer, let path):
            relay.value.release(peer.node)
            traversal.connected(peer, at: path, peers: &sessions.peers, now: now)
        case .ended(let peer):
            relay.value.release(peer.node)
            traversal.removed(peer, peers: &sessions.peers, now: now)
        }
    }

    mutating func end(
        _ peer: Peer, _ reason: DisconnectReason, closing code: CloseCode?, now: Instant, into out: inout MeshOutbox
    ) {
        apply(sessions.end(peer, reason, closing: code, counters: &counters, now: now, into: &out), now: now)
    }
}
