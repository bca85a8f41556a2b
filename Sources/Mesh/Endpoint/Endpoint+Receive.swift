package import Base
import Wire

// The road of a datagram inwards, in the order of the functions:
//
//   received ──→ classify ──┬─→ first, second, cookie ──→ Endpoint+Handshake.swift
//                           └─→ frames: index → epoch → open in place → window
//                                 → confirm (pending keys become current) → path (where the peer is)
//                                 → each frame: the mesh's own here, streams' to StreamMux

extension Endpoint {
    /// Datagrams have arrived. They are opened in place: the batch holds rubbish afterwards.
    package mutating func received(
        _ batch: inout DatagramBatch, now: Instant, wall: UnixTime, into out: inout MeshOutbox
    ) {
        self.wall = wall
        enter(now)
        for position in 0..<batch.count {
            let path = PathAddress(batch.entries[position].remote, socket: batch.entries[position].socket)
            batch.withBytes(at: position) { bytes in
                counters.datagramsReceived += 1
                counters.bytesReceived += bytes.count
                receive(bytes, by: path, now: now, into: &out)
            }
        }
        flush(now: now, into: &out)
    }

    /// A datagram that came by that path; what a relay wrote before it is gone.
    private mutating func receive(
        _ datagram: UnsafeMutableRawBufferPointer, by remote: PathAddress, now: Instant, into out: inout MeshOutbox
    ) {
        let header: DatagramHeader
        do throws(DecodeError) {
            var reader = ByteReader(UnsafeRawBufferPointer(datagram).bytes)
            header = try DatagramHeader(reading: &reader)
        } catch {
            counters.drop(.malformed)
            return
        }
        switch header {
        // Two relays may be between two nodes: one carries what is for the other. There is no third.
        case _ where remote.hops == 2 && DatagramKind(rawValue: datagram[0])?.isForRelays != false:
            counters.drop(.malformed)
        case .handshakeFirst(let sender):
            receiveFirst([UInt8](datagram), sender: sender, from: remote, now: now, into: &out)
        case .handshakeSecond(let sender, let receiver):
            receiveSecond([UInt8](datagram), sender: sender, receiver: receiver, from: remote, now: now, into: &out)
        case .cookieReply(let receiver):
            receiveCookie([UInt8](datagram), receiver: receiver, now: now, into: &out)
        case .frames(let receiver, let counter):
            receiveFrames(datagram, receiver: receiver, counter: counter, from: remote, now: now, into: &out)
        // Packets are for the data plane, which takes its own before they come here.
        case .packet: counters.drop(.noDataPlane)
        case .toRelay(let legs): carry(datagram, legs, from: remote, now: now, into: &out)
        case .fromRelay(let legs):
            receive(
                UnsafeMutableRawBufferPointer(rebasing: datagram[DatagramHeader.relayedSize...]),
                by: PathAddress(remote.remote, legs: legs, via: remote.legs, socket: remote.socket), now: now,
                into: &out)
        case .bind: receiveBind([UInt8](datagram), from: remote, now: now, into: &out)
        case .bindAnswer(let leg): receiveBindAnswer([UInt8](datagram), leg: leg, now: now, into: &out)
        }
    }

    private mutating func receiveFrames(
        _ datagram: UnsafeMutableRawBufferPointer, receiver: UInt32, counter: UInt64, from remote: PathAddress,
        now: Instant, into out: inout MeshOutbox
    ) {
        guard let slot = index.peer(of: receiver), let peer = peers[slot], let epoch = peer.session.epoch(of: receiver)
        else { return counters.drop(.unknownSession) }
        guard now - epoch.createdAt < configuration.rejectAfter else { return counters.drop(.expiredKeys) }
        let header = UnsafeRawBufferPointer(rebasing: datagram[..<DatagramHeader.framesSize])
        let sealed = UnsafeMutableRawBufferPointer(rebasing: datagram[DatagramHeader.framesSize...])
        switch epoch.open(sealed, counter: counter, header: header) {
        case .forged: return counters.drop(.forged)
        case .replayed: return counters.drop(.replayed)
        case .fresh(let isNewest):
            guard confirm(epoch, of: peer, from: remote, now: now, into: &out) else { return }
            peer.paths.heard(from: remote, isNewest: isNewest && epoch === peer.session.current, now: now)
        }
        peer.lastReceivedAt = now
        peer.unansweredSince = nil
        if peer.vainHandshakes > 0, now - epoch.createdAt >= Endpoint.wellTime { peer.vainHandshakes = 0 }
        peer.bytesReceived += datagram.count
        if remote.isRelayed { counters.paths.relayedBytesReceived += datagram.count }
        let plain = UnsafeRawBufferPointer(rebasing: sealed[..<(sealed.count - DatagramHeader.tagSize)])
        deliver(plain, from: remote, of: peer, now: now, into: &out)
        mark(peer)
    }

    /// Keys under which a peer is still heard after so long have helped.
    private static let wellTime = Interval.seconds(10)

    /// The peer has sealed with these keys, so it holds them. False if the session ends over it.
    mutating func confirm(
        _ epoch: Epoch, of peer: Peer, from remote: PathAddress, now: Instant, into out: inout MeshOutbox
    ) -> Bool {
        guard epoch !== peer.session.current, epoch !== peer.session.previous else { return true }
        if epoch.hello.certificate == nil, peer.certificate != nil || !peer.isConnected {
            guard anonymousCount < Limits.anonymousSessions else {
                counters.drop(.anonymousRefused)
                return false
            }
        }
        establish(epoch, with: peer, from: remote, now: now, into: &out)
        return true
    }

    /// `epoch` is what both ends seal with from here on.
    mutating func establish(
        _ epoch: Epoch, with peer: Peer, from remote: PathAddress, now: Instant, into out: inout MeshOutbox
    ) {
        let isSame = peer.isConnected && peer.remoteAssociation == epoch.hello.association
        if peer.isConnected, !isSame {
            out.events.append(.disconnected(peer.node, .peerForgot))
            if peer.certificate == nil { anonymousCount -= 1 }
            beginAnew(with: peer, now: now)
        }
        for released in peer.session.promote(epoch) { release(released) }
        let wasAnonymous = isSame && peer.certificate == nil
        peer.wantsRekey = false
        peer.remoteAssociation = epoch.hello.association
        peer.certificate = epoch.hello.certificate
        peer.wantedAt = nil
        peer.unansweredSince = nil
        peer.paths.established(at: remote, isNew: !isSame, now: now)
        defer { route(epoch, of: peer) }
        if isSame {
            counters.rekeys += 1
            if wasAnonymous, peer.certificate != nil { anonymousCount -= 1 }
            return
        }
        if peer.certificate == nil { anonymousCount += 1 }
        peer.isConnected = true
        counters.sessionsEstablished += 1
        out.events.append(
            .connected(
                peer.node,
                PeerSession(
                    certificate: peer.certificate, handshakeHash: epoch.handshakeHash, address: remote.remote)))
        relay.release(peer.node)
        relayPeerConnected(peer, at: remote, now: now)
    }

    mutating func receivedMessage(
        _ frame: MeshFrame, from remote: PathAddress, of peer: Peer, now: Instant
    ) -> MeshEvent? {
        switch frame {
        case .ping(let token): peer.reply(.pong(token: token, observed: remote.remote), by: remote)
        case .pong(let token, let observed):
            if peer.paths.answered(token, from: remote, now: now) != nil {
                if remote.isDirect, remote.socket == 0 { seen(as: observed, by: peer, now: now) }
                return nil
            }
            if peer.size?.answered(token, now: now) ?? false { return nil }
            guard let position = peer.pings.firstIndex(where: { $0.token == token }) else { return nil }
            let roundTrip = now - peer.pings.remove(at: position).sentAt
            peer.paths.measured(roundTrip, at: remote)
            return .pong(peer.node, token: token, roundTrip: roundTrip, by: remote)
        case .message(let bytes): return .message(peer.node, bytes)
        case .close(let code, _): return .disconnected(peer.node, .closedByPeer(code))
        case .legRequest: peer.reply(grantLeg(to: peer, at: remote, now: now), by: remote)
        case .leg(let leg, let key, let challenge):
            relayClient(of: peer.node) { $0.granted(leg, key: key, challenge: challenge, now: now) }
        case .legRefused: relayClient(of: peer.node) { $0.refused(now: now) }
        case .candidates(let number, let mapping, let candidates):
            peer.reply(.candidatesHeard(number: number), by: remote)
            hear(candidates, mapping, number: number, from: peer, now: now)
        case .candidatesHeard(let number):
            heardCandidates(number, peer, now: now)
        }
        return nil
    }
}
