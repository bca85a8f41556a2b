import Base
import EventLoop
import Mesh
import Wire

/// One TCP connection that carries datagrams (`StreamPort`): the received part of a datagram, the queue to be sent, and when
/// it was used last.
final class StreamConnection {
    struct Key: Hashable {
        private(set) var remote: SocketAddress
        /// Whether this node made it.
        private(set) var isOutgoing: Bool
    }

    /// Why a connection is to be closed.
    enum Fault: Hashable {
        /// This node made it, and has sent nothing on it for `idleAfter`.
        case idle
        /// It was not established within `connectWithin`.
        case stuck
        /// It has carried nothing that deserved an answer within `greetingTimeout`.
        case anonymous
        /// Nothing was received on it for `silentAfter`.
        case silent
    }

    private static let idleAfter = Interval.seconds(90)
    private static let silentAfter = Interval.seconds(180)
    private static let greetingTimeout = Interval.seconds(10)
    private static let connectWithin = Interval.seconds(10)
    /// Bytes that the kernel holds unsent; more are queued here, where they can still be dropped.
    private static let unsentBytes: Int32 = 32 << 10

    private(set) var key: Key
    private let loop: Loop
    private let stream: ByteStream
    private let since: Instant
    private var framing: DatagramFraming
    private var queue = CoDelQueue()
    private var sentAt: Instant?
    private var receivedAt: Instant

    init(_ stream: ByteStream, to remote: SocketAddress, isOutgoing: Bool, on loop: Loop) {
        self.loop = loop
        self.stream = stream
        key = Key(remote: remote, isOutgoing: isOutgoing)
        since = loop.now
        receivedAt = since
        framing = DatagramFraming(isServer: !isOutgoing)
    }

    /// `onEnd` is called when the far end is gone.
    func start(onRead: @escaping ([UInt8]) -> Void, onEnd: @escaping () -> Void) {
        stream.limitUnsent(StreamConnection.unsentBytes)
        stream.onDrained = { [weak self] in self?.sendWaiting() }
        stream.start(onRead: onRead, onEnd: { _ in onEnd() })
        if key.isOutgoing { stream.write(DatagramFraming.greeting) }
    }

    func close() { stream.close() }

    var age: Interval { loop.now - since }

    /// The reason to close it now, if there is one.
    var fault: Fault? {
        let now = loop.now
        if key.isOutgoing {
            if stream.isConnecting, now - since >= StreamConnection.connectWithin { return .stuck }
            return now - (sentAt ?? since) >= StreamConnection.idleAfter ? .idle : nil
        }
        if sentAt == nil, now - since >= StreamConnection.greetingTimeout { return .anonymous }
        return now - receivedAt >= StreamConnection.silentAfter ? .silent : nil
    }

    /// Adds the datagrams that are complete now. Throws where the far end does not speak our protocol; earlier datagrams are
    /// added.
    func receive(
        _ bytes: [UInt8], socket: UInt16, into batch: inout DatagramBatch
    ) throws(DatagramFraming.Fault) {
        receivedAt = loop.now
        try framing.receive(bytes) { datagram in
            batch.append(reserving: datagram.count, remote: key.remote, socket: socket) {
                $0.copyMemory(from: UnsafeRawBufferPointer(datagram))
                return datagram.count
            }
        }
    }

    /// Sends one datagram, queues it, or drops it.
    func send(_ datagram: UnsafeRawBufferPointer) {
        var frame: [UInt8] = []
        frame.reserveCapacity(DatagramFraming.lengthSize + datagram.count)
        DatagramFraming.append(datagram, to: &frame)
        sentAt = loop.now
        if queue.isEmpty, stream.pendingBytes == 0, stream.write(frame) { return }
        queue.push(frame, now: loop.now)
        if stream.pendingBytes == 0 { sendWaiting() }
    }

    private func sendWaiting() {
        while stream.pendingBytes == 0, let frame = queue.pop(now: loop.now) {
            guard stream.write(frame) else { break }
        }
    }

    /// Datagrams that are queued, that waited too long, and for which there was no room.
    var figures: (waiting: Int, dropped: Int, refused: Int) { (queue.depth, queue.dropped, queue.refused) }
}
