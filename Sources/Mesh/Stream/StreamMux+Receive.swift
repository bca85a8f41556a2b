package import Base
import DequeModule
import Wire

/// The inbound journey: a packet's number, its frames one by one, what they change, and at last the note that it came.
extension StreamMux {
    /// Reads a frames packet from its number on. `foreign` reads frames of the owner's types up to their end; it is
    /// given the type, which has been read. Returns whether the packet is new; frames of a duplicate are not looked at.
    /// Throws on what only a broken or hostile peer sends; the session must then end.
    package mutating func received(
        _ packet: inout ByteReader, now: Instant, into events: inout [StreamEvent],
        foreign: (UInt8, inout ByteReader) throws(DecodeError) -> Void
    ) throws(StreamError) -> Bool {
        let number: UInt64
        do { number = try packet.varint("packet number") } catch { throw .malformed(error) }
        guard !acks.isDuplicate(number) else {
            counters.duplicates += 1
            return false
        }
        counters.packetsReceived += 1
        var elicitsAck = false, isWhole = true
        while !packet.isAtEnd {
            let frame: Frame
            do {
                let type = try packet.uint8("frame type")
                if Frame.foreignTypes.contains(type) {
                    try foreign(type, &packet)
                    continue
                }
                frame = try Frame(type: type, reading: &packet)
            } catch { throw .malformed(error) }
            if frame.elicitsAck { elicitsAck = true }
            if try !handle(frame, now: now, into: &events) { isWhole = false }
        }
        // What could not be kept must come again, so the packet counts as lost. All frames can be repeated.
        if isWhole {
            acks.received(number, elicitsAck: elicitsAck, now: now)
        } else {
            counters.fragmentsRefused += 1
        }
        return true
    }

    /// The same for a packet in which the owner's types are an error.
    package mutating func received(
        _ packet: inout ByteReader, now: Instant, into events: inout [StreamEvent]
    ) throws(StreamError) -> Bool {
        try received(&packet, now: now, into: &events) { (_, reader: inout ByteReader) throws(DecodeError) in
            throw DecodeError(.invalidValue, "frame type", at: reader.offset - 1)
        }
    }

    /// The deadline is over.
    package mutating func tick(now: Instant, into events: inout [StreamEvent]) {
        if let until = pacedUntil, until <= now { pacedUntil = nil }
        var outcome = RecoveryOutcome()
        recovery.tick(now: now, into: &outcome)
        apply(outcome, into: &events)
    }

    /// Data takes another path from here on: round trip and capacity start anew (RFC 9000, section 9.4), the former
    /// from `roundTrip` where a probe has measured it. With `losesInFlight` all that is in flight is sent again at
    /// once, as is right when the old path has died.
    package mutating func pathChanged(
        roundTrip: Interval?, losesInFlight: Bool, now: Instant, into events: inout [StreamEvent]
    ) {
        var outcome = RecoveryOutcome()
        recovery.pathChanged(roundTrip: roundTrip, losesInFlight: losesInFlight, now: now, into: &outcome)
        pacedUntil = nil
        apply(outcome, into: &events)
    }

    /// Returns false where the frame's bytes could not be kept.
    private mutating func handle(
        _ frame: Frame, now: Instant, into events: inout [StreamEvent]
    ) throws(StreamError) -> Bool {
        switch frame {
        case .padding, .ping: break
        case .ack(let ack):
            var outcome = RecoveryOutcome()
            try recovery.acknowledged(ack, now: now, into: &outcome)
            apply(outcome, into: &events)
        case .stream(let id, let offset, let bytes, let isLast):
            guard let slot = try place(id, into: &events) else { break }
            return try store(bytes, at: offset, isLast: isLast, slot, into: &events)
        case .resetStream(let id, let code, let finalSize):
            guard let slot = try place(id, into: &events) else { break }
            try reset(slot, code: code, finalSize: finalSize, into: &events)
        case .stopSending(let id, let code):
            guard let slot = try place(id, into: &events), !streams.slots[slot].send.isDone else { break }
            if case .reset = streams.slots[slot].send.phase { break }
            reset(slot, code: code)
            events.append(.stopped(id, code: code))
        case .maxData(let limit):
            sendLimit = max(sendLimit, limit)
            creditCame()
        case .maxStreamData(let id, let limit):
            guard let slot = try place(id, into: &events) else { break }
            if streams.slots[slot].send.raise(peerLimit: limit) { markReady(slot) }
        case .maxStreams(let limit):
            openLimit = max(openLimit, limit)
            guard wantsOpen, nextSequence < openLimit else { break }
            wantsOpen = false
            events.append(.openable)
        case .dataBlocked, .streamsBlocked: break
        case .streamDataBlocked(let id, _): _ = try place(id, into: &events)
        }
        return true
    }

    /// The stream a frame is for, opened if the peer opens it hereby, with all lower ones (RFC 9000, section 3.2).
    /// `nil` for one that is closed.
    private mutating func place(_ id: StreamID, into events: inout [StreamEvent]) throws(StreamError) -> Int? {
        if let slot = streams.find(id) { return slot }
        if id.opener == role.rawValue {
            guard id.sequence < nextSequence else { throw .streamState(id) }
        } else if id.sequence >= peerSequence {
            guard id.sequence < peerOpenLimit else { throw .streamLimit(id) }
            while peerSequence <= id.sequence {
                let opened = StreamID(sequence: peerSequence, opener: role.other.rawValue)
                _ = insert(opened)
                events.append(.opened(opened))
                peerSequence += 1
            }
            return streams.find(id)
        }
        counters.staleFrames += 1
        return nil
    }

    private mutating func store(
        _ bytes: [UInt8], at offset: UInt64, isLast: Bool, _ slot: Int, into events: inout [StreamEvent]
    ) throws(StreamError) -> Bool {
        let id = streams.slots[slot].id
        // The sum is below 2^62: the frame's decoder has checked it.
        let range = offset..<offset + UInt64(bytes.count)
        let advance = try streams.slots[slot].receive.check(id, range, isLast: isLast)
        guard receivedTotal + advance <= window.limit else { throw .flowControl(id) }
        let growth = streams.slots[slot].receive.growth(range)
        if growth > 0 {
            let own = streams.slots[slot].receive.fragments
            guard own + growth <= limits.streamFragments, fragments + growth <= limits.fragments else { return false }
        }
        receivedTotal += advance
        let before = streams.slots[slot].receive.contiguous, wasComplete = streams.slots[slot].receive.isComplete
        fragments -= streams.slots[slot].receive.fragments
        let credit = streams.slots[slot].receive.store(bytes, at: offset, isLast: isLast)
        fragments += streams.slots[slot].receive.fragments
        if credit > 0 { consume(credit) }
        let hasNews =
            streams.slots[slot].receive.contiguous > before || streams.slots[slot].receive.isComplete != wasComplete
        if hasNews, streams.slots[slot].receive.phase == .open, !streams.slots[slot].isReadableTold {
            streams.slots[slot].isReadableTold = true
            events.append(.readable(id))
        }
        if streams.slots[slot].receive.isDone { settle(slot, into: &events) }
        return true
    }

    private mutating func reset(
        _ slot: Int, code: UInt64, finalSize: UInt64, into events: inout [StreamEvent]
    ) throws(StreamError) {
        let id = streams.slots[slot].id
        let advance = try streams.slots[slot].receive.check(id, finalSize..<finalSize, isLast: true)
        guard receivedTotal + advance <= window.limit else { throw .flowControl(id) }
        receivedTotal += advance
        let isWanted = streams.slots[slot].receive.phase == .open
        fragments -= streams.slots[slot].receive.fragments
        let credit = streams.slots[slot].receive.reset(finalSize: finalSize)
        fragments += streams.slots[slot].receive.fragments
        guard let credit else { return }
        consume(credit)
        if isWanted { events.append(.reset(id, code: code)) }
        settle(slot, into: &events)
    }

    /// The connection's limit has moved.
    private mutating func creditCame() {
        guard sendTotal < sendLimit else { return }
        while let id = creditWaiters.popFirst() {
            guard let slot = streams.find(id) else { continue }
            streams.slots[slot].waitsForCredit = false
            markReady(slot)
        }
    }

    // MARK: What became of packets

    private mutating func apply(_ outcome: RecoveryOutcome, into events: inout [StreamEvent]) {
        counters.packetsLost += outcome.lost.count
        counters.packetsLate += outcome.late
        counters.probeTimeouts += outcome.probeTimeouts
        counters.persistentCongestions += outcome.persistentCongestions
        for packet in outcome.acknowledged {
            if let largest = packet.acknowledges { acks.acknowledged(largest: largest) }
            guard let first = packet.contents.first else { continue }
            acknowledged(first, into: &events)
            for item in packet.contents.more { acknowledged(item, into: &events) }
        }
        for packet in outcome.lost { lost(packet) }
        for packet in outcome.repeated { lost(packet) }
        if !bufferWaiters.isEmpty { bufferFreed(into: &events) }
    }

    private mutating func acknowledged(_ item: SentContents.Item, into events: inout [StreamEvent]) {
        switch item {
        case .stream(let id, let range, let isLast):
            guard let slot = streams.find(id) else { return }
            let wasDone = streams.slots[slot].send.isDone
            buffered -= streams.slots[slot].send.acknowledged(range, isLast: isLast)
            if waitsForRoom(slot) { tellWritable(slot, into: &events) }
            guard streams.slots[slot].send.isDone, !wasDone else { return }
            events.append(.acknowledged(id))
            settle(slot, into: &events)
        case .control(.reset(let id)):
            guard let slot = streams.find(id) else { return }
            streams.slots[slot].send.resetAcknowledged()
            settle(slot, into: &events)
        case .control(.stop), .control(.streamWindow), .control(.streamBlocked), .control(.window), .control(.streams),
            .control(.blocked), .control(.streamsBlocked), .control(.ping):
            break
        }
    }

    private mutating func lost(_ packet: SentPacket) {
        guard let first = packet.contents.first else { return }
        lost(first)
        for item in packet.contents.more { lost(item) }
    }

    private mutating func lost(_ item: SentContents.Item) {
        switch item {
        case .stream(let id, let range, let isLast):
            guard let slot = streams.find(id) else { return }
            streams.slots[slot].send.lost(range, isLast: isLast)
            markReady(slot)
        case .control(let control): repeated(control)
        }
    }

    private mutating func repeated(_ control: StreamControl) {
        switch control {
        case .reset(let id): if let slot = streams.find(id) { queue(control, .reset, slot) }
        case .stop(let id): if let slot = streams.find(id) { queue(control, .stop, slot) }
        case .streamWindow(let id): if let slot = streams.find(id) { queue(control, .window, slot) }
        case .window:
            if !isWindowQueued { controls.append(control) }
            isWindowQueued = true
        case .streams:
            if !isStreamsQueued { controls.append(control) }
            isStreamsQueued = true
        // The peer acts on none of these; another limit reached will say so anew.
        case .streamBlocked, .blocked, .streamsBlocked, .ping: break
        }
    }

    /// A stream whose write was cut short hears of room when a quarter of its buffer is free.
    private mutating func tellWritable(_ slot: Int, into events: inout [StreamEvent]) {
        guard limits.streamSendBuffer - streams.slots[slot].send.buffered >= limits.streamSendBuffer / 4 else { return }
        guard buffered <= limits.sendBuffer / 4 * 3 else { return waitForBuffer(slot) }
        streams.slots[slot].wantsWritable = false
        events.append(.writable(streams.slots[slot].id))
    }

    private mutating func bufferFreed(into events: inout [StreamEvent]) {
        guard buffered <= limits.sendBuffer / 4 * 3 else { return }
        while let id = bufferWaiters.popFirst() {
            guard let slot = streams.find(id) else { continue }
            streams.slots[slot].waitsForBuffer = false
            if waitsForRoom(slot) { tellWritable(slot, into: &events) }
        }
    }
}
