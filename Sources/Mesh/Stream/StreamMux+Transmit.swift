package import Base
import DequeModule
import Wire

/// The outbound journey: may a packet go, and what rides in it: the owner's frames, an ACK, controls, streams in turn.
extension StreamMux {
    package enum Fill: Hashable, Sendable {
        /// As much as there is and the congestion window allows.
        case streams
        /// Only what the owner brings: a probe of a path on which the streams do not travel.
        case nothing
    }

    /// Appends one packet, at most `limit` bytes from its number on, to `writer`. `own` holds encoded frames of the
    /// owner; with them a packet always goes. Returns `nil`, with nothing appended, where there is nothing to send or
    /// it must wait for acknowledgements or for `deadline`.
    package mutating func transmit(
        limit: Int, carrying own: [UInt8] = [], fill: Fill = .streams, now: Instant, into writer: inout ByteWriter
    ) -> Transmission? {
        let start = writer.count, number = recovery.next
        precondition(limit >= own.count + 8, "\(own.count) bytes of the owner's in a packet of \(limit)")
        if fill == .streams { recovery.raise(datagram: limit) }
        let mayFill = fill == .streams && mayTransmit(now: now)
        let isAckDue = fill == .streams && acks.isDue(now: now)
        guard mayFill || isAckDue || !own.isEmpty else { return nil }

        writer.varint(number)
        let empty = writer.count
        writer.bytes.append(contentsOf: own)
        let end = start + limit
        var acknowledged: UInt64?
        if fill == .streams, isAckDue || acks.hasNews, let ack = acks.frame(room: end - writer.count, now: now) {
            ack.write(to: &writer)
            acknowledged = ack.largest
            acks.sent()
        }
        var contents = SentContents()
        if mayFill {
            appendControls(end: end, now: now, &contents, to: &writer)
            appendStreams(end: end, &contents, to: &writer)
            if contents.isEmpty, recovery.probes > 0, writer.count < end {
                Frame.ping.write(to: &writer)
                contents.append(.control(.ping))
            }
            if contents.isEmpty { recovery.isFilled = false }
        }
        guard writer.count > empty else {
            writer.bytes.removeLast(writer.count - start)
            return nil
        }
        let count = writer.count - start
        recovery.sent(contents, bytes: count, acknowledges: acknowledged, now: now)
        counters.packetsSent += 1
        return Transmission(packetNumber: number, count: count, elicitsAck: !contents.isEmpty)
    }

    private mutating func mayTransmit(now: Instant) -> Bool {
        pacedUntil = nil
        if recovery.probes > 0 { return true }
        guard !ready.isEmpty || !controls.isEmpty else {
            if recovery.window.hasRoom { recovery.isFilled = false }
            return false
        }
        switch recovery.gate(now: now) {
        case .open: return true
        case .windowFull:
            recovery.isFilled = true
            return false
        case .paced(let until):
            recovery.isFilled = true
            pacedUntil = until
            return false
        }
    }

    private mutating func appendControls(
        end: Int, now: Instant, _ contents: inout SentContents, to writer: inout ByteWriter
    ) {
        // The longest is a type and three varints of eight bytes.
        while end - writer.count >= 25, let control = controls.popFirst() {
            guard let frame = frame(for: control, now: now) else { continue }
            frame.write(to: &writer)
            contents.append(.control(control))
        }
    }

    /// The frame that says how things stand, `nil` where there is nothing to say any more.
    private mutating func frame(for control: StreamControl, now: Instant) -> Frame? {
        switch control {
        case .reset(let id):
            guard let slot = dequeued(id, .reset) else { return nil }
            guard case .reset(let code) = streams.slots[slot].send.phase else { return nil }
            return .resetStream(id, code: code, finalSize: streams.slots[slot].send.finalSize)
        case .stop(let id):
            guard let slot = dequeued(id, .stop) else { return nil }
            guard case .stopped(let code) = streams.slots[slot].receive.phase else { return nil }
            return .stopSending(id, code: code)
        case .streamWindow(let id):
            guard let slot = dequeued(id, .window) else { return nil }
            return streamWindow(slot, now: now)
        case .streamBlocked(let id):
            guard let slot = dequeued(id, .blocked), streams.slots[slot].send.isHeldUp else { return nil }
            return .streamDataBlocked(id, streams.slots[slot].send.peerLimit)
        case .window:
            isWindowQueued = false
            return .maxData(window.move(roundTrip: recovery.roundTrip.smoothed, now: now))
        case .streams:
            isStreamsQueued = false
            peerOpenLimit = max(peerOpenLimit, peerClosed + limits.allowance.streams)
            return .maxStreams(peerOpenLimit)
        case .blocked: return sendTotal >= sendLimit ? .dataBlocked(sendLimit) : nil
        case .streamsBlocked: return wantsOpen ? .streamsBlocked(openLimit) : nil
        case .ping: return .ping
        }
    }

    private mutating func streamWindow(_ slot: Int, now: Instant) -> Frame? {
        let roundTrip = recovery.roundTrip.smoothed
        guard let limit = streams.slots[slot].receive.moveWindow(roundTrip: roundTrip, now: now) else { return nil }
        // Where one stream's window has grown, the sum of all must not be what holds it up.
        window.grow(toAtLeast: streams.slots[slot].receive.window.size / 2 * 3)
        return .maxStreamData(streams.slots[slot].id, limit)
    }

    private mutating func dequeued(_ id: StreamID, _ flag: StreamState.Queued) -> Int? {
        guard let slot = streams.find(id) else { return nil }
        streams.slots[slot].queued.remove(flag)
        return slot
    }

    private mutating func appendStreams(end: Int, _ contents: inout SentContents, to writer: inout ByteWriter) {
        while let id = ready.first {
            let room = end - writer.count
            // Crumbs at the end of a packet are not worth their headers.
            guard room >= (contents.isEmpty ? 12 : 40) else { return }
            guard let slot = streams.find(id) else {
                ready.removeFirst()
                continue
            }
            let (segment, holdup) = streams.slots[slot].send.next(id: id, room: room, credit: sendLimit - sendTotal)
            if let segment {
                append(segment, slot, to: &writer)
                contents.append(.stream(id, segment.range, isLast: segment.isLast))
                ready.removeFirst()
                streams.slots[slot].isReady = false
                markReady(slot)
                continue
            }
            if holdup == .room { return }
            ready.removeFirst()
            streams.slots[slot].isReady = false
            switch holdup {
            case .room, .nothing: break
            case .streamLimit: queue(.streamBlocked(id), .blocked, slot)
            case .connectionLimit: waitForCredit(slot)
            }
        }
    }

    private mutating func append(_ segment: SendStream.Segment, _ slot: Int, to writer: inout ByteWriter) {
        let count = Int(segment.range.upperBound - segment.range.lowerBound)
        sendTotal += segment.fresh
        counters.bytesRetransmitted += count - Int(segment.fresh)
        Frame.writeStreamHeader(
            streams.slots[slot].id, offset: segment.range.lowerBound, count: count, isLast: segment.isLast, to: &writer)
        streams.slots[slot].send.append(segment.range, to: &writer)
    }

    private mutating func waitForCredit(_ slot: Int) {
        guard !streams.slots[slot].waitsForCredit else { return }
        if creditWaiters.isEmpty { controls.append(.blocked) }
        streams.slots[slot].waitsForCredit = true
        creditWaiters.append(streams.slots[slot].id)
    }
}
