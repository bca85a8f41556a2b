package import Base
import Noise
package import Wire

// What the layer above calls, and where streams' events come from.

extension Endpoint {
    /// Wants a session with `node`, to be tried at `addresses`. Says `connected` or `connectFailed` in the end; asking
    /// again, or for a session that is there, only adds addresses.
    package mutating func connect(
        to node: NodeID, at addresses: [SocketAddress], through places: [RelayPlace] = [], now: Instant,
        into out: inout MeshOutbox
    ) {
        connect(to: node, at: addresses.map { PathAddress($0) }, through: places, now: now, into: &out)
    }

    /// The same, where the node may be reached over TCP too.
    package mutating func connect(
        to node: NodeID, at paths: [PathAddress], through places: [RelayPlace] = [], now: Instant,
        into out: inout MeshOutbox
    ) {
        precondition(node != nodeID, "a session with oneself")
        guard let peer = peer(of: node, at: paths, now: now) else {
            out.events.append(.connectFailed(node, .tooManySessions))
            return
        }
        peer.paths.add(paths)
        if !places.isEmpty { reach(peer, through: places, now: now) }
        if !peer.isConnected, peer.wantedAt == nil { peer.wantedAt = now }
        peer.isWanted = true
        mark(peer)
    }

    /// Ends the session and says so to the peer.
    package mutating func disconnect(_ node: NodeID, now: Instant, into out: inout MeshOutbox) {
        guard let peer = existingPeer(node) else { return }
        end(peer, .local, closing: .goodbye, now: now, into: &out)
    }

    package func isConnected(_ node: NodeID) -> Bool { existingPeer(node)?.isConnected ?? false }
    package func certificate(of node: NodeID) -> Certificate? { existingPeer(node)?.certificate }
    /// Where the peer was last heard from, or is looked for.
    package func address(of node: NodeID) -> SocketAddress? {
        existingPeer(node)?.paths.primary.flatMap { $0.isDirect ? $0.remote : nil }
    }

    /// An unreliable message of at most `Limits.messageBytes`. With `wantsAnswer` the peer is expected to say something
    /// soon, and a silence counts against the session. False without a session.
    @discardableResult
    package mutating func send(_ message: [UInt8], to node: NodeID, wantsAnswer: Bool = false, now: Instant) -> Bool {
        precondition(message.count <= Limits.messageBytes, "a message of \(message.count) bytes")
        guard let peer = existingPeer(node), peer.isConnected else {
            counters.drop(.notConnected)
            return false
        }
        peer.enqueue(.message(message))
        if wantsAnswer {
            peer.paths.sent(now: now)
            if peer.unansweredSince == nil { peer.unansweredSince = now }
        }
        mark(peer)
        return true
    }

    /// Asks the peer for an answer; `pong` brings the time it took.
    package mutating func ping(_ node: NodeID, token: UInt64, now: Instant) -> Bool {
        guard let peer = existingPeer(node), peer.isConnected else { return false }
        if peer.pings.count >= Peer.pingsLimit { peer.pings.removeFirst() }
        peer.pings.append((token, now))
        peer.enqueue(.ping(token: token))
        mark(peer)
        return true
    }

    /// A new stream to the peer; `nil` without a session, or while the peer allows no more.
    package mutating func openStream(to node: NodeID) -> StreamID? {
        guard let peer = existingPeer(node), peer.isConnected else { return nil }
        defer { mark(peer) }
        return peer.streams.open()
    }

    /// How many of `bytes` were taken; the rest may be written after `writable`.
    package mutating func write(_ bytes: some Collection<UInt8>, to stream: StreamID, of node: NodeID) -> Int {
        guard let peer = existingPeer(node), peer.isConnected else { return 0 }
        defer { mark(peer) }
        return peer.streams.write(bytes, to: stream)
    }

    /// Nothing more will be written.
    package mutating func finish(_ stream: StreamID, of node: NodeID) {
        guard let peer = existingPeer(node), peer.isConnected else { return }
        peer.streams.finish(stream)
        mark(peer)
    }

    package mutating func read(
        _ stream: StreamID, of node: NodeID, limit: Int = .max, into out: inout MeshOutbox
    ) -> ReadResult {
        guard let peer = existingPeer(node), peer.isConnected else { return ReadResult(bytes: [], isFinished: false) }
        var events: [StreamEvent] = []
        defer {
            out.events.append(contentsOf: events.map { .stream(node, $0) })
            mark(peer)
        }
        return peer.streams.read(stream, limit: limit, into: &events)
    }

    /// Gives up both directions of a stream.
    package mutating func reset(_ stream: StreamID, of node: NodeID, code: UInt64, into out: inout MeshOutbox) {
        guard let peer = existingPeer(node), peer.isConnected else { return }
        var events: [StreamEvent] = []
        peer.streams.reset(stream, code: code)
        peer.streams.stop(stream, code: code, into: &events)
        out.events.append(contentsOf: events.map { .stream(node, $0) })
        mark(peer)
    }

    /// All peers, in the order of their slots.
    package func summaries(now: Instant) -> [PeerSummary] {
        peers.compactMap { $0 }.map { peer in
            PeerSummary(
                node: peer.node, name: peer.certificate?.name, isConnected: peer.isConnected,
                path: peer.paths.primary, roundTrip: peer.paths.smoothedRoundTrip,
                cipher: peer.session.current?.keys.cipher.name, keyAge: peer.session.current.map { now - $0.createdAt },
                sinceHeard: peer.lastReceivedAt.map { now - $0 }, bytesReceived: peer.bytesReceived,
                bytesSent: peer.bytesSent, openStreams: peer.streams.openCount,
                packetsReceived: peer.packetsReceived, packetsSent: peer.packetsSent,
                packetBytesReceived: peer.packetBytesReceived, packetBytesSent: peer.packetBytesSent,
                hasRoute: peer.isConnected && (peer.routeExpiresAt.map { $0 > now } ?? false),
                datagramBytes: configuration.hasDataPlane
                    ? peer.paths.primary.map { datagramBytes(of: peer, at: $0) } : nil)
        }
    }

    // MARK: - Inwards

    /// The plaintext of an authentic datagram: a packet number and frames, or nothing at all.
    mutating func deliver(
        _ plain: UnsafeRawBufferPointer, from remote: PathAddress, of peer: Peer, now: Instant,
        into out: inout MeshOutbox
    ) {
        guard !plain.isEmpty else { return }
        var events: [StreamEvent] = []
        var own: [MeshEvent] = []
        do throws(StreamError) {
            var reader = ByteReader(plain.bytes)
            _ = try peer.streams.received(&reader, now: now, into: &events) {
                (type: UInt8, reader: inout ByteReader) throws(DecodeError) in
                let frame = try MeshFrame(type: type, reading: &reader)
                if let event = receivedMessage(frame, from: remote, of: peer, now: now) { own.append(event) }
            }
        } catch {
            counters.drop(.badFrames)
            end(peer, .protocolViolation, closing: .protocolViolation, now: now, into: &out)
            return
        }
        out.events.append(contentsOf: events.map { .stream(peer.node, $0) })
        for event in own {
            guard case .disconnected(_, let reason) = event else {
                out.events.append(event)
                continue
            }
            end(peer, reason, closing: nil, now: now, into: &out)
            return
        }
    }

    mutating func tickStreams(of peer: Peer, now: Instant, into out: inout MeshOutbox) {
        var events: [StreamEvent] = []
        peer.streams.tick(now: now, into: &events)
        out.events.append(contentsOf: events.map { .stream(peer.node, $0) })
    }

    /// The peer has forgotten all that it knew: begin anew, too.
    func beginAnew(with peer: Peer, now: Instant) {
        let role: StreamRole = nodeID < peer.node ? .lower : .higher
        peer.streams = StreamMux(role: role, limits: configuration.streams, now: now)
        peer.frames = []
        peer.pings = []
        // It counts its candidates from 1 again, and has not heard ours.
        peer.remoteCandidatesNumber = 0
        peer.candidatesNumber = 0
    }
}
