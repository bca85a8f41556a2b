import Base
import Noise
import Wire

// Noise_IK_25519_ChaChaPoly_BLAKE2b. The initiator knows the responder's static key beforehand; certificates travel in
// the payloads, encrypted. There is no clock in it: a recorded first message is dropped by its ephemeral key, and where
// that memory is lost (a restart) it makes a pending epoch that nobody ever confirms.

extension Endpoint {
    /// The protocol's name and version are mixed in, so that another version fails at the first tag.
    static let prologue = Array("asterism mesh 1".utf8)
    /// Long enough that no second message is longer than the first that asked for it.
    static let firstPayloadSize =
        DatagramHeader.secondLengths.upperBound - DatagramHeader.firstSize - 32 - 48 - 16 - DatagramHeader.macsSize

    // MARK: - Initiator

    mutating func startHandshake(with peer: Peer, now: Instant, into out: inout MeshOutbox) {
        guard let local = index.allocate(for: peer.slot, random: generator.uint32()) else {
            return counters.drop(.tooManySessions)
        }
        peer.session.initiation = Initiation(index: local, now: now)
        counters.handshakesStarted += 1
    }

    /// Sends a first message (again, with new ephemerals: an answer to the last one is not waited for).
    mutating func retry(_ initiation: Initiation, with peer: Peer, now: Instant, into out: inout MeshOutbox) {
        let targets = peer.paths.targets(attempt: initiation.attempts)
        var state = HandshakeState(
            handshake, .initiator, prologue: Endpoint.prologue, localStatic: identity.key.copy(),
            ephemeral: generator.secretKey(), remoteStatic: peer.node)
        var writer = ByteWriter(reserving: Limits.datagramBytes)
        DatagramHeader.handshakeFirst(sender: initiation.index).write(to: &writer)
        do throws(HandshakeError) {
            writer.append(
                try state.writeMessage(payload: payload(for: peer).encoded(paddedTo: Endpoint.firstPayloadSize)))
        } catch {
            // The peer's key is of low order: nobody can hold it.
            peer.session.initiation = nil
            index.release(initiation.index)
            return counters.drop(.handshakeFailed)
        }
        peer.cookies.stamp(&writer.bytes, now: now)
        initiation.sent(state, now: now)
        for target in targets { send(writer.bytes, to: target, into: &out) }
        // Twice the round trip, where one is known: on a slow path impatience makes the queues that it waits for.
        let patience = max(configuration.handshakeRetry, (peer.paths.smoothedRoundTrip ?? .zero) * 2)
        let doubled = patience * Int64(1 << min(initiation.attempts, 10))
        initiation.nextAt = now + random.jittered(min(doubled, configuration.handshakeRetryMax), percent: 10)
        initiation.attempts += 1
    }

    private func payload(for peer: Peer) -> HandshakePayload {
        HandshakePayload(
            hasAESGCM: Cipher.aesGCM.isAvailable, association: peer.association,
            certificate: credentials?.certificate.encoded() ?? [])
    }

    mutating func receiveSecond(
        _ datagram: [UInt8], sender: UInt32, receiver: UInt32, from remote: PathAddress, now: Instant,
        into out: inout MeshOutbox
    ) {
        guard let slot = index.peer(of: receiver), let peer = peers[slot], let initiation = peer.session.initiation,
            initiation.index == receiver
        else { return counters.drop(.unsolicitedResponse) }
        guard checker.mac1IsValid(datagram.span.bytes) else { return counters.drop(.badMAC1) }
        guard !initiation.isUnsent else { return counters.drop(.unsolicitedResponse) }
        let message = Array(datagram[DatagramHeader.secondSize..<(datagram.count - DatagramHeader.macsSize)])
        guard let (attempt, plain) = initiation.answer({ attempt in read(message, attempt) }),
            let state = attempt.state.take()
        else { return counters.drop(.handshakeFailed) }
        peer.paths.measured(now - attempt.sentAt, at: remote)
        guard let payload = decode(plain) else { return counters.drop(.badPayload) }
        let certificate: Certificate
        do throws(CertificateFault) {
            certificate = try certificateCheck.check(payload.certificate, of: peer.node, wall: wall)
        } catch {
            counters.drop(error.drop)
            return refuse(peer, error, now: now, into: &out)
        }
        let hash = state.handshakeHash, cipher = cipher(peerHasAESGCM: payload.hasAESGCM)
        let dataKeys = dataKeys(state, cipher)
        let epoch = Epoch(
            localIndex: receiver, remoteIndex: sender, isInitiator: true, handshakeHash: hash,
            hello: PeerHello(association: payload.association, certificate: certificate),
            keys: TransportKeys(state.split(for: cipher)), createdAt: now)
        peer.session.initiation = nil
        install(dataKeys, epoch, of: peer, from: remote, isConfirmed: true)
        establish(epoch, with: peer, from: remote, now: now, into: &out)
        // The responder may use the keys only after it has seen us use them.
        peer.owesConfirmation = true
        mark(peer)
    }

    /// The payload, if the message answers that attempt.
    private func read(_ message: [UInt8], _ attempt: Initiation.Attempt) -> (Initiation.Attempt, [UInt8])? {
        guard var state = attempt.state.take() else { return nil }
        do throws(HandshakeError) {
            let plain = try state.readMessage(message)
            attempt.state = consume state
            return (attempt, plain)
        } catch {
            attempt.state = consume state
            return nil
        }
    }

    /// The answer came from a node that this one must not trust.
    private mutating func refuse(
        _ peer: Peer, _ fault: CertificateFault, now: Instant, into out: inout MeshOutbox
    ) {
        if peer.isConnected {
            out.events.append(.disconnected(peer.node, .certificate(fault)))
            if peer.certificate == nil { anonymousCount -= 1 }
        } else {
            out.events.append(.connectFailed(peer.node, .certificate(fault)))
        }
        forget(peer, now: now)
    }

    mutating func receiveCookie(_ datagram: [UInt8], receiver: UInt32, now: Instant, into out: inout MeshOutbox) {
        guard let slot = index.peer(of: receiver), let peer = peers[slot], let initiation = peer.session.initiation,
            initiation.index == receiver
        else { return counters.drop(.unsolicitedResponse) }
        guard
            peer.cookies.received(
                reply: datagram.span.bytes.extracting(droppingFirst: DatagramHeader.cookieSize), now: now)
        else { return counters.drop(.badCookie) }
        initiation.nextAt = now
        mark(peer)
    }

    // MARK: - Responder

    mutating func receiveFirst(
        _ datagram: [UInt8], sender: UInt32, from remote: PathAddress, now: Instant, into out: inout MeshOutbox
    ) {
        guard checker.mac1IsValid(datagram.span.bytes) else { return counters.drop(.badMAC1) }
        let start = DatagramHeader.firstSize
        // 32 bytes make a NodeID.
        let ephemeral = NodeID(datagram[start..<start + 32])!
        guard !gate.hasSeen(ephemeral) else { return counters.drop(.replayedHandshake) }
        let hasCookie = checker.mac2IsValid(datagram.span.bytes, from: remote.remote, now: now)
        switch gate.arrived(from: remote.remote.ip, hasCookie: hasCookie, now: now) {
        case .admit: break
        case .rateLimited: return counters.drop(.rateLimited)
        case .demandCookie:
            counters.drop(.cookieDemanded)
            return sendCookie(to: datagram, sender: sender, from: remote, now: now, into: &out)
        }
        var state = HandshakeState(
            handshake, .responder, prologue: Endpoint.prologue, localStatic: identity.key.copy(),
            ephemeral: generator.secretKey())
        let plain: [UInt8]
        do throws(HandshakeError) {
            plain = try state.readMessage(Array(datagram[start..<(datagram.count - DatagramHeader.macsSize)]))
        } catch { return counters.drop(.handshakeFailed) }
        guard let payload = decode(plain), let node = state.remoteStatic, node != nodeID else {
            return counters.drop(.badPayload)
        }
        let certificate: Certificate?
        do throws(CertificateFault) { certificate = try admit(payload.certificate, of: node) } catch {
            return counters.drop(error.drop)
        }
        gate.remember(ephemeral)
        answer(
            state, node: node, hello: PeerHello(association: payload.association, certificate: certificate),
            peerHasAESGCM: payload.hasAESGCM, sender: sender, to: remote, now: now, into: &out)
    }

    private mutating func sendCookie(
        to datagram: [UInt8], sender: UInt32, from remote: PathAddress, now: Instant, into out: inout MeshOutbox
    ) {
        var writer = ByteWriter(reserving: DatagramHeader.cookieLength)
        DatagramHeader.cookieReply(receiver: sender).write(to: &writer)
        writer.append(checker.reply(to: datagram.span.bytes, from: remote.remote, using: &generator, now: now))
        send(writer.bytes, to: remote, into: &out)
    }

    /// The certificate of a first message; `nil` for a node that wants to enrol, where that is allowed.
    private func admit(_ encoded: [UInt8], of node: NodeID) throws(CertificateFault) -> Certificate? {
        if encoded.isEmpty {
            guard configuration.acceptsAnonymous, anonymousCount < Limits.anonymousSessions else { throw .missing }
            return nil
        }
        return try certificateCheck.check(encoded, of: node, wall: wall)
    }

    private mutating func answer(
        _ handshake: consuming HandshakeState, node: NodeID, hello: PeerHello, peerHasAESGCM: Bool, sender: UInt32,
        to remote: PathAddress, now: Instant, into out: inout MeshOutbox
    ) {
        var state = handshake
        guard let peer = peer(of: node, at: [remote], now: now),
            let local = index.allocate(for: peer.slot, random: generator.uint32())
        else { return counters.drop(.tooManySessions) }
        var writer = ByteWriter(reserving: Limits.datagramBytes)
        DatagramHeader.handshakeSecond(sender: local, receiver: sender).write(to: &writer)
        do throws(HandshakeError) {
            writer.append(try state.writeMessage(payload: payload(for: peer).encoded()))
        } catch {
            index.release(local)
            return counters.drop(.handshakeFailed)
        }
        var jar = CookieJar(responder: node)
        jar.stamp(&writer.bytes, now: now)
        let hash = state.handshakeHash, cipher = cipher(peerHasAESGCM: peerHasAESGCM)
        let dataKeys = dataKeys(state, cipher)
        let epoch = Epoch(
            localIndex: local, remoteIndex: sender, isInitiator: false, handshakeHash: hash,
            hello: hello, keys: TransportKeys(state.split(for: cipher)), createdAt: now)
        install(dataKeys, epoch, of: peer, from: remote, isConfirmed: false)
        for displaced in peer.session.answer(epoch) { release(displaced) }
        counters.handshakesAnswered += 1
        send(writer.bytes, to: remote, into: &out)
        mark(peer)
    }

    // MARK: - Both

    private var certificateCheck: CertificateCheck {
        CertificateCheck(
            authorities: credentials?.authorities ?? configuration.authorities,
            fleet: credentials?.certificate.certificate.fleet, slack: configuration.clockSlack,
            pinned: configuration.pinned)
    }

    private func decode(_ plain: [UInt8]) -> HandshakePayload? {
        var reader = ByteReader(plain.span.bytes)
        return try? HandshakePayload(reading: &reader)
    }

    /// Both ends say whether they have AES in hardware, under the handshake's encryption; both then take the same.
    private func cipher(peerHasAESGCM: Bool) -> Cipher {
        peerHasAESGCM && Cipher.aesGCM.isAvailable ? .aesGCM : .chaChaPoly
    }
}
