import Base
import Mesh
import Wire

/// The control stream to one peer, as both ends use it: the stream's id, and the messages in it. The agent opens it, and
/// its controller reads the newest one.
struct ControlLink: Sendable {
    let node: NodeID
    let stream: StreamID
    private var channel = MessageChannel()

    /// Bytes taken from or given to the endpoint at once.
    private static let piece = 256 << 10

    init(node: NodeID, stream: StreamID) {
        self.node = node
        self.stream = stream
    }

    /// Frames that held no readable message, since this link is up.
    var unreadable: UInt64 { channel.unreadable }

    /// Bytes that were received and make no message yet.
    var pendingBytes: Int { channel.pendingBytes }

    /// The peer has broken the stream's framing: nothing more is read.
    var isBroken: Bool { channel.isBroken }

    /// What a read has brought.
    enum Input: Hashable {
        case nothing
        case bytes
        /// The peer has finished the stream. Bytes may have come with that.
        case end
    }

    /// Reads once; `nextMessage` has what came.
    mutating func read(
        from endpoint: inout Endpoint, limit: Int = ControlLink.piece, into out: inout MeshOutbox
    ) -> Input {
        let result = endpoint.read(stream, of: node, limit: min(channel.room, limit), into: &out)
        channel.receive(result.bytes)
        if result.isFinished { return .end }
        return result.bytes.isEmpty ? .nothing : .bytes
    }

    mutating func nextMessage() -> ControlMessage? { channel.nextMessage() }

    /// All messages that have come. `isOver`: the peer has finished the stream, or broken its framing.
    mutating func receive(
        from endpoint: inout Endpoint, into out: inout MeshOutbox
    ) -> (messages: [ControlMessage], isOver: Bool) {
        var messages: [ControlMessage] = []
        while true {
            let input = read(from: &endpoint, into: &out)
            while let message = nextMessage() { messages.append(message) }
            if input == .end || isBroken { return (messages, true) }
            if input == .nothing { return (messages, false) }
        }
    }

    /// Queues a message; false where too much waits already.
    mutating func send(_ message: ControlMessage, to endpoint: inout Endpoint) -> Bool {
        guard channel.send(message) else { return false }
        write(to: &endpoint)
        return true
    }

    /// Writes to the stream as much as it accepts.
    mutating func write(to endpoint: inout Endpoint) {
        while channel.hasUnsent {
            let count = endpoint.write(channel.unsent(limit: ControlLink.piece), to: stream, of: node)
            guard count > 0 else { return }
            channel.taken(count)
        }
    }
}
