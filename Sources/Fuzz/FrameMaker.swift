import Base
import Wire

/// Plaintexts for a hostile peer: mostly valid ones, so that the session lives long enough to reach deep states, and
/// sometimes arbitrary ones.
struct FrameMaker {
    var mutator: Mutator

    init(_ random: Random) { mutator = Mutator(random) }

    mutating func plaintext(_ peer: HostilePeer, message: [UInt8]?) -> [UInt8] {
        var writer = ByteWriter()
        peer.packetNumber += mutator.random.chance(1, in: 30) ? mutator.random.next(below: 300) : 1
        let isRude = mutator.random.chance(1, in: 6)
        writer.varint(isRude && mutator.random.chance(1, in: 8) ? mutator.edge62() : peer.packetNumber)
        for _ in 0..<1 + mutator.random.index(below: mutator.random.chance(1, in: 200) ? 200 : 4) {
            if isRude { rude(peer, &writer) } else { polite(peer, &writer) }
        }
        if let message, peer.largestReceived != nil || peer.controlStream != nil || peer.nextSequence == 0 {
            control(message, peer, &writer)
        }
        if isRude, mutator.random.chance(1, in: 2) {
            _ = mutator.change(&writer.bytes, with: mutator.bytes(40))
        }
        return writer.bytes
    }

    /// A plaintext that holds one message and nothing else.
    mutating func carrying(_ message: [UInt8], _ peer: HostilePeer) -> [UInt8] {
        var writer = ByteWriter()
        peer.packetNumber += 1
        writer.varint(peer.packetNumber)
        control(message, peer, &writer)
        return writer.bytes
    }

    /// A message in its frame on the control stream.
    private mutating func control(_ message: [UInt8], _ peer: HostilePeer, _ writer: inout ByteWriter) {
        if peer.controlStream == nil || mutator.random.chance(1, in: 60), peer.nextSequence < 1000 {
            peer.controlStream = StreamID(sequence: peer.nextSequence, opener: peer.opener)
            peer.controlOffset = 0
            peer.nextSequence += 1
        }
        guard let id = peer.controlStream else { return }
        var bytes = ByteWriter()
        bytes.uint32(
            mutator.random.chance(1, in: 40) ? UInt32(truncatingIfNeeded: mutator.edge()) : UInt32(message.count))
        bytes.append(message)
        var rest = bytes.bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(1 + mutator.random.index(below: 4000))
            rest = rest.dropFirst(piece.count)
            let isLast = rest.isEmpty && mutator.random.chance(1, in: 200)
            Frame.stream(id, offset: peer.controlOffset, bytes: Array(piece), isLast: isLast).write(to: &writer)
            peer.controlOffset += UInt64(piece.count)
            if isLast { peer.controlStream = nil }
        }
    }

    /// A request to measure on a separate stream, complete or not, valid or not.
    private mutating func bench(_ peer: HostilePeer, _ writer: inout ByteWriter) {
        guard peer.nextSequence < 1000 else { return }
        let id = StreamID(sequence: peer.nextSequence, opener: peer.opener)
        peer.nextSequence += 1
        var bytes = BenchRequest(seconds: UInt8(truncatingIfNeeded: mutator.edge())).encoded()
        if mutator.random.chance(1, in: 4) { _ = mutator.change(&bytes, with: mutator.bytes(12)) }
        let isLast = mutator.random.chance(3, in: 4)
        Frame.stream(id, offset: 0, bytes: bytes, isLast: isLast).write(to: &writer)
    }

    private mutating func polite(_ peer: HostilePeer, _ writer: inout ByteWriter) {
        switch mutator.random.index(below: 18) {
        case 0: Frame.padding.write(to: &writer)
        case 1: Frame.ping.write(to: &writer)
        case 2, 3:
            guard let largest = peer.largestReceived else { return }
            let low = largest - min(largest, mutator.random.next(below: 40))
            AckFrame(ranges: [low...largest], delayMicroseconds: mutator.edge62()).frame.write(to: &writer)
        case 4: Frame.maxData(mutator.edge62()).write(to: &writer)
        case 5: Frame.maxStreams(min(mutator.edge62(), Frame.maxStreamCount)).write(to: &writer)
        case 6: Frame.dataBlocked(mutator.edge62()).write(to: &writer)
        case 7: Frame.streamsBlocked(min(mutator.edge62(), Frame.maxStreamCount)).write(to: &writer)
        case 8: MeshFrame.ping(token: mutator.random.next()).write(to: &writer)
        case 9:
            let observed = SocketAddress(.v4(UInt32(truncatingIfNeeded: mutator.random.next())), 1)
            MeshFrame.pong(token: mutator.edge(), observed: observed).write(to: &writer)
        case 10, 14: heartbeat(&writer)
        case 11: bench(peer, &writer)
        case 15:
            MeshFrame.candidates(
                number: mutator.edge62(), mutator.pick(NATMapping.allCases), candidates()
            ).write(to: &writer)
        case 16: MeshFrame.candidatesReceived(number: mutator.edge62()).write(to: &writer)
        case 17:
            mutator.pick([
                MeshFrame.allocationRequest, .allocationRefused(.full),
                .allocation(
                    UInt32(truncatingIfNeeded: mutator.edge()), key: mutator.bytes(32), challenge: mutator.bytes(16)),
            ]).write(to: &writer)
        case 12:
            // Bytes with holes, on another stream than the control messages'.
            let id = other(peer)
            Frame.stream(
                id, offset: (1 << 16) + mutator.random.next(below: 9000),
                bytes: mutator.bytes(mutator.random.index(below: 60)),
                isLast: false
            ).write(to: &writer)
        case _:
            let id = other(peer)
            mutator.pick([
                Frame.maxStreamData(id, mutator.edge62()), .streamDataBlocked(id, mutator.edge62()),
                .stopSending(id, code: mutator.edge62()),
            ]).write(to: &writer)
        }
    }

    /// Mostly one of a few streams; rarely one that opens a thousand.
    private mutating func other(_ peer: HostilePeer) -> StreamID {
        let highest: UInt64 = mutator.random.chance(1, in: 2000) ? 1024 : max(peer.nextSequence, 1) + 2
        return StreamID(sequence: mutator.random.next(below: highest), opener: peer.opener)
    }

    private mutating func candidates() -> [PathCandidate] {
        (0..<mutator.random.index(below: Limits.addressesPerPeer + 1)).map { _ in
            let address = SocketAddress(
                .v4(UInt32(truncatingIfNeeded: mutator.random.next())), UInt16(truncatingIfNeeded: mutator.edge()))
            // 32 bytes make a NodeID.
            let place = RelayedAddress(
                relay: NodeID(mutator.bytes(32))!, address: address,
                allocation: UInt32(truncatingIfNeeded: mutator.edge()))
            return mutator.random.chance(1, in: 3) ? .relayed(place) : .direct(address)
        }
    }

    private mutating func heartbeat(_ writer: inout ByteWriter) {
        var pulse = Heartbeat(
            state: mutator.pick([.running, .leaving, .draining]), incarnation: mutator.edge(),
            sequence: UInt32(truncatingIfNeeded: mutator.edge()), revision: mutator.edge())
        pulse.details = mutator.edge()
        pulse.freeSlots = UInt16(truncatingIfNeeded: mutator.edge())
        pulse.worst = mutator.pick(Verdict.allCases)
        var bytes =
            mutator.random.chance(1, in: 3)
            ? HeartbeatAck(answering: pulse, revision: mutator.edge(), details: 1, workers: 2).encoded()
            : pulse.encoded()
        if mutator.random.chance(1, in: 3) { _ = mutator.change(&bytes, with: bytes) }
        MeshFrame.message(Array(bytes.prefix(Limits.messageBytes))).write(to: &writer)
    }

    private mutating func rude(_ peer: HostilePeer, _ writer: inout ByteWriter) {
        let id = StreamID(
            rawValue: mutator.random.chance(9, in: 10) ? mutator.random.next(below: 12) : mutator.edge62())
        switch mutator.random.index(below: 12) {
        case 0:
            // A type and arbitrary bytes after it.
            writer.uint8(UInt8(truncatingIfNeeded: mutator.random.next(below: 0x30)))
            for _ in 0..<mutator.random.index(below: 6) { writer.varint(mutator.edge62()) }
        case 1:
            writer.uint8(mutator.pick([0x02, 0x03]))
            let count = mutator.random.next(below: 40)
            writer.varint(mutator.random.chance(1, in: 2) ? peer.largestReceived ?? 0 : mutator.edge62())
            writer.varint(mutator.edge62())
            writer.varint(count)
            for _ in 0..<count * 2 + 1 {
                writer.varint(mutator.random.chance(1, in: 20) ? mutator.edge62() : mutator.random.next(below: 4))
            }
        case 2: Frame.resetStream(id, code: mutator.edge62(), finalSize: mutator.edge62()).write(to: &writer)
        case 3: Frame.stopSending(id, code: mutator.edge62()).write(to: &writer)
        case 4, 5, 6:
            let bytes = mutator.bytes(mutator.random.index(below: 100))
            let offset = mutator.random.chance(2, in: 3) ? mutator.random.next(below: 5000) : mutator.edge62()
            Frame.writeStreamHeader(
                id, offset: offset, count: bytes.count, isLast: mutator.random.chance(1, in: 5), to: &writer)
            writer.append(bytes)
        case 7: Frame.maxStreamData(id, mutator.edge62()).write(to: &writer)
        case 8: Frame.streamDataBlocked(id, mutator.edge62()).write(to: &writer)
        case 9:
            let code = mutator.pick(CloseCode.allCases)
            if mutator.random.chance(1, in: 10) { MeshFrame.close(code, reason: "gone").write(to: &writer) }
        case 10:
            writer.uint8(0x22)
            writer.sized(mutator.bytes(mutator.random.index(below: 1100)))
        case _: polite(peer, &writer)
        }
    }
}

extension AckFrame {
    fileprivate var frame: Frame { .ack(self) }
}
