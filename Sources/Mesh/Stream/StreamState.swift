import Wire

/// One stream: both of its directions, and the queues that it is in.
struct StreamState: Sendable {
    /// Which controls of this stream are queued.
    struct Queued: OptionSet, Sendable {
        let rawValue: UInt8
        static let reset = Queued(rawValue: 1)
        static let stop = Queued(rawValue: 2)
        static let window = Queued(rawValue: 4)
        static let blocked = Queued(rawValue: 8)
    }
    let id: StreamID
    var send: SendStream
    var receive: ReceiveStream
    private var queued: Queued = []
    /// It is in the queue of streams that have something to send.
    private var isReady = false
    /// It is in the queue of streams that wait for the connection's limit.
    private(set) var waitsForCredit = false
    /// A write was cut short.
    private var awaitsWritable = false
    /// It is in the queue of streams that wait for room in the send buffer of all.
    private(set) var waitsForBuffer = false
    /// `readable` was reported, and not everything has been read.
    private var isReadableReported = false

    init(id: StreamID, send: SendStream, receive: ReceiveStream) {
        self.id = id
        self.send = send
        self.receive = receive
    }

    var isDone: Bool { send.isDone && receive.isDone }
    var waitsForRoom: Bool { awaitsWritable && send.phase == .open }

    // MARK: - Queues. Each of these returns whether the stream is to be put into the queue, which holds it at most once.

    mutating func enqueue(_ control: Queued) -> Bool { queued.insert(control).inserted }
    mutating func dequeue(_ control: Queued) { queued.remove(control) }

    mutating func becomeReady() -> Bool {
        guard !isReady, send.hasMore else { return false }
        isReady = true
        return true
    }
    mutating func leaveReady() { isReady = false }

    mutating func waitForCredit() -> Bool {
        defer { waitsForCredit = true }
        return !waitsForCredit
    }
    mutating func leaveCreditWaiters() { waitsForCredit = false }

    mutating func waitForBuffer() -> Bool {
        defer { waitsForBuffer = true }
        return !waitsForBuffer
    }
    mutating func leaveBufferWaiters() { waitsForBuffer = false }

    // MARK: - Reports to the application

    mutating func writeWasCutShort() { awaitsWritable = true }
    mutating func reportWritable() { awaitsWritable = false }

    /// New bytes can be read; returns whether to report it.
    mutating func reportReadable() -> Bool {
        guard receive.phase == .open, !isReadableReported else { return false }
        isReadableReported = true
        return true
    }
    /// The application has read; when nothing is left, `readable` may be reported again.
    mutating func wasRead() { if receive.readable == 0 { isReadableReported = false } }
}
