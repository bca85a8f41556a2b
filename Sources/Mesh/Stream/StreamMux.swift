package import Base
import DequeModule
package import Wire

/// # Reliable streams inside a session
///
/// One `StreamMux` a peer turns the session's datagrams into ordered byte streams, in the manner of QUIC (RFC 9000,
/// sections 2 to 4, 13 and 19; loss recovery of RFC 9002; CUBIC). It is a value without I/O:
///
///     open, write, finish, reset, stop, read        what the application does
///     received(packet)                              the plaintext of a frames packet has come in
///     tick                                          the deadline is over
///     transmit(limit)                               fills one packet; call it until it returns nil
///
/// **The contract.** After any call of the first three rows, `transmit` is called until it returns `nil`; then
/// `deadline` says when to `tick`. Packet numbers belong to the mux and rise across keys and paths; the session's
/// counters are not seen here. Frames of types 0x20 to 0x3f are the owner's: `received` hands them over, `transmit`
/// lets them ride in front. They ask for no ACK, take no room in the congestion window and are not repeated.
///
/// **Who sends what.** Streams with something to send stand in a queue and take turns packet by packet; within a
/// stream, lost bytes go before new ones. Everything else (limits, resets) is a `StreamControl` in a queue, made into a
/// frame when there is room, and queued again when its packet is lost.
///
/// **Memory.** Both ends of flow control, the send buffers, the streams a peer may open, the fragments it may leave
/// between holes and the packet numbers remembered are bounded by `StreamLimits`. State of a stream goes when both of
/// its directions are done; frames that come for it later are counted and ignored.
package struct StreamMux: Sendable {
    let role: StreamRole
    let limits: StreamLimits
    var recovery: LossRecovery
    var acks: AckTracker
    var streams = StreamTable()
    package internal(set) var counters = StreamCounters()

    let peerAllowance: StreamAllowance
    var nextSequence: UInt64 = 0
    /// How many streams the peer lets us open in all.
    var openLimit: UInt64
    var wantsOpen = false
    var peerSequence: UInt64 = 0
    var peerClosed: UInt64 = 0
    var peerOpenLimit: UInt64

    /// What the peer lets us send on all streams, and what was sent, each byte once.
    var sendLimit: UInt64
    var sendTotal: UInt64 = 0
    var window: FlowWindow
    var receivedTotal: UInt64 = 0
    var fragments = 0

    var ready: Deque<StreamID> = []
    var creditWaiters: Deque<StreamID> = []
    var bufferWaiters: Deque<StreamID> = []
    var controls: Deque<StreamControl> = []
    var isWindowQueued = false
    var isStreamsQueued = false
    var pacedUntil: Instant?
    /// Bytes written and not acknowledged, of all streams.
    package internal(set) var buffered = 0

    /// `peerAllows` is what the peer's limits hold as `allowance`.
    package init(
        role: StreamRole, limits: StreamLimits = StreamLimits(), peerAllows: StreamAllowance = StreamAllowance(),
        now: Instant
    ) {
        self.role = role
        self.limits = limits
        self.peerAllowance = peerAllows
        recovery = LossRecovery(limits: limits, now: now)
        acks = AckTracker(maxRanges: limits.numberRanges)
        openLimit = peerAllows.streams
        sendLimit = peerAllows.window
        peerOpenLimit = limits.allowance.streams
        window = FlowWindow(size: limits.allowance.window, maximum: limits.maxWindow)
    }

    /// Nothing is said for a while: gives back memory that only mattered meanwhile.
    mutating func rest() {
        if streams.count == 0 { streams = StreamTable() }
        if ready.isEmpty { ready = [] }
        if creditWaiters.isEmpty { creditWaiters = [] }
        if bufferWaiters.isEmpty { bufferWaiters = [] }
        if controls.isEmpty { controls = [] }
        recovery.rest()
    }

    // MARK: What the application does

    /// Opens a stream; `nil` while the peer allows no more, and then `openable` follows. The peer hears of a stream
    /// with the first frame for it or for a later one.
    package mutating func open() -> StreamID? {
        guard nextSequence < openLimit else {
            if !wantsOpen { controls.append(.streamsBlocked) }
            wantsOpen = true
            return nil
        }
        let id = StreamID(sequence: nextSequence, opener: role.rawValue)
        nextSequence += 1
        _ = insert(id)
        return id
    }

    /// Takes as many bytes as there is room for; where that is not all, `writable` follows. 0 for a stream that was
    /// finished, reset, stopped by the peer or closed.
    package mutating func write(_ bytes: some Collection<UInt8>, to id: StreamID) -> Int {
        guard let slot = streams.find(id), streams.slots[slot].send.phase == .open else { return 0 }
        let own = limits.streamSendBuffer - streams.slots[slot].send.buffered
        let shared = limits.sendBuffer - buffered
        let count = max(0, min(bytes.count, own, shared))
        if count < bytes.count {
            streams.slots[slot].wantsWritable = true
            if shared <= own { waitForBuffer(slot) }
        }
        guard count > 0 else { return 0 }
        streams.slots[slot].send.write(bytes.prefix(count))
        buffered += count
        markReady(slot)
        return count
    }

    /// No more will be written.
    package mutating func finish(_ id: StreamID) {
        guard let slot = streams.find(id) else { return }
        streams.slots[slot].send.finish()
        markReady(slot)
    }

    /// Gives up sending: what was not delivered will not be.
    package mutating func reset(_ id: StreamID, code: UInt64) {
        guard let slot = streams.find(id) else { return }
        reset(slot, code: code)
    }

    /// Gives up reading: what comes is dropped, and the peer is asked to send no more.
    package mutating func stop(_ id: StreamID, code: UInt64, into events: inout [StreamEvent]) {
        guard let slot = streams.find(id) else { return }
        fragments -= streams.slots[slot].receive.fragments
        if let credit = streams.slots[slot].receive.stop(code: code) {
            consume(credit)
            if !streams.slots[slot].receive.isDone { queue(.stop(id), .stop, slot) }
        }
        fragments += streams.slots[slot].receive.fragments
        settle(slot, into: &events)
    }

    /// Takes at most `limit` bytes. `readable` comes again only after everything was taken.
    package mutating func read(_ id: StreamID, limit: Int = .max, into events: inout [StreamEvent]) -> ReadResult {
        guard let slot = streams.find(id) else { return ReadResult(bytes: [], isFinished: false) }
        let result = streams.slots[slot].receive.read(limit: limit)
        consume(UInt64(result.bytes.count))
        if streams.slots[slot].receive.isWindowMoveDue { queue(.streamWindow(id), .window, slot) }
        if streams.slots[slot].receive.readable == 0 { streams.slots[slot].isReadableTold = false }
        if result.isFinished { settle(slot, into: &events) }
        return result
    }

    // MARK: How things stand

    /// Bytes of a stream that were written and not acknowledged.
    package func buffered(_ id: StreamID) -> Int { streams.lookUp(id).map { streams.slots[$0].send.buffered } ?? 0 }
    /// Bytes of a stream that can be read.
    package func readable(_ id: StreamID) -> Int { streams.lookUp(id).map { streams.slots[$0].receive.readable } ?? 0 }
    package func isOpen(_ id: StreamID) -> Bool { streams.lookUp(id) != nil }
    package var openCount: Int { streams.count }
    /// Bytes held for the application to read, and for holes to be filled.
    package var heldForReading: Int { Int(receivedTotal - window.consumed) }
    /// Nothing to send, nothing in flight.
    package var isIdle: Bool { !recovery.hasInFlight && ready.isEmpty && controls.isEmpty && buffered == 0 }
    package var roundTrip: Interval? { recovery.roundTrip.hasSample ? recovery.roundTrip.smoothed : nil }
    package var minimumRoundTrip: Interval? { recovery.roundTrip.hasSample ? recovery.roundTrip.minimum : nil }
    package var congestionWindow: Int { recovery.window.size }
    package var bytesInFlight: Int { recovery.window.inFlight }

    /// When to `tick`. `nil` where nothing is in flight and no ACK is owed.
    package var deadline: Deadline? {
        var earliest = recovery.deadline
        if let at = acks.deadline { earliest = .earliest(earliest, Deadline(at, "stream ack")) }
        if let pacedUntil { earliest = .earliest(earliest, Deadline(pacedUntil, "stream pacing")) }
        return earliest
    }

    // MARK: Shared by both sides

    mutating func insert(_ id: StreamID) -> Int {
        let window = FlowWindow(size: limits.allowance.streamWindow, maximum: limits.maxStreamWindow)
        return streams.insert(
            StreamState(
                id: id, send: SendStream(peerLimit: peerAllowance.streamWindow), receive: ReceiveStream(window: window))
        )
    }

    mutating func markReady(_ slot: Int) {
        guard !streams.slots[slot].isReady, streams.slots[slot].send.hasMore else { return }
        streams.slots[slot].isReady = true
        ready.append(streams.slots[slot].id)
    }

    mutating func queue(_ control: StreamControl, _ flag: StreamState.Queued, _ slot: Int) {
        guard !streams.slots[slot].queued.contains(flag) else { return }
        streams.slots[slot].queued.insert(flag)
        controls.append(control)
    }

    func waitsForRoom(_ slot: Int) -> Bool {
        streams.slots[slot].wantsWritable && streams.slots[slot].send.phase == .open
    }

    mutating func waitForBuffer(_ slot: Int) {
        guard !streams.slots[slot].waitsForBuffer else { return }
        streams.slots[slot].waitsForBuffer = true
        bufferWaiters.append(streams.slots[slot].id)
    }

    /// Bytes of some stream were read or dropped.
    mutating func consume(_ count: UInt64) {
        window.consume(count)
        guard window.isMoveDue, !isWindowQueued else { return }
        isWindowQueued = true
        controls.append(.window)
    }

    mutating func reset(_ slot: Int, code: UInt64) {
        guard let freed = streams.slots[slot].send.reset(code: code) else { return }
        buffered -= freed
        queue(.reset(streams.slots[slot].id), .reset, slot)
    }

    /// Says what is done, and frees the stream where both directions are.
    mutating func settle(_ slot: Int, into events: inout [StreamEvent]) {
        let id = streams.slots[slot].id
        guard streams.slots[slot].send.isDone, streams.slots[slot].receive.isDone else { return }
        if streams.slots[slot].waitsForCredit { creditWaiters.removeAll { $0 == id } }
        if streams.slots[slot].waitsForBuffer { bufferWaiters.removeAll { $0 == id } }
        streams.remove(id)
        events.append(.closed(id))
        guard id.opener != role.rawValue else { return }
        peerClosed += 1
        let limit = peerClosed + limits.allowance.streams
        guard limit - peerOpenLimit >= max(1, limits.allowance.streams / 4), !isStreamsQueued else { return }
        isStreamsQueued = true
        controls.append(.streams)
    }
}
