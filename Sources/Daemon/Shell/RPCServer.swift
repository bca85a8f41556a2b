import Base
import Control
package import EventLoop
import FoundationEssentials

/// # The local socket
///
/// A unix stream socket on which a program answers JSON-RPC 2.0, one document a line: what the CLI speaks. A connection
/// may send many requests without waiting; answers come in the order in which they are ready, and carry the request's id.
/// Who may open the socket may ask anything, so its mode is 0600: the owner, and root.
///
/// Everything is bounded: a line, the requests of one connection that wait for an answer, the connections.
package final class RPCServer {
    package static let lineLimit = 1 << 20
    package static let waitingLimit = 64
    package static let connectionLimit = 256

    /// A request as it came; `parameters` is the JSON of `params`, `{}` where there are none.
    package struct Call {
        package var method: String
        package var parameters: [UInt8]
        /// To be called once; a second answer, or one after the connection is gone, goes nowhere.
        package var answer: (RPCAnswer) -> Void
    }

    private let listener: Listener
    private var connections: [ObjectIdentifier: Connection] = [:]
    private let onCall: (Call) -> Void

    package init(
        on loop: Loop, path: String, onCall: @escaping (Call) -> Void
    ) throws(Errno) {
        self.onCall = onCall
        let me = Weak<RPCServer>()
        listener = try Listener(on: loop, "local socket", unix: path, mode: 0o600) { stream in
            me.object?.accept(stream)
        }
        listener.connectionLimit = RPCServer.connectionLimit
        me.object = self
    }

    package func close() {
        listener.close()
        for connection in connections.values { connection.stream.close() }
        connections = [:]
    }

    private func accept(_ stream: ByteStream) {
        let connection = Connection(stream)
        connections[ObjectIdentifier(connection)] = connection
        stream.start(
            onRead: { [weak self, weak connection] bytes in
                if let connection { self?.received(bytes, on: connection) }
            },
            onEnd: { [weak self, weak connection] _ in
                if let connection { self?.ended(connection) }
            })
    }

    private final class Connection {
        let stream: ByteStream
        var buffer: [UInt8] = []
        var waiting = 0
        var hasEnded = false

        init(_ stream: ByteStream) { self.stream = stream }
    }

    private func received(_ bytes: [UInt8], on connection: Connection) {
        connection.buffer += bytes
        while let end = connection.buffer.firstIndex(of: UInt8(ascii: "\n")) {
            let line = Array(connection.buffer[..<end])
            connection.buffer.removeSubrange(...end)
            if !line.allSatisfy({ $0 == 0x20 || $0 == 0x0d }) { handle(line, on: connection) }
        }
        if connection.buffer.count > RPCServer.lineLimit {
            send(.error(code: -32600, message: "a request is longer than \(RPCServer.lineLimit) bytes", data: nil), "null", connection)
            drop(connection)
        }
    }

    /// The far end has said all it will; it may still wait for answers.
    private func ended(_ connection: Connection) {
        connection.hasEnded = true
        if connection.waiting == 0 || connection.stream.end != .endOfStream { drop(connection) }
    }

    private func drop(_ connection: Connection) {
        connection.stream.shutdown()
        connections[ObjectIdentifier(connection)] = nil
    }

    private func handle(_ line: [UInt8], on connection: Connection) {
        let envelope: Envelope
        do { envelope = try JSONDecoder().decode(Envelope.self, from: Data(line)) } catch {
            return send(.error(code: -32700, message: "not a JSON-RPC request: \(brief(error))", data: nil), "null", connection)
        }
        let id = envelope.id?.text ?? "null"
        guard envelope.jsonrpc == "2.0" else {
            return send(.error(code: -32600, message: "'jsonrpc' must be \"2.0\"", data: nil), id, connection)
        }
        guard connection.waiting < RPCServer.waitingLimit else {
            return send(.error(code: -32006, message: "too many requests wait for an answer", data: nil), id, connection)
        }
        connection.waiting += 1
        var isAnswered = false
        let call = Call(method: envelope.method, parameters: envelope.parameters(in: line)) { [weak self, weak connection] answer in
            guard let self, let connection, !isAnswered else { return }
            isAnswered = true
            connection.waiting -= 1
            self.send(answer, id, connection)
            if connection.hasEnded, connection.waiting == 0 { self.drop(connection) }
        }
        onCall(call)
    }

    private func send(_ answer: RPCAnswer, _ id: String, _ connection: Connection) {
        _ = connection.stream.write(answer.line(id: id))
    }
}
