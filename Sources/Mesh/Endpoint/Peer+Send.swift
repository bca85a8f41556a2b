import Base
import Noise
import Wire

// From frames to datagrams:
//
//   header | packet number, the mesh's frames, streams' frames | tag        sealed in place in the outbox

extension Peer {
    /// Frames of the mesh that fit besides stream frames in one datagram; a longer queue takes several.
    private static let plaintextLimit = Limits.datagramBytes - DatagramHeader.framesSize - DatagramHeader.tagSize

    /// Sends one datagram to `address`, with as many of the mesh's frames as fit, then streams' frames. False if there is
    /// nothing to send.
    func sendNext(
        with keypair: Keypair, to address: PathAddress, now: Instant, counters: inout MeshCounters,
        into out: inout MeshOutbox
    ) -> Bool {
        var own = ByteWriter()
        var plain = ByteWriter(reserving: Peer.plaintextLimit)
        let expectsReply = frames.take(limit: Peer.plaintextLimit, into: &own)
        let sent = streams.transmit(limit: Peer.plaintextLimit, carrying: own.bytes, now: now, into: &plain)
        guard plain.count > 0 || frames.owesConfirmation else { return false }
        frames.confirmed()
        seal(plain.bytes, with: keypair, to: address, and: paths.second, now: now, counters: &counters, into: &out)
        if expectsReply || sent?.elicitsAck == true { expectAnswer(now: now) }
        return true
    }

    /// Answers go back on the path of their requests, whatever the path of data: the request was about that path.
    func sendReplies(with keypair: Keypair, now: Instant, counters: inout MeshCounters, into out: inout MeshOutbox) {
        for (frame, address) in frames.takeReplies() where address.isRelayed || !paths.isRelayOnly {
            sealAlone(frame, with: keypair, to: address, now: now, counters: &counters, into: &out)
        }
    }

    /// Sends the probes of paths that are due.
    func sendProbes(
        with keypair: Keypair, budget: inout ProbeBudget, now: Instant, counters: inout MeshCounters,
        into out: inout MeshOutbox
    ) {
        let due = paths.takeProbes(now: now, limit: budget.availableForPaths(now), firstToken: budget.nextToken)
        for (address, token) in due {
            sealAlone(.ping(token: token), with: keypair, to: address, now: now, counters: &counters, into: &out)
            // A peer that answers on no path may have lost its keys.
            if address == paths.primary { liveness.expectAnswer(now) }
        }
        budget.sentPathProbes(due.count, now: now)
        counters.sentProbes(due.count)
    }

    /// Sends the probes of sizes that are due.
    func sendSizeProbes(
        with keypair: Keypair, budget: inout ProbeBudget, now: Instant, counters: inout MeshCounters,
        into out: inout MeshOutbox
    ) {
        guard let path = paths.primary else { return }
        let due = link.sizeProbes(on: paths, budget: &budget, now: now)
        for (size, token) in due {
            sealAlone(
                .ping(token: token), with: keypair, to: path, size: size, now: now, counters: &counters, into: &out)
        }
        budget.sentSizeProbes(due.count, now: now)
        counters.sentProbes(due.count)
    }

    /// A last datagram, outside of the queue: the peer is forgotten right after.
    func sendClose(_ code: CloseCode, now: Instant, counters: inout MeshCounters, into out: inout MeshOutbox) {
        guard let keypair = session.current, let address = paths.primary else { return }
        sealAlone(
            .close(code, reason: ""), with: keypair, to: address, and: paths.second, now: now, counters: &counters,
            into: &out)
    }

    /// A datagram with one frame, outside of the streams' congestion control; padded so that all of it, with the relay
    /// header, has `size` bytes.
    func sealAlone(
        _ frame: MeshFrame, with keypair: Keypair, to address: PathAddress, and second: PathAddress? = nil,
        size: Int = 0, now: Instant, counters: inout MeshCounters, into out: inout MeshOutbox
    ) {
        var own = ByteWriter(), plain = ByteWriter()
        frame.write(to: &own)
        _ = streams.transmit(
            limit: Peer.plaintextLimit, carrying: own.bytes, fill: .nothing, now: now, into: &plain)
        // 0 is padding (`StreamFrame`).
        let length = size - address.overhead - DatagramHeader.framesSize - DatagramHeader.tagSize
        if plain.count < length { plain.zeros(length - plain.count) }
        seal(plain.bytes, with: keypair, to: address, and: second, now: now, counters: &counters, into: &out)
    }

    /// Seals once, and sends to `address` and, if that is in doubt, to `second`.
    private func seal(
        _ plain: [UInt8], with keypair: Keypair, to address: PathAddress, and second: PathAddress?, now: Instant,
        counters: inout MeshCounters, into out: inout MeshOutbox
    ) {
        keypair.keys.wake()
        // 2^60 datagrams are never reached: new keys come every two minutes.
        guard let counter = keypair.keys.nextCounter() else { return counters.drop(.expiredKeys) }
        let size = DatagramHeader.framesSize + plain.count + DatagramHeader.tagSize
        var header = ByteWriter(reserving: DatagramHeader.framesSize)
        DatagramHeader.frames(receiver: keypair.remoteIndex, counter: counter).write(to: &header)
        out.datagrams.append(
            reserving: address.overhead + size, remote: address.remote, socket: address.socket
        ) { buffer in
            address.write(to: buffer)
            let datagram = UnsafeMutableRawBufferPointer(rebasing: buffer[address.overhead...])
            datagram.copyBytes(from: header.bytes)
            let body = UnsafeMutableRawBufferPointer(rebasing: datagram[DatagramHeader.framesSize...])
            body.copyBytes(from: plain)
            keypair.keys.seal(
                body, count: plain.count, counter: counter,
                aad: UnsafeRawBufferPointer(rebasing: datagram[..<DatagramHeader.framesSize]))
            return address.overhead + size
        }
        if let second {
            let bytes = out.datagrams.bytes(at: out.datagrams.count - 1).dropFirst(address.overhead)
            out.send(Array(bytes), to: second, counters: &counters)
        }
        if address.isRelayed { counters.paths.relayedBytesSent += size }
        sent(size, now: now)
        counters.sent(bytes: size)
    }
}
