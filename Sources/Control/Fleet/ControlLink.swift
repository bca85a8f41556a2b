import Base
import Mesh
import Wire

/// The control stream to one peer: the stream's name, and the messages that it is cut into.
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

    /// All messages that have come. `isOver`: the peer has finished the stream, or broken its framing.
    mutating func receive(
        from endpoint: inout Endpoint, into out: inout MeshOutbox
    ) -> (messages: [ControlMessage], isOver: Bool) {
        var messages: [ControlMessage] = []
        while true {
            let result = endpoint.read(
                stream, of: node, limit: min(channel.room, ControlLink.piece), into: &out)
            channel.receive(result.bytes)
            while let message = channel.nextMessage() { messages.append(message) }
            if result.isFinished || channel.isBroken { return (messages, true) }
            if result.bytes.isEmpty { return (messages, false) }
        }
    }

    /// Queues a message; false where too much waits already.
    mutating func send(_ message: ControlMessage, to endpoint: inout Endpoint) -> Bool {
        guard channel.send(message) else { return false }
        write(to: &endpoint)
        return true
    }

    /// Gives the stream what it takes.
    mutating func write(to endpoint: inout Endpoint) {
        while channel.hasUnsent {
            let count = endpoint.write(channel.unsent(limit: ControlLink.piece), to: stream, of: node)
            guard count > 0 else { return }
            channel.taken(count)
        }
    }
}
