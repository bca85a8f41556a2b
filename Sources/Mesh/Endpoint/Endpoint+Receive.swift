package import Base
import Wire

// The receiving path of a datagram, in the order of the functions:
//
//   received ──→ classify ──┬─→ first, second, cookie ──→ Sessions.swift
//                           ├─→ for this node as a relay ──→ Relay+Carry.swift
//                           └─→ frames: index → keypair → open in place → window
//                                 → confirm (pending keys become current) → path (where the peer is)
//                                 → each frame: streams' to StreamMux, the mesh's own to `apply`

extension Endpoint {
    /// Datagrams have arrived. They are opened in place: the batch's content is undefined afterwards.
    package mutating func received(
        _ batch: inout DatagramBatch, now: Instant, wall: UnixTime, into out: inout MeshOutbox
    ) {
        enter(now, wall: wall)
        for position in 0..<batch.count {
            let path = PathAddress(batch.entries[position].remote, socket: batch.entries[position].socket)
            batch.withBytes(at: position) { bytes in
                counters.received(bytes: bytes.count)
                receive(bytes, by: path, now: now, into: &out)
            }
        }
        flush(now: now, into: &out)
    }

    /// A datagram that came by that path, without the relay header.
    private mutating func receive(
        _ datagram: UnsafeMutableRawBufferPointer, by remote: PathAddress, now: Instant, into out: inout MeshOutbox
    ) {
        let header: DatagramHeader
        do throws(DecodeError) {
            var reader = ByteReader(UnsafeRawBufferPointer(datagram).bytes)
            header = try DatagramHeader(reading: &reader)
        } catch { return counters.drop(.malformed) }
        switch header {
        // Two relays may be between two nodes: one relays datagrams for the other. A third is not allowed.
        case _ where remote.hops == 2 && DatagramKind(rawValue: datagram[0])?.isForRelays != false:
            counters.drop(.malformed)
        case .handshakeFirst(let sender):
            sessions.receiveFirst(
                [UInt8](datagram), sender: sender, from: remote, counters: &counters, now: now,
                added: { traversal.added($0, now: now) }, into: &out)
        case .handshakeSecond(let sender, let receiver):
            let change = sessions.receiveSecond(
                [UInt8](datagram), sender: sender, receiver: receiver, from: remote, counters: &counters, now: now,
                into: &out)
            apply(change, now: now)
            if case .began(let peer, _) = change { sessions.peers.mark(peer) }
            if case .renewed(let peer) = change { sessions.peers.mark(peer) }
        case .cookieReply(let receiver):
            sessions.receiveCookie([UInt8](datagram), receiver: receiver, counters: &counters, now: now)
        case .frames(let receiver, let counter):
            receiveFrames(datagram, receiver: receiver, counter: counter, from: remote, now: now, into: &out)
        // Packets are for the data plane, which has taken its own before this.
        case .packet: counters.drop(.noDataPlane)
        case .toRelay(let allocations):
            relay.value.carry(datagram, allocations, from: remote, now: now, counters: &counters, into: &out)
        case .fromRelay(let allocations):
            receive(
                UnsafeMutableRawBufferPointer(rebasing: datagram[DatagramHeader.relayedSize...]),
                by: PathAddress(
                    remote.remote, allocations: allocations, via: remote.allocations, socket: remote.socket), now: now,
                into: &out)
        case .bind:
            guard traversal.relays.isOwnPath(remote) else { return counters.drop(.badBind) }
            relay.value.receiveBind([UInt8](datagram), from: remote, now: now, counters: &counters, into: &out)
        case .bindAnswer(let allocation):
            guard traversal.bindAnswered([UInt8](datagram), allocation: allocation, peers: &sessions.peers, now: now)
            else {
                return counters.drop(.badBind)
            }
            serviceRelays(now: now, into: &out)
        }
    }

    private mutating func receiveFrames(
        _ datagram: UnsafeMutableRawBufferPointer, receiver: UInt32, counter: UInt64, from remote: PathAddress,
        now: Instant, into out: inout MeshOutbox
    ) {
        guard let (peer, keypair) = sessions.find(receiver) else { return counters.drop(.unknownSession) }
        guard now - keypair.createdAt < MeshConfiguration.rejectAfter else { return counters.drop(.expiredKeys) }
        let header = UnsafeRawBufferPointer(rebasing: datagram[..<DatagramHeader.framesSize])
        let sealed = UnsafeMutableRawBufferPointer(rebasing: datagram[DatagramHeader.framesSize...])
        switch keypair.open(sealed, counter: counter, header: header) {
        case .forged: return counters.drop(.forged)
        case .replayed: return counters.drop(.replayed)
        case .fresh(let isNewest):
            guard confirm(keypair, of: peer, from: remote, now: now, into: &out) else { return }
            peer.received(datagram.count, by: remote, of: keypair, isNewest: isNewest, now: now)
        }
        if remote.isRelayed { counters.paths.relayedBytesReceived += datagram.count }
        let plain = UnsafeRawBufferPointer(rebasing: sealed[..<(sealed.count - DatagramHeader.tagSize)])
        if !plain.isEmpty { apply(plain, from: remote, of: peer, now: now, into: &out) }
        sessions.peers.mark(peer)
    }

    /// The peer has sealed with the keys of `keypair`, so it holds them. False if there is no room for its session.
    mutating func confirm(
        _ keypair: Keypair, of peer: Peer, from remote: PathAddress, now: Instant, into out: inout MeshOutbox
    ) -> Bool {
        guard sessions.admits(keypair, of: peer) else {
            counters.drop(.anonymousRefused)
            return false
        }
        apply(sessions.confirm(keypair, of: peer, from: remote, counters: &counters, now: now, into: &out), now: now)
        return true
    }

    // MARK: - Frames

    /// The plaintext of an authentic datagram: a packet number and frames.
    private mutating func apply(
        _ plain: UnsafeRawBufferPointer, from remote: PathAddress, of peer: Peer, now: Instant,
        into out: inout MeshOutbox
    ) {
        var events: [StreamEvent] = []
        var own: [MeshEvent] = []
        do throws(StreamError) {
            var reader = ByteReader(plain.bytes)
            _ = try peer.streams.received(&reader, now: now, into: &events) {
                (type: UInt8, reader: inout ByteReader) throws(DecodeError) in
                let frame = try MeshFrame(type: type, reading: &reader)
                if let event = apply(frame, from: remote, of: peer, now: now) { own.append(event) }
            }
        } catch {
            counters.drop(.badFrames)
            return end(peer, .protocolViolation, closing: .protocolViolation, now: now, into: &out)
        }
        out.append(events, of: peer.node)
        for event in own {
            if case .disconnected(_, let reason) = event {
                return end(peer, reason, closing: nil, now: now, into: &out)
            }
            out.events.append(event)
        }
    }

    /// One frame of the mesh.
    private mutating func apply(
        _ frame: MeshFrame, from remote: PathAddress, of peer: Peer, now: Instant
    ) -> MeshEvent? {
        switch frame {
        case .ping(let token): peer.frames.reply(.pong(token: token, observed: remote.remote), by: remote)
        case .pong(let token, let observed):
            if peer.paths.answered(token, from: remote, now: now) != nil {
                if remote.isDirect, remote.socket == 0 {
                    traversal.observed(at: observed, by: peer, peers: &sessions.peers, now: now)
                }
                return nil
            }
            if peer.link.sizeProbeAnswered(token, now: now) { return nil }
            guard let roundTrip = peer.frames.pingAnswered(token, now: now) else { return nil }
            peer.paths.measured(roundTrip, at: remote)
            return .pong(peer.node, token: token, roundTrip: roundTrip, by: remote)
        case .message(let bytes): return .message(peer.node, bytes)
        case .close(let code, _): return .disconnected(peer.node, .closedByPeer(code))
        case .allocationRequest:
            let certificate = isBeacon ? peer.certificate : nil
            peer.frames.reply(relay.value.grant(to: peer.node, certificate, at: remote, now: now), by: remote)
        case .allocation(let allocation, let key, let challenge):
            traversal.relays.update(peer.node) { $0.granted(allocation, key: key, challenge: challenge, now: now) }
        case .allocationRefused: traversal.relays.update(peer.node) { $0.refused(now: now) }
        case .candidates(let number, let mapping, let candidates):
            peer.frames.reply(.candidatesReceived(number: number), by: remote)
            let overlay = credentials?.certificate.certificate.overlayAddresses ?? []
            traversal.received(
                candidates, mapping, number: number, from: peer, overlay: overlay, peers: &sessions.peers, now: now)
        case .candidatesReceived(let number):
            traversal.candidatesReceived(number, by: peer, peers: &sessions.peers, now: now)
        }
        return nil
    }
}
