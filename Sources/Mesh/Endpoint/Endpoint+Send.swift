package import Base
import Noise
import Wire

// The road outwards, in the order of the functions:
//
//   layer above ──→ mark(peer) ──→ flush ──→ for each marked peer: one datagram after the other, as long as there is
//   something to say and the streams' congestion control lets it:
//       header | packet number, the mesh's frames, streams' frames | tag        sealed in place in the outbox

extension Endpoint {
    /// Frames of the mesh that fit beside stream frames in one datagram; a longer queue takes several.
    private static let plaintextLimit = Limits.datagramBytes - DatagramHeader.framesSize - DatagramHeader.tagSize

    /// Turns everything that waits into datagrams. Called once at the end of each entry point of the layer above.
    package mutating func flush(now: Instant, into out: inout MeshOutbox) {
        if !dataPlaneChanges.isEmpty {
            out.dataPlane.append(contentsOf: dataPlaneChanges)
            dataPlaneChanges.removeAll()
        }
        if !closedSockets.isEmpty {
            out.closedSockets += closedSockets
            closedSockets = []
        }
        if hasNewCandidates {
            hasNewCandidates = false
            out.events.append(.candidatesChanged)
            // Idle peers are told when they are talked to again.
            for peer in peers { if let peer, peer.isConnected, peer.isRecent(now) { mark(peer) } }
        }
        var position = 0
        // Sending to one peer does not mark another, but ending one may; the list only grows while it is walked.
        while position < dirty.count {
            if let peer = peers[dirty[position]], peer.isDirty {
                peer.isDirty = false
                flush(peer, now: now, into: &out)
                reschedule(peer)
            }
            position += 1
        }
        dirty.removeAll(keepingCapacity: true)
    }

    private mutating func flush(_ peer: Peer, now: Instant, into out: inout MeshOutbox) {
        startIfWanted(peer, now: now, into: &out)
        defer {
            tellPath(of: peer)
            judgeTrial(with: peer, now: now)
        }
        guard peer.isConnected, let epoch = peer.session.current, let address = peer.paths.primary else { return }
        guard now - epoch.createdAt < configuration.rejectAfter else { return }
        offerCandidates(to: peer, now: now)
        var datagrams = 0
        while datagrams < Endpoint.burst {
            var plain = ByteWriter(reserving: Endpoint.plaintextLimit)
            let wantsAnswer = compose(peer, into: &plain, now: now)
            guard plain.count > 0 || peer.owesConfirmation else { break }
            peer.owesConfirmation = false
            seal(
                plain.bytes, with: epoch, of: peer, to: address, and: peer.paths.second, now: now, into: &out)
            if wantsAnswer {
                peer.paths.sent(now: now)
                if peer.unansweredSince == nil { peer.unansweredSince = now }
            }
            datagrams += 1
        }
        answer(peer, with: epoch, now: now, into: &out)
        probe(peer, with: epoch, now: now, into: &out)
        suspectRelays(of: peer, now: now)
        guessPorts(of: peer, with: epoch, now: now, into: &out)
        probeSize(of: peer, with: epoch, now: now, into: &out)
        // More may wait; it goes on as soon as the driver comes by again, so that one peer cannot hold up the rest.
        if datagrams == Endpoint.burst { timers.set(peer.slot, at: now) }
    }

    /// Datagrams to one peer in one go.
    private static let burst = 64

    /// A peer that was asked for and has no keys gets a first message.
    private mutating func startIfWanted(_ peer: Peer, now: Instant, into out: inout MeshOutbox) {
        if peer.isWanted, peer.session.current == nil, peer.session.initiation == nil {
            startHandshake(with: peer, now: now, into: &out)
        }
        if let initiation = peer.session.initiation, initiation.nextAt <= now {
            retry(initiation, with: peer, now: now, into: &out)
        }
    }

    /// One plaintext: as many of the mesh's frames as fit, then streams' frames. True if the peer should answer.
    private mutating func compose(_ peer: Peer, into plain: inout ByteWriter, now: Instant) -> Bool {
        var own = ByteWriter()
        var wantsAnswer = false
        while let frame = peer.frames.first {
            var one = ByteWriter()
            frame.write(to: &one)
            guard own.count + one.count + 9 <= Endpoint.plaintextLimit else { break }
            own.append(one.bytes)
            peer.frames.removeFirst()
            if frame.wantsAnswer { wantsAnswer = true }
        }
        let sent = peer.streams.transmit(
            limit: Endpoint.plaintextLimit, carrying: own.bytes, now: now, into: &plain)
        return wantsAnswer || sent?.elicitsAck == true
    }

    /// Answers go back the way that the questions came, whatever way data goes: that is what was asked.
    private mutating func answer(_ peer: Peer, with epoch: Epoch, now: Instant, into out: inout MeshOutbox) {
        guard !peer.replies.isEmpty else { return }
        for (frame, address) in peer.takeReplies() where address.isRelayed || !peer.paths.isRelayOnly {
            sealAlone(frame, with: epoch, of: peer, to: address, now: now, into: &out)
        }
    }

    private mutating func probe(_ peer: Peer, with epoch: Epoch, now: Instant, into out: inout MeshOutbox) {
        let due = peer.paths.takeProbes(now: now, limit: Int(probeBudget.available(now)), firstToken: probeTokens)
        for (address, token) in due {
            sealAlone(.ping(token: token), with: epoch, of: peer, to: address, now: now, into: &out)
            // A peer that answers on no path has lost its keys, perhaps.
            if address == peer.paths.primary, peer.unansweredSince == nil { peer.unansweredSince = now }
        }
        guard !due.isEmpty else { return }
        probeTokens &+= UInt64(due.count)
        _ = probeBudget.take(Int64(due.count), now: now)
        counters.probesSent += due.count
    }

    /// A datagram with one frame, outside of the streams' congestion control; padded until all of it, with what a relay
    /// wants before it, has `size` bytes.
    mutating func sealAlone(
        _ frame: MeshFrame, with epoch: Epoch, of peer: Peer, to address: PathAddress, and second: PathAddress? = nil,
        size: Int = 0, now: Instant, into out: inout MeshOutbox
    ) {
        var own = ByteWriter(), plain = ByteWriter()
        frame.write(to: &own)
        _ = peer.streams.transmit(
            limit: Endpoint.plaintextLimit, carrying: own.bytes, fill: .nothing, now: now, into: &plain)
        // 0 is padding (`StreamFrame`).
        let wanted = size - address.overhead - DatagramHeader.framesSize - DatagramHeader.tagSize
        if plain.count < wanted { plain.zeros(wanted - plain.count) }
        seal(plain.bytes, with: epoch, of: peer, to: address, and: second, now: now, into: &out)
    }

    /// Seals once, and sends to `address` and, where it is in doubt, to `second`.
    mutating func seal(
        _ plain: [UInt8], with epoch: Epoch, of peer: Peer, to address: PathAddress, and second: PathAddress?,
        now: Instant, into out: inout MeshOutbox
    ) {
        epoch.keys.wake()
        // 2^60 datagrams are never reached: new keys come every two minutes.
        guard let counter = epoch.keys.nextCounter() else { return counters.drop(.expiredKeys) }
        let size = DatagramHeader.framesSize + plain.count + DatagramHeader.tagSize
        var header = ByteWriter(reserving: DatagramHeader.framesSize)
        DatagramHeader.frames(receiver: epoch.remoteIndex, counter: counter).write(to: &header)
        out.datagrams.append(
            reserving: address.overhead + size, remote: address.remote, socket: address.socket
        ) { buffer in
            address.write(to: buffer)
            let datagram = UnsafeMutableRawBufferPointer(rebasing: buffer[address.overhead...])
            datagram.copyBytes(from: header.bytes)
            let body = UnsafeMutableRawBufferPointer(rebasing: datagram[DatagramHeader.framesSize...])
            body.copyBytes(from: plain)
            epoch.keys.seal(
                body, count: plain.count, counter: counter,
                aad: UnsafeRawBufferPointer(rebasing: datagram[..<DatagramHeader.framesSize]))
            return address.overhead + size
        }
        if let second {
            let bytes = out.datagrams.bytes(at: out.datagrams.count - 1).dropFirst(address.overhead)
            send(Array(bytes), to: second, into: &out)
        }
        if address.isRelayed { counters.paths.relayedBytesSent += size }
        peer.lastSentAt = now
        peer.bytesSent += size
        counters.datagramsSent += 1
        counters.bytesSent += size
    }

    /// A last word, outside of the queue: the peer is forgotten right after.
    mutating func sendClose(_ code: CloseCode, to peer: Peer, now: Instant, into out: inout MeshOutbox) {
        guard let epoch = peer.session.current, let address = peer.paths.primary else { return }
        sealAlone(
            .close(code, reason: ""), with: epoch, of: peer, to: address, and: peer.paths.second, now: now, into: &out)
    }

    /// A datagram that is whole: handshakes, cookies and binds.
    mutating func send(_ bytes: [UInt8], to address: PathAddress, into out: inout MeshOutbox) {
        out.datagrams.append(
            reserving: address.overhead + bytes.count, remote: address.remote, socket: address.socket
        ) { buffer in
            address.write(to: buffer)
            UnsafeMutableRawBufferPointer(rebasing: buffer[address.overhead...]).copyBytes(from: bytes)
            return address.overhead + bytes.count
        }
        counters.datagramsSent += 1
        counters.bytesSent += bytes.count
    }
}

extension MeshFrame {
    /// Whether a healthy peer sends something back for it at once. A heartbeat is answered, an answer is not, and the
    /// mesh cannot tell one message from the other; the layer above says which it was by whom it sends to.
    fileprivate var wantsAnswer: Bool {
        switch self {
        case .ping, .legRequest: true
        case .pong, .message, .close, .leg, .legRefused, .candidates, .candidatesHeard: false
        }
    }
}
