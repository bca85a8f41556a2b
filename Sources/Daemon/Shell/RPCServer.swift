import Base
package import Control
package import EventLoop

/// # The local socket
///
/// A unix stream socket on which a program answers JSON-RPC 2.0, one document per line. The CLI uses it. A connection
/// may send many calls without waiting; answers come in the order in which they are ready, and carry the call's id. A user
/// who may open the socket may make any request, so its mode is 0600: the owner, and root.
///
/// Everything is bounded: a line, the calls of one connection that wait for an answer, the connections.
package final class RPCServer<Request: JSONRPCRequest, Reply: Encodable & Sendable> {
    package typealias Answer = (Result<Reply, APIError>) -> Void

    private let listener: Listener
    private var connections: [ObjectIdentifier: Connection] = [:]
    private let onCall: (Request, @escaping Answer) -> Void
    /// Checks the caller of a request; an error refuses it. Without it, a user who may open the socket may make any request.
    package var mayAsk: ((Request, ByteStream.Credentials?) -> APIError?)?

    /// `onCall` is given each call, and a closure to answer it with, once; an answer that comes after the connection has
    /// ended is dropped.
    package init(
        on loop: Loop, path: String, onCall: @escaping (Request, @escaping Answer) -> Void
    ) throws(Errno) {
        self.onCall = onCall
        let me = Weak<RPCServer>()
        listener = try Listener(on: loop, "local socket", unix: path, mode: 0o600) { me.object?.accept($0) }
        listener.connectionLimit = 256
        me.object = self
    }

    /// Stops answering and removes the socket's file.
    package func close() {
        listener.close()
        for connection in connections.values { connection.stream.close() }
        connections = [:]
    }

    private final class Connection {
        let stream: ByteStream
        var buffer: [UInt8] = []
        /// Where the search for the end of a line continues.
        var searched = 0
        var waiting = 0
        var hasEnded = false

        init(_ stream: ByteStream) { self.stream = stream }
    }

    private func accept(_ stream: ByteStream) {
        let connection = Connection(stream)
        connections[ObjectIdentifier(connection)] = connection
        stream.start(
            onRead: { [weak self, weak connection] bytes in
                if let connection { self?.received(bytes, on: connection) }
            },
            onEnd: { [weak self, weak connection] end in
                if let connection { self?.ended(connection, end) }
            })
    }

    private func received(_ bytes: [UInt8], on connection: Connection) {
        connection.buffer += bytes
        var start = 0
        while let end = connection.buffer[max(start, connection.searched)...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = Array(connection.buffer[start..<end])
            start = end + 1
            if !line.allSatisfy({ $0 == 0x20 || $0 == 0x0d }) { handle(line, on: connection) }
        }
        connection.buffer.removeSubrange(..<start)
        connection.searched = connection.buffer.count
        if connection.buffer.count > JSONRPC.maxLineBytes {
            send(.unreadable, on: connection)
            drop(connection)
        }
    }

    /// The far end will send no more; it may still wait for answers.
    private func ended(_ connection: Connection, _ end: ByteStream.End) {
        connection.hasEnded = true
        if connection.waiting == 0 || end != .endOfStream { drop(connection) }
    }

    private func drop(_ connection: Connection) {
        connection.stream.shutdown()
        connections[ObjectIdentifier(connection)] = nil
    }

    private func handle(_ line: [UInt8], on connection: Connection) {
        guard let call = StrictJSON.call(Request.self, from: line) else {
            return send(.unreadable, on: connection)
        }
        guard let id = call.id else { return }
        switch call.request {
        case .failure(let error): send(JSONRPCReply(id: id, .failure(error)), on: connection)
        case .success(let request):
            if let error = mayAsk?(request, connection.stream.peerCredentials) {
                return send(JSONRPCReply(id: id, .failure(JSONRPCError(error))), on: connection)
            }
            guard connection.waiting < RPC.waitingLimit else {
                let error = APIError(.limit, "\(RPC.waitingLimit) calls of this connection wait for an answer")
                return send(JSONRPCReply(id: id, .failure(JSONRPCError(error))), on: connection)
            }
            connection.waiting += 1
            var isAnswered = false
            onCall(request) { [weak self, weak connection] result in
                guard let self, let connection, !isAnswered else { return }
                isAnswered = true
                connection.waiting -= 1
                send(JSONRPCReply(id: id, result.mapError { JSONRPCError($0) }), on: connection)
                if connection.hasEnded, connection.waiting == 0 { drop(connection) }
            }
        }
    }

    private func send(_ reply: JSONRPCReply<Reply>, on connection: Connection) {
        let line = StrictJSON.encode(reply)
        // A client that is more than 16 MiB behind has stopped reading.
        if !connection.stream.write(line + [UInt8(ascii: "\n")]) { drop(connection) }
    }
}

private enum RPC {
    static let waitingLimit = 64
}
