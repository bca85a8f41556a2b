import Base
import Noise
import Wire

/// # One peer: its session, its paths and its streams
///
/// None of the three knows the others; `Endpoint` moves bytes between them. Separate values hold the rest of the peer's
/// state: whether it answers (`Liveness`), what waits to be sent (`FrameQueue`), how it is reached through NATs
/// (`PeerTraversal`), and the data plane's state (`DataLink`).
///
/// - `Peer+Send.swift` makes datagrams.
/// - `Peer+Timing.swift` decides when keys and the session end.
///
/// A peer is a class because its session holds keys, which must not be copied, and because a write to one of a hundred
/// thousand peers in an array must not move the others.
final class Peer {
    let node: NodeID
    let slot: Int
    let createdAt: Instant
    /// This end's number for what the two know of each other; see `HandshakePayload`.
    let association: UInt64
    private var remoteAssociation: UInt64?
    private(set) var certificate: Certificate?
    let session = Session()
    var paths: PathSet
    var streams: StreamMux
    var cookies: CookieJar
    /// `connected` was reported, and neither `disconnected` nor `connectFailed` since.
    private(set) var isConnected = false
    /// This node requested the session.
    private(set) var isRequested = false
    /// When this node requested it last; `nil` while there is a session.
    private(set) var requestedAt: Instant?
    /// The keys are to be renewed, although they are not too old.
    private(set) var needsRekey = false
    /// Set by `PeerTable` alone.
    var isMarked = false
    var liveness = Liveness()
    var frames = FrameQueue()
    var traversal = PeerTraversal()
    var link: DataLink
    private(set) var bytesReceived = 0
    private(set) var bytesSent = 0

    init(node: NodeID, slot: Int, association: UInt64, paths: PathSet, streams: StreamMux, now: Instant) {
        self.node = node
        self.slot = slot
        self.association = association
        self.paths = paths
        self.streams = streams
        cookies = CookieJar(responder: node)
        link = DataLink(slot: slot)
        createdAt = now
    }

    /// There is a session with a node that has no certificate.
    var isAnonymous: Bool { isConnected && certificate == nil }

    // MARK: - Session

    /// This node requests a session with the peer.
    func requestSession(now: Instant) {
        if !isConnected, requestedAt == nil { requestedAt = now }
        isRequested = true
    }

    /// Whether the peer still has the state from before the handshake of `keypair`.
    func remembers(_ keypair: Keypair) -> Bool { isConnected && remoteAssociation == keypair.hello.association }

    /// The peer has lost its state. `streams` replaces the old ones.
    func reset(_ streams: StreamMux) {
        self.streams = streams
        frames.reset()
        traversal.reset()
    }

    /// `keypair` is what both ends seal with from now on. `isNew`: the peer has lost its earlier state.
    func establish(_ keypair: Keypair, at remote: PathAddress, isNew: Bool, now: Instant) {
        needsRekey = false
        remoteAssociation = keypair.hello.association
        certificate = keypair.hello.certificate
        requestedAt = nil
        isConnected = true
        liveness.answered()
        paths.established(at: remote, isNew: isNew, now: now)
    }

    func rekey() { needsRekey = true }

    /// An authentic datagram of so many bytes came by that path, sealed with the keys of `keypair`. `isNewest`: none that was
    /// sent later came before.
    func received(_ count: Int, by path: PathAddress, of keypair: Keypair, isNewest: Bool, now: Instant) {
        paths.noteReceived(from: path, isNewest: isNewest && keypair === session.current, now: now)
        liveness.received(now, keyAge: now - keypair.createdAt)
        bytesReceived += count
    }

    /// What was sent just now asks for an answer.
    func expectAnswer(now: Instant) {
        paths.sent(now: now)
        liveness.expectAnswer(now)
    }

    func sent(_ count: Int, now: Instant) {
        liveness.sent(now)
        bytesSent += count
    }

    // MARK: - Data plane

    /// The data plane has sent packets.
    func packetsSent(_ activity: DataPlaneActivity, now: Instant) {
        link.packetsSent(activity, now: now)
        liveness.packetsSent(activity.lastAt)
        paths.sent(now: now)
        if let current = session.current, activity.counter >= current.keys.cipher.rekeyAfterMessages { rekey() }
    }

    func packetsReceived(_ activity: DataPlaneActivity) {
        link.packetsReceived(activity)
        if liveness.packetsReceived(activity.lastAt) { frames.confirm() }
    }

    // MARK: - Memory

    /// Frees memory if the peer is idle (`Liveness`). True if it rests from now on.
    func restIfIdle(now: Instant) -> Bool {
        guard let time = restAt, time <= now else { return false }
        liveness.rest()
        session.rest()
        paths.rest()
        streams.rest()
        frames.rest()
        return true
    }

    /// When the peer is to rest, if nothing is sent or received until then.
    var restAt: Instant? { isConnected ? liveness.restAt : nil }
}
