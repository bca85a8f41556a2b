import Base
import Wire

/// Frames of the mesh itself that wait for a datagram to one peer, and pings that wait for their answer.
struct FrameQueue {
    /// Sent with the next `flush`, on the path of data.
    private var frames: [MeshFrame] = []
    /// Sent on the path on which the request came.
    private var replies: [(frame: MeshFrame, path: PathAddress)] = []
    private var pings: [(token: UInt64, sentAt: Instant)] = []
    /// An empty datagram is owed, to confirm new keys or to end a silence.
    private(set) var owesConfirmation = false

    private static let framesLimit = 256
    private static let repliesLimit = 64
    private static let pingsLimit = 64

    /// Older frames are worth less than newer ones: a heartbeat replaces its predecessor.
    mutating func append(_ frame: MeshFrame) {
        if frames.count >= FrameQueue.framesLimit { frames.removeFirst() }
        frames.append(frame)
    }

    mutating func reply(_ frame: MeshFrame, by path: PathAddress) {
        if replies.count < FrameQueue.repliesLimit { replies.append((frame, path)) }
    }

    mutating func takeReplies() -> [(frame: MeshFrame, path: PathAddress)] {
        guard !replies.isEmpty else { return [] }
        defer { replies = [] }
        return replies
    }

    mutating func confirm() { owesConfirmation = true }
    mutating func confirmed() { owesConfirmation = false }

    /// Takes as many frames as fit into a plaintext of `limit` bytes. True if the peer should answer one of them.
    mutating func take(limit: Int, into writer: inout ByteWriter) -> Bool {
        var expectsReply = false
        while let frame = frames.first {
            var one = ByteWriter()
            frame.write(to: &one)
            guard writer.count + one.count + 9 <= limit else { break }
            writer.append(one.bytes)
            frames.removeFirst()
            if frame.expectsReply { expectsReply = true }
        }
        return expectsReply
    }

    // MARK: - Pings

    /// A ping with that token is sent.
    mutating func pingSent(_ token: UInt64, now: Instant) {
        if pings.count >= FrameQueue.pingsLimit { pings.removeFirst() }
        pings.append((token, now))
    }

    /// The round trip of the ping with that token; `nil` if there was none, or it was answered before.
    mutating func pingAnswered(_ token: UInt64, now: Instant) -> Interval? {
        guard let position = pings.firstIndex(where: { $0.token == token }) else { return nil }
        return now - pings.remove(at: position).sentAt
    }

    // MARK: - Memory

    /// The peer has lost all requests of this node.
    mutating func reset() {
        frames = []
        pings = []
    }

    /// Frees the memory of empty queues.
    mutating func rest() {
        if frames.isEmpty { frames = [] }
        if pings.isEmpty { pings = [] }
    }
}

extension MeshFrame {
    /// Whether a healthy peer sends an answer to it at once. A heartbeat is answered, an answer is not, and the
    /// mesh cannot distinguish one message from the other; the layer above distinguishes them by their destination.
    fileprivate var expectsReply: Bool {
        switch self {
        case .ping, .allocationRequest: true
        case .pong, .message, .close, .allocation, .allocationRefused, .candidates, .candidatesReceived: false
        }
    }
}
