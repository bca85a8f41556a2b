package import Base
package import Wire

/// # Reliable streams inside a session
///
/// One `StreamMux` per peer turns the session's datagrams into ordered byte streams, in the manner of QUIC (RFC 9000,
/// sections 2 to 4, 13 and 19; loss recovery of RFC 9002; CUBIC). It is a value without I/O:
///
///     open, write, finish, reset, stop, read        what the application does
///     received(packet)                              the plaintext of a frames packet has come in
///     tick                                          the deadline is over
///     transmit(limit)                               fills one packet; call it until it returns nil
///
/// **The contract.** After any call of the first three rows, `transmit` is called until it returns `nil`; then `deadline` is
/// when to `tick`. Packet numbers belong to the mux and rise across keys and paths; the session's counters are not visible
/// here. Frames of types 0x20 to 0x3f belong to the owner: `received` passes them on, and `transmit` puts them first. They
/// ask for no ACK, do not count in the congestion window and are not repeated.
///
/// **Who sends what.** The mux knows packets: their numbers, contents and acknowledgements. `StreamSet` knows
/// the streams, and fills packets with their bytes. Everything else (limits, resets) is a `StreamControl` in a queue, made
/// into a frame when there is room, and queued again when its packet is lost.
///
/// **Memory.** Both ends of flow control, the send buffers, the streams a peer may open, the fragments it may leave
/// between holes and the packet numbers remembered are bounded by `StreamLimits`. The state of a stream is freed when both of
/// its directions are done; later frames for it are counted and ignored.
package struct StreamMux: Sendable {
    private var streams: StreamSet
    private var recovery: LossRecovery
    private var acks: AckTracker
    private var counted = StreamCounters()
    private var pacedUntil: Instant?

    /// `peerAllows` is the `allowance` in the peer's limits.
    package init(
        role: StreamRole, limits: StreamLimits = StreamLimits(), peerAllows: StreamAllowance = StreamAllowance(),
        now: Instant
    ) {
        streams = StreamSet(role: role, limits: limits, peerAllows: peerAllows)
        recovery = LossRecovery(limits: limits, now: now)
        acks = AckTracker(maxRanges: limits.numberRanges)
    }

    /// Nothing was sent for a while: frees memory that an idle peer does not need.
    mutating func rest() {
        streams.rest()
        recovery.rest()
    }

    // MARK: - What the application does

    /// Opens a stream; `nil` while the peer allows no more, and then `openable` follows. The peer learns of a stream
    /// with the first frame for it or for a later one.
    package mutating func open() -> StreamID? { streams.open() }

    /// Accepts as many bytes as there is room for; where that is not all, `writable` follows. 0 for a stream that was
    /// finished, reset, stopped by the peer or closed.
    package mutating func write(_ bytes: some Collection<UInt8>, to id: StreamID) -> Int {
        streams.write(bytes, to: id)
    }

    /// No more will be written.
    package mutating func finish(_ id: StreamID) { streams.finish(id) }

    /// Gives up sending: data that was not delivered yet is dropped.
    package mutating func reset(_ id: StreamID, code: UInt64) { streams.reset(id, code: code) }

    /// Gives up reading: arriving data is dropped, and the peer is asked to send no more.
    package mutating func stop(_ id: StreamID, code: UInt64, into events: inout [StreamEvent]) {
        streams.stop(id, code: code, into: &events)
    }

    /// Returns at most `limit` bytes. `readable` comes again only after everything was read.
    package mutating func read(_ id: StreamID, limit: Int = .max, into events: inout [StreamEvent]) -> ReadResult {
        streams.read(id, limit: limit, into: &events)
    }

    // MARK: - State

    /// Bytes of a stream that were written and not acknowledged.
    package func buffered(_ id: StreamID) -> Int { streams.buffered(id) }
    /// The same for all streams.
    package var buffered: Int { streams.buffered }
    /// Bytes of a stream that can be read.
    package func readable(_ id: StreamID) -> Int { streams.readable(id) }
    package func isOpen(_ id: StreamID) -> Bool { streams.isOpen(id) }
    package var openCount: Int { streams.openCount }
    /// Bytes held for the application to read, and for holes to be filled.
    package var heldForReading: Int { streams.heldForReading }
    /// Nothing to send, nothing in flight.
    package var isIdle: Bool { !recovery.hasInFlight && !streams.hasFrames && streams.buffered == 0 }
    package var roundTrip: Interval? { recovery.roundTrip.hasSample ? recovery.roundTrip.smoothed : nil }
    package var congestionWindow: Int { recovery.window.size }
    package var bytesInFlight: Int { recovery.window.inFlight }
    package var counters: StreamCounters {
        var all = counted
        all.staleFrames = streams.staleFrames
        all.bytesRetransmitted = streams.bytesRetransmitted
        return all
    }

    /// When to `tick`. `nil` where nothing is in flight and no ACK is owed.
    package var deadline: Deadline? {
        var earliest = recovery.deadline
        if let at = acks.deadline { earliest = .earliest(earliest, Deadline(at, "stream ack")) }
        if let pacedUntil { earliest = .earliest(earliest, Deadline(pacedUntil, "stream pacing")) }
        return earliest
    }

    // MARK: - Receiving: a packet's number, its frames one by one, their effects, and the record of its arrival

    /// Reads a frames packet from its number on. `foreign` reads frames of the owner's types up to their end; it gets the
    /// type, which has been read. Returns whether the packet is new; frames of a duplicate are ignored. Throws on input that
    /// only a broken or hostile peer sends; the session must then end.
    package mutating func received(
        _ packet: inout ByteReader, now: Instant, into events: inout [StreamEvent],
        foreign: (UInt8, inout ByteReader) throws(DecodeError) -> Void
    ) throws(StreamError) -> Bool {
        let number: UInt64
        do { number = try packet.varint("packet number") } catch { throw .malformed(error) }
        guard !acks.isDuplicate(number) else {
            counted.duplicates += 1
            return false
        }
        counted.packetsReceived += 1
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
        // Frames that could not be kept must come again, so the packet counts as lost. All frames can be repeated.
        if isWhole {
            acks.received(number, elicitsAck: elicitsAck, now: now)
        } else {
            counted.fragmentsRefused += 1
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
        var outcome = LossRecovery.Outcome()
        recovery.tick(now: now, into: &outcome)
        apply(outcome, into: &events)
    }

    /// Data uses another path from now on: round trip and capacity start again (RFC 9000, section 9.4), the former from
    /// `roundTrip` where a probe has measured it. With `losesInFlight` everything in flight is sent again at once, as is
    /// right when the old path has failed.
    package mutating func pathChanged(
        roundTrip: Interval?, losesInFlight: Bool, now: Instant, into events: inout [StreamEvent]
    ) {
        var outcome = LossRecovery.Outcome()
        recovery.pathChanged(roundTrip: roundTrip, losesInFlight: losesInFlight, now: now, into: &outcome)
        pacedUntil = nil
        apply(outcome, into: &events)
    }

    /// Returns false where the frame's bytes could not be kept.
    private mutating func handle(
        _ frame: Frame, now: Instant, into events: inout [StreamEvent]
    ) throws(StreamError) -> Bool {
        guard case .ack(let ack) = frame else { return try streams.handle(frame, into: &events) }
        var outcome = LossRecovery.Outcome()
        try recovery.acknowledged(ack, now: now, into: &outcome)
        apply(outcome, into: &events)
        return true
    }

    // MARK: - Acknowledged and lost packets

    private mutating func apply(_ outcome: LossRecovery.Outcome, into events: inout [StreamEvent]) {
        counted.packetsLost += outcome.lost.count
        counted.packetsLate += outcome.late
        counted.probeTimeouts += outcome.probeTimeouts
        counted.persistentCongestions += outcome.persistentCongestions
        for packet in outcome.acknowledged {
            if let largest = packet.acknowledges { acks.acknowledged(largest: largest) }
            guard let first = packet.contents.first else { continue }
            streams.acknowledged(first, into: &events)
            for item in packet.contents.more { streams.acknowledged(item, into: &events) }
        }
        for packet in outcome.lost { lost(packet) }
        for packet in outcome.repeated { lost(packet) }
        streams.wakeBufferWaiters(into: &events)
    }

    private mutating func lost(_ packet: SentPacket) {
        guard let first = packet.contents.first else { return }
        streams.lost(first)
        for item in packet.contents.more { streams.lost(item) }
    }

    // MARK: - Sending: whether a packet may be sent, and its contents: the owner's frames, an ACK, controls, streams

    package enum Fill: Hashable, Sendable {
        /// As much as there is and the congestion window allows.
        case streams
        /// Only the owner's frames: a probe of a path that the streams do not use.
        case nothing
    }

    /// Appends one packet, at most `limit` bytes from its number on, to `writer`. `own` holds encoded frames of the
    /// owner; with them a packet is always sent. Returns `nil`, with nothing appended, where there is nothing to send or
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
            streams.append(
                end: end, roundTrip: recovery.roundTrip.smoothed, now: now, &contents, to: &writer)
            if contents.isEmpty, recovery.probes > 0, writer.count < end {
                Frame.ping.write(to: &writer)
                contents.append(.control(.ping))
            }
            if contents.isEmpty { recovery.setFilled(false) }
        }
        guard writer.count > empty else {
            writer.bytes.removeLast(writer.count - start)
            return nil
        }
        let count = writer.count - start
        recovery.sent(contents, bytes: count, acknowledges: acknowledged, now: now)
        counted.packetsSent += 1
        return Transmission(packetNumber: number, count: count, elicitsAck: !contents.isEmpty)
    }

    private mutating func mayTransmit(now: Instant) -> Bool {
        pacedUntil = nil
        if recovery.probes > 0 { return true }
        guard streams.hasFrames else {
            if recovery.window.hasRoom { recovery.setFilled(false) }
            return false
        }
        switch recovery.gate(now: now) {
        case .open: return true
        case .windowFull:
            recovery.setFilled(true)
            return false
        case .paced(let until):
            recovery.setFilled(true)
            pacedUntil = until
            return false
        }
    }
}

/// What has happened to a peer's packets since its streams began.
package struct StreamCounters: Hashable, Sendable {
    package fileprivate(set) var packetsSent = 0
    package fileprivate(set) var packetsReceived = 0
    package fileprivate(set) var packetsLost = 0
    /// Packets that were counted as lost and arrived after all.
    package fileprivate(set) var packetsLate = 0
    /// Packets whose number had been received before, or is too old to know.
    package fileprivate(set) var duplicates = 0
    /// Packets treated as lost, because their data would have made too many fragments.
    package fileprivate(set) var fragmentsRefused = 0
    /// Frames for streams that are closed.
    package fileprivate(set) var staleFrames = 0
    package fileprivate(set) var probeTimeouts = 0
    package fileprivate(set) var persistentCongestions = 0
    package fileprivate(set) var bytesRetransmitted = 0
}
