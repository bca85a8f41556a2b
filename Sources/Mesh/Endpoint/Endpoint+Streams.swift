package import Base
import Noise
package import Wire

// What the layer above calls about peers, messages and streams.

extension Endpoint {
    // MARK: - Peers

    /// Requests a session with `node`, to be tried at `addresses`. Reports `connected` or `connectFailed` in the end. A
    /// repeated request, or one for an existing session, only adds addresses.
    package mutating func connect(
        to node: NodeID, at addresses: [SocketAddress], through places: [RelayedAddress] = [], now: Instant,
        into out: inout MeshOutbox
    ) {
        connect(to: node, at: addresses.map { PathAddress($0) }, through: places, now: now, into: &out)
    }

    /// The same, where the node may be reached over TCP too.
    package mutating func connect(
        to node: NodeID, at paths: [PathAddress], through places: [RelayedAddress] = [], now: Instant,
        into out: inout MeshOutbox
    ) {
        precondition(node != nodeID, "a session with oneself")
        let known = sessions.peer(of: node, at: paths, now: now) { traversal.added($0, now: now) }
        guard let peer = known else {
            out.events.append(.connectFailed(node, .tooManySessions))
            return
        }
        peer.paths.add(paths)
        if !places.isEmpty { traversal.reach(peer, through: places, peers: &sessions.peers, now: now) }
        peer.requestSession(now: now)
        sessions.peers.mark(peer)
    }

    /// Ends the session and informs the peer.
    package mutating func disconnect(_ node: NodeID, now: Instant, into out: inout MeshOutbox) {
        guard let peer = sessions.peers[node] else { return }
        end(peer, .local, closing: .goodbye, now: now, into: &out)
    }

    package func isConnected(_ node: NodeID) -> Bool { sessions.peers[node]?.isConnected ?? false }
    package func certificate(of node: NodeID) -> Certificate? { sessions.peers[node]?.certificate }
    /// The address from which the peer was last received, or at which it is tried.
    package func address(of node: NodeID) -> SocketAddress? {
        sessions.peers[node]?.paths.primary.flatMap { $0.isDirect ? $0.remote : nil }
    }

    /// The peer, marked for the next `flush`, if there is a session with it.
    private mutating func connectedPeer(_ node: NodeID) -> Peer? {
        guard let peer = sessions.peers[node], peer.isConnected else { return nil }
        sessions.peers.mark(peer)
        return peer
    }

    // MARK: - Messages

    /// An unreliable message of at most `Limits.messageBytes`. With `expectsReply` the peer is expected to answer soon, and
    /// a silence counts against the session. False without a session.
    @discardableResult
    package mutating func send(_ message: [UInt8], to node: NodeID, expectsReply: Bool = false, now: Instant) -> Bool {
        precondition(message.count <= Limits.messageBytes, "a message of \(message.count) bytes")
        guard let peer = connectedPeer(node) else {
            counters.drop(.notConnected)
            return false
        }
        peer.frames.append(.message(message))
        if expectsReply { peer.expectAnswer(now: now) }
        return true
    }

    /// Asks the peer for an answer; `pong` brings the round-trip time.
    package mutating func ping(_ node: NodeID, token: UInt64, now: Instant) -> Bool {
        guard let peer = connectedPeer(node) else { return false }
        peer.frames.pingSent(token, now: now)
        peer.frames.append(.ping(token: token))
        return true
    }

    /// As `ping(_:token:now:)`, on all of these paths, independent of the path of data; the first answer counts.
    package mutating func ping(_ node: NodeID, token: UInt64, by paths: [PathAddress], now: Instant) -> Bool {
        guard let peer = connectedPeer(node) else { return false }
        peer.frames.pingSent(token, now: now)
        // Like answers, they are sent on the given path.
        for path in paths { peer.frames.reply(.ping(token: token), by: path) }
        return true
    }

    // MARK: - Streams

    /// A new stream to the peer; `nil` without a session, or while the peer allows no more.
    package mutating func openStream(to node: NodeID) -> StreamID? { connectedPeer(node)?.streams.open() }

    /// Returns how many of `bytes` were accepted; the rest may be written after `writable`.
    package mutating func write(_ bytes: some Collection<UInt8>, to stream: StreamID, of node: NodeID) -> Int {
        connectedPeer(node)?.streams.write(bytes, to: stream) ?? 0
    }

    /// Nothing more will be written.
    package mutating func finish(_ stream: StreamID, of node: NodeID) { connectedPeer(node)?.streams.finish(stream) }

    package mutating func read(
        _ stream: StreamID, of node: NodeID, limit: Int = .max, into out: inout MeshOutbox
    ) -> ReadResult {
        var events: [StreamEvent] = []
        let result = connectedPeer(node)?.streams.read(stream, limit: limit, into: &events)
        out.append(events, of: node)
        return result ?? ReadResult(bytes: [], isFinished: false)
    }

    /// Gives up both directions of a stream.
    package mutating func reset(_ stream: StreamID, of node: NodeID, code: UInt64, into out: inout MeshOutbox) {
        guard let peer = connectedPeer(node) else { return }
        var events: [StreamEvent] = []
        peer.streams.reset(stream, code: code)
        peer.streams.stop(stream, code: code, into: &events)
        out.append(events, of: node)
    }
}
