import Base
import DequeModule
import Wire

/// # The streams of one peer
///
/// A stream set knows what each stream has to send and what it has received, how much either side may send (flow control),
/// and which streams are open. It knows nothing of packets: `StreamMux` passes it received frames, informs it which frames
/// were acknowledged or lost, and asks it for frames when a packet has room.
///
/// Streams with something to send are in a queue and take turns packet by packet; within a stream, lost bytes are sent before
/// new ones. A stream that the connection's limit holds back waits in a second queue, and one that waits for room in the send
/// buffer of all in a third.
struct StreamSet: Sendable {
    private let role: StreamRole
    private let limits: StreamLimits
    /// What the peer lets each of our streams send from the start.
    private let peerStreamWindow: UInt64
    private var table = StreamTable()
    private var openings: StreamOpenings
    private var controls = StreamControlQueue()

    /// What the peer lets us send on all streams, and what was sent, each byte counted once.
    private var sendLimit: UInt64
    private var sendTotal: UInt64 = 0
    /// What we let the peer send on all streams, and what was received.
    private var window: FlowWindow
    private var receivedTotal: UInt64 = 0
    private var fragments = 0

    private var ready: Deque<StreamID> = []
    private var creditWaiters: Deque<StreamID> = []
    private var bufferWaiters: Deque<StreamID> = []
    /// Bytes written and not acknowledged, of all streams.
    private(set) var buffered = 0
    private(set) var staleFrames = 0
    private(set) var bytesRetransmitted = 0

    init(role: StreamRole, limits: StreamLimits, peerAllows: StreamAllowance) {
        self.role = role
        self.limits = limits
        peerStreamWindow = peerAllows.streamWindow
        openings = StreamOpenings(
            role: role, allowance: limits.allowance.streams, peerAllows: peerAllows.streams)
        sendLimit = peerAllows.window
        window = FlowWindow(size: limits.allowance.window, maximum: limits.maxWindow)
    }

    /// Nothing was sent for a while: frees memory that an idle peer does not need.
    mutating func rest() {
        if table.count == 0 { table = StreamTable() }
        if ready.isEmpty { ready = [] }
        if creditWaiters.isEmpty { creditWaiters = [] }
        if bufferWaiters.isEmpty { bufferWaiters = [] }
        controls.rest()
    }

    // MARK: - What the application does. `StreamMux` has the contract.

    mutating func open() -> StreamID? {
        guard let id = openings.open() else {
            if openings.request() { controls.append(.streamsBlocked) }
            return nil
        }
        insert(id)
        return id
    }

    mutating func write(_ bytes: some Collection<UInt8>, to id: StreamID) -> Int {
        guard let slot = table.find(id), table[slot].send.phase == .open else { return 0 }
        let own = limits.streamSendBuffer - table[slot].send.buffered
        let shared = limits.sendBuffer - buffered
        let count = max(0, min(bytes.count, own, shared))
        if count < bytes.count {
            table[slot].writeWasCutShort()
            if shared <= own { waitForBuffer(slot) }
        }
        guard count > 0 else { return 0 }
        table[slot].send.write(bytes.prefix(count))
        buffered += count
        markReady(slot)
        return count
    }

    mutating func finish(_ id: StreamID) {
        guard let slot = table.find(id) else { return }
        table[slot].send.finish()
        markReady(slot)
    }

    mutating func reset(_ id: StreamID, code: UInt64) {
        guard let slot = table.find(id) else { return }
        reset(slot, code: code)
    }

    mutating func stop(_ id: StreamID, code: UInt64, into events: inout [StreamEvent]) {
        guard let slot = table.find(id) else { return }
        fragments -= table[slot].receive.fragments
        if let credit = table[slot].receive.stop(code: code) {
            consume(credit)
            if !table[slot].receive.isDone { queue(.stop(id), .stop, slot) }
        }
        fragments += table[slot].receive.fragments
        settle(slot, into: &events)
    }

    mutating func read(_ id: StreamID, limit: Int, into events: inout [StreamEvent]) -> ReadResult {
        guard let slot = table.find(id) else { return ReadResult(bytes: [], isFinished: false) }
        let result = table[slot].receive.read(limit: limit)
        consume(UInt64(result.bytes.count))
        if table[slot].receive.isWindowMoveDue { queue(.streamWindow(id), .window, slot) }
        table[slot].wasRead()
        if result.isFinished { settle(slot, into: &events) }
        return result
    }

    // MARK: - State

    func buffered(_ id: StreamID) -> Int { table.lookUp(id).map { table[$0].send.buffered } ?? 0 }
    func readable(_ id: StreamID) -> Int { table.lookUp(id).map { table[$0].receive.readable } ?? 0 }
    func isOpen(_ id: StreamID) -> Bool { table.lookUp(id) != nil }
    var openCount: Int { table.count }
    var heldForReading: Int { Int(receivedTotal - window.consumed) }
    /// There may be a frame to send, apart from limits.
    var hasFrames: Bool { !ready.isEmpty || !controls.isEmpty }

    // MARK: - Received frames

    /// Applies a frame that is about streams. Returns false where its bytes could not be kept. Throws on input that only a
    /// broken or hostile peer sends.
    mutating func handle(_ frame: Frame, into events: inout [StreamEvent]) throws(StreamError) -> Bool {
        switch frame {
        case .padding, .ping, .ack: break
        case .stream(let id, let offset, let bytes, let isLast):
            guard let slot = try place(id, into: &events) else { break }
            return try store(bytes, at: offset, isLast: isLast, slot, into: &events)
        case .resetStream(let id, let code, let finalSize):
            guard let slot = try place(id, into: &events) else { break }
            try handleReset(slot, code: code, finalSize: finalSize, into: &events)
        case .stopSending(let id, let code):
            guard let slot = try place(id, into: &events), !table[slot].send.isDone else { break }
            if case .reset = table[slot].send.phase { break }
            reset(slot, code: code)
            events.append(.stopped(id, code: code))
        case .maxData(let limit):
            sendLimit = max(sendLimit, limit)
            wakeCreditWaiters()
        case .maxStreamData(let id, let limit):
            guard let slot = try place(id, into: &events) else { break }
            if table[slot].send.raise(peerLimit: limit) { markReady(slot) }
        case .maxStreams(let limit): if openings.raise(limit: limit) { events.append(.openable) }
        case .dataBlocked, .streamsBlocked: break
        case .streamDataBlocked(let id, _): _ = try place(id, into: &events)
        }
        return true
    }

    /// The stream of a frame, which the frame may open. `nil` for one that is closed.
    private mutating func place(_ id: StreamID, into events: inout [StreamEvent]) throws(StreamError) -> Int? {
        if let slot = table.find(id) { return slot }
        let opened = try openings.opened(by: id)
        guard !opened.isEmpty else {
            staleFrames += 1
            return nil
        }
        for id in opened {
            insert(id)
            events.append(.opened(id))
        }
        return table.find(id)
    }

    private mutating func store(
        _ bytes: [UInt8], at offset: UInt64, isLast: Bool, _ slot: Int, into events: inout [StreamEvent]
    ) throws(StreamError) -> Bool {
        let id = table[slot].id
        // The sum is below 2^62: the frame's decoder has checked it.
        let range = offset..<offset + UInt64(bytes.count)
        let advance = try table[slot].receive.check(id, range, isLast: isLast)
        guard receivedTotal + advance <= window.limit else { throw .flowControl(id) }
        let growth = table[slot].receive.growth(range)
        if growth > 0 {
            let own = table[slot].receive.fragments
            guard own + growth <= limits.streamFragments, fragments + growth <= limits.fragments else { return false }
        }
        receivedTotal += advance
        let before = table[slot].receive.contiguous, wasComplete = table[slot].receive.isComplete
        fragments -= table[slot].receive.fragments
        let credit = table[slot].receive.store(bytes, at: offset, isLast: isLast)
        fragments += table[slot].receive.fragments
        if credit > 0 { consume(credit) }
        let hasNews = table[slot].receive.contiguous > before || table[slot].receive.isComplete != wasComplete
        if hasNews, table[slot].reportReadable() { events.append(.readable(id)) }
        if table[slot].receive.isDone { settle(slot, into: &events) }
        return true
    }

    private mutating func handleReset(
        _ slot: Int, code: UInt64, finalSize: UInt64, into events: inout [StreamEvent]
    ) throws(StreamError) {
        let id = table[slot].id
        let advance = try table[slot].receive.check(id, finalSize..<finalSize, isLast: true)
        guard receivedTotal + advance <= window.limit else { throw .flowControl(id) }
        receivedTotal += advance
        let isRequested = table[slot].receive.phase == .open
        fragments -= table[slot].receive.fragments
        let credit = table[slot].receive.reset(finalSize: finalSize)
        fragments += table[slot].receive.fragments
        guard let credit else { return }
        consume(credit)
        if isRequested { events.append(.reset(id, code: code)) }
        settle(slot, into: &events)
    }

    /// The connection's limit may have moved.
    private mutating func wakeCreditWaiters() {
        guard sendTotal < sendLimit else { return }
        while let id = creditWaiters.popFirst() {
            guard let slot = table.find(id) else { continue }
            table[slot].leaveCreditWaiters()
            markReady(slot)
        }
    }

    // MARK: - Acknowledged and lost frames

    mutating func acknowledged(_ item: SentContents.Item, into events: inout [StreamEvent]) {
        switch item {
        case .stream(let id, let range, let isLast):
            guard let slot = table.find(id) else { return }
            let wasDone = table[slot].send.isDone
            buffered -= table[slot].send.acknowledged(range, isLast: isLast)
            if table[slot].waitsForRoom { reportWritable(slot, into: &events) }
            guard table[slot].send.isDone, !wasDone else { return }
            events.append(.acknowledged(id))
            settle(slot, into: &events)
        case .control(.reset(let id)):
            guard let slot = table.find(id) else { return }
            table[slot].send.resetAcknowledged()
            settle(slot, into: &events)
        case .control(.stop), .control(.streamWindow), .control(.streamBlocked), .control(.window), .control(.streams),
            .control(.blocked), .control(.streamsBlocked), .control(.ping):
            break
        }
    }

    mutating func lost(_ item: SentContents.Item) {
        switch item {
        case .stream(let id, let range, let isLast):
            guard let slot = table.find(id) else { return }
            table[slot].send.lost(range, isLast: isLast)
            markReady(slot)
        case .control(let control): lost(control)
        }
    }

    private mutating func lost(_ control: StreamControl) {
        switch control {
        case .reset(let id): if let slot = table.find(id) { queue(control, .reset, slot) }
        case .stop(let id): if let slot = table.find(id) { queue(control, .stop, slot) }
        case .streamWindow(let id): if let slot = table.find(id) { queue(control, .window, slot) }
        case .window, .streams: controls.append(control)
        // The peer acts on none of these; they are sent again when a limit is reached again.
        case .streamBlocked, .blocked, .streamsBlocked, .ping: break
        }
    }

    /// Reports room to a stream whose write was cut short, when a quarter of its buffer is free.
    private mutating func reportWritable(_ slot: Int, into events: inout [StreamEvent]) {
        guard limits.streamSendBuffer - table[slot].send.buffered >= limits.streamSendBuffer / 4 else { return }
        guard buffered <= limits.sendBuffer / 4 * 3 else { return waitForBuffer(slot) }
        table[slot].reportWritable()
        events.append(.writable(table[slot].id))
    }

    /// Acknowledgements may have freed room in the send buffer of all.
    mutating func wakeBufferWaiters(into events: inout [StreamEvent]) {
        guard !bufferWaiters.isEmpty, buffered <= limits.sendBuffer / 4 * 3 else { return }
        while let id = bufferWaiters.popFirst() {
            guard let slot = table.find(id) else { continue }
            table[slot].leaveBufferWaiters()
            if table[slot].waitsForRoom { reportWritable(slot, into: &events) }
        }
    }

    // MARK: - Frames to send

    /// Appends controls and then pieces of streams to `writer`, up to byte `end`, and notes them in `contents`.
    mutating func append(
        end: Int, roundTrip: Interval, now: Instant, _ contents: inout SentContents, to writer: inout ByteWriter
    ) {
        // The longest is a type and three varints of eight bytes.
        while end - writer.count >= 25, let control = controls.popFirst() {
            guard let frame = frame(for: control, roundTrip, now) else { continue }
            frame.write(to: &writer)
            contents.append(.control(control))
        }
        appendStreams(end: end, &contents, to: &writer)
    }

    /// The frame of a control, with the current state; `nil` where it is no longer needed.
    private mutating func frame(for control: StreamControl, _ roundTrip: Interval, _ now: Instant) -> Frame? {
        switch control {
        case .reset(let id):
            guard let slot = dequeued(id, .reset) else { return nil }
            guard case .reset(let code) = table[slot].send.phase else { return nil }
            return .resetStream(id, code: code, finalSize: table[slot].send.finalSize)
        case .stop(let id):
            guard let slot = dequeued(id, .stop) else { return nil }
            guard case .stopped(let code) = table[slot].receive.phase else { return nil }
            return .stopSending(id, code: code)
        case .streamWindow(let id):
            guard let slot = dequeued(id, .window) else { return nil }
            guard let limit = table[slot].receive.moveWindow(roundTrip: roundTrip, now: now) else { return nil }
            // Where one stream's window has grown, the window of all streams must not limit it.
            window.grow(toAtLeast: table[slot].receive.window.size / 2 * 3)
            return .maxStreamData(id, limit)
        case .streamBlocked(let id):
            guard let slot = dequeued(id, .blocked), table[slot].send.isHeldUp else { return nil }
            return .streamDataBlocked(id, table[slot].send.peerLimit)
        case .window: return .maxData(window.move(roundTrip: roundTrip, now: now))
        case .streams: return .maxStreams(openings.movePeerLimit())
        case .blocked: return sendTotal >= sendLimit ? .dataBlocked(sendLimit) : nil
        case .streamsBlocked: return openings.isRequested ? .streamsBlocked(openings.limit) : nil
        case .ping: return .ping
        }
    }

    private mutating func dequeued(_ id: StreamID, _ control: StreamState.Queued) -> Int? {
        guard let slot = table.find(id) else { return nil }
        table[slot].dequeue(control)
        return slot
    }

    private mutating func appendStreams(end: Int, _ contents: inout SentContents, to writer: inout ByteWriter) {
        while let id = ready.first {
            let room = end - writer.count
            // Very small segments at the end of a packet are not worth their headers.
            guard room >= (contents.isEmpty ? 12 : 40) else { return }
            guard let slot = table.find(id) else {
                ready.removeFirst()
                continue
            }
            let (segment, holdup) = table[slot].send.next(id: id, room: room, credit: sendLimit - sendTotal)
            if let segment {
                append(segment, slot, to: &writer)
                contents.append(.stream(id, segment.range, isLast: segment.isLast))
                ready.removeFirst()
                table[slot].leaveReady()
                markReady(slot)
                continue
            }
            if holdup == .room { return }
            ready.removeFirst()
            table[slot].leaveReady()
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
        bytesRetransmitted += count - Int(segment.fresh)
        Frame.writeStreamHeader(
            table[slot].id, offset: segment.range.lowerBound, count: count, isLast: segment.isLast, to: &writer)
        table[slot].send.append(segment.range, to: &writer)
    }

    // MARK: - Shared by both sides

    private mutating func insert(_ id: StreamID) {
        let window = FlowWindow(size: limits.allowance.streamWindow, maximum: limits.maxStreamWindow)
        table.insert(
            StreamState(id: id, send: SendStream(peerLimit: peerStreamWindow), receive: ReceiveStream(window: window)))
    }

    private mutating func markReady(_ slot: Int) {
        if table[slot].becomeReady() { ready.append(table[slot].id) }
    }

    private mutating func queue(_ control: StreamControl, _ flag: StreamState.Queued, _ slot: Int) {
        if table[slot].enqueue(flag) { controls.append(control) }
    }

    private mutating func waitForBuffer(_ slot: Int) {
        if table[slot].waitForBuffer() { bufferWaiters.append(table[slot].id) }
    }

    private mutating func waitForCredit(_ slot: Int) {
        guard table[slot].waitForCredit() else { return }
        if creditWaiters.isEmpty { controls.append(.blocked) }
        creditWaiters.append(table[slot].id)
    }

    /// Bytes of some stream were read or dropped.
    private mutating func consume(_ count: UInt64) {
        window.consume(count)
        if window.isMoveDue { controls.append(.window) }
    }

    private mutating func reset(_ slot: Int, code: UInt64) {
        guard let freed = table[slot].send.reset(code: code) else { return }
        buffered -= freed
        queue(.reset(table[slot].id), .reset, slot)
    }

    /// Reports the directions that are done, and frees the stream where both are.
    private mutating func settle(_ slot: Int, into events: inout [StreamEvent]) {
        guard table[slot].isDone else { return }
        let id = table[slot].id
        if table[slot].waitsForCredit { creditWaiters.removeAll { $0 == id } }
        if table[slot].waitsForBuffer { bufferWaiters.removeAll { $0 == id } }
        table.remove(id)
        events.append(.closed(id))
        if openings.closed(id) { controls.append(.streams) }
    }
}
