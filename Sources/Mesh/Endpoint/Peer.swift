import Base
import Noise
import Wire

/// One peer: its session, its paths and its streams, side by side. None of the three knows the others; `Endpoint` moves
/// bytes between them.
final class Peer {
    let node: NodeID
    let slot: Int
    let createdAt: Instant
    /// This end's number for what the two know of each other; see `HandshakePayload`.
    let association: UInt64
    var remoteAssociation: UInt64?
    var certificate: Certificate?
    let session = Session()
    var paths: PathSet
    var streams: StreamMux
    var cookies: CookieJar
    /// `connected` was said, and neither `disconnected` nor `connectFailed` since.
    var isConnected = false
    /// This node asked for the session.
    var isWanted = false
    /// When this node asked, or asked again.
    var wantedAt: Instant?
    /// Since when something is under way that the peer should answer.
    var unansweredSince: Instant?
    /// Handshakes made because nothing was heard, since the peer was last heard for a while.
    var vainHandshakes = 0
    var lastSentAt: Instant? { didSet { isResting = false } }
    var lastReceivedAt: Instant? { didSet { isResting = false } }
    /// Nothing is said for a while; see `Endpoint+Rest.swift`.
    var isResting = false
    /// Something arrived that wants an answer, and `flush` is to look at this peer.
    var isDirty = false
    /// An empty datagram is owed, to confirm new keys.
    var owesConfirmation = false
    /// Frames of the mesh that go out with the next `flush`.
    var frames: [MeshFrame] = []
    /// Answers that go back the way the questions came.
    private(set) var replies: [(frame: MeshFrame, path: PathAddress)] = []
    /// Of this node's candidates that were offered last; 0: none yet.
    var candidatesNumber: UInt64 = 0
    var candidatesHeard = false
    var candidateOffers = 0
    var candidatesAt: Instant?
    /// Of the peer's candidates that were heard last.
    var remoteCandidatesNumber: UInt64 = 0
    var natMapping = NATMapping.unknown
    /// The peer's legs at relays.
    var relayPlaces: [RelayPlace] = []
    /// When to guess ports, if nothing else has helped until then; and when that was done last.
    var guessAt: Instant?
    var guessedAt: Instant?
    /// How often since its candidates came.
    var guessRound = 0
    /// Candidates were shot at, and nothing has come of it yet.
    var trial: PunchTrial?
    /// Sockets beside the first that lead to this peer.
    var sockets: [UInt16] = []
    /// The paths that the data plane was told last.
    var toldPath: (primary: PathAddress, second: PathAddress?)?
    var toldBytes = 0
    var pings: [(token: UInt64, sentAt: Instant)] = []
    var bytesReceived = 0
    var bytesSent = 0
    /// Of the data plane.
    var packetsReceived = 0
    var packetsSent = 0
    var packetBytesReceived = 0
    var packetBytesSent = 0
    /// How large a datagram the present path carries; with a data plane.
    var size: PathSize?
    /// When the keys that the data plane seals with are too old.
    var routeExpiresAt: Instant?
    /// The data plane has used up its keys.
    var wantsRekey = false

    static let framesLimit = 256
    static let repliesLimit = 64
    static let pingsLimit = 64

    init(node: NodeID, slot: Int, association: UInt64, paths: PathSet, streams: StreamMux, now: Instant) {
        self.node = node
        self.slot = slot
        self.association = association
        self.paths = paths
        self.streams = streams
        cookies = CookieJar(responder: node)
        createdAt = now
    }

    /// When something was said last, by either.
    var lastWordAt: Instant? {
        guard let sent = lastSentAt, let received = lastReceivedAt else { return lastSentAt ?? lastReceivedAt }
        return max(sent, received)
    }

    /// Something was said within a minute.
    func isRecent(_ now: Instant) -> Bool { now - (lastWordAt ?? .origin) < .minutes(1) }

    func reply(_ frame: MeshFrame, by path: PathAddress) {
        if replies.count < Peer.repliesLimit { replies.append((frame, path)) }
    }

    func takeReplies() -> [(frame: MeshFrame, path: PathAddress)] {
        defer { replies = [] }
        return replies
    }

    /// Older frames are worth less than newer ones: a heartbeat replaces its predecessor.
    func enqueue(_ frame: MeshFrame) {
        if frames.count >= Peer.framesLimit { frames.removeFirst() }
        frames.append(frame)
    }
}
