import Base
import EventLoop
import Glibc
import Mesh

/// One direction of the overlay, or both, on one loop: a queue of the device, the node's port, and a data plane between them.
/// It reads, passes on and writes; only the data plane interprets packets. While the port accepts no more, the device is not
/// read. So packets wait in the kernel's queue, where their senders notice it.
final class OverlayShard {
    /// Receives what the shard delivers. Called on the shard's loop.
    struct Listener {
        /// Datagrams that are not packets.
        private(set) var others: (inout DatagramBatch) -> Void
        /// What the data plane has learned.
        private(set) var events: ([DataPlaneEvent]) -> Void
        /// The MTU of a path is smaller than assumed.
        private(set) var tooLarge: (SocketAddress) -> Void
        /// The interface is gone.
        private(set) var lost: () -> Void
        /// The interface's queue should have so many packets.
        private(set) var queueLength: (Int) -> Void
        /// Called before received bytes are processed.
        private(set) var willReceive: () -> Void = {}
    }

    /// Sealed bytes that are sent at once rather than collected further: they are still in the processor's cache.
    private static let flushBytes = 40 << 10

    private let loop: Loop
    private var queue: TunQueue!
    var plane: DataPlane
    var out = DataPlaneOutbox()
    private var port: MeshPort?
    private var listener: Listener?
    private var handed = DatagramBatch(capacity: 4096)
    private var sentTrains = 0
    private var isBlocked = false
    private var turn: Instant?
    private var queueLength = QueueLength()
    /// Where packets are copied to during a capture.
    var tap: CaptureTap?

    /// Begins to carry packets in the directions of `role`. `device` is a descriptor of the device's queue.
    init(
        on loop: Loop, _ role: DataPlaneRole, plane: consuming DataPlane, device: consuming FileDescriptor,
        port: MeshPort, _ listener: Listener
    ) throws(Errno) {
        self.loop = loop
        self.plane = plane
        self.port = port
        self.listener = listener
        let me = Weak<OverlayShard>()
        var reader: TunQueue.Reader?
        if role.contains(.outward) {
            reader = TunQueue.Reader(
                packet: { me.object?.submit($0, $1) ?? false }, drained: { me.object?.drained($0, $1, $2) },
                lost: { me.object?.listener?.lost() })
        }
        queue = try TunQueue(on: loop, owning: device, reader: reader)
        me.object = self
        port.attach(
            PortReceiver(
                message: { me.object?.receive($0, $1, $2, $3, $4) }, round: { me.object?.endTurn() },
                writable: { me.object?.goOn() }, tooLarge: { me.object?.listener?.tooLarge($0) }))
    }

    /// Leaves the port open: other parts may use it.
    func close() {
        queue.close()
        (port, listener) = (nil, nil)
    }

    // MARK: - Outwards

    var now: Instant {
        if let turn { return turn }
        let now = loop.now
        turn = now
        return now
    }

    private func submit(_ bytes: UnsafeMutableRawPointer, _ count: Int) -> Bool {
        if let tap {
            submit(bytes, count, copyTo: tap)
        } else {
            plane.submitted(frame: bytes, count: count, now: now, into: &out)
        }
        if out.trains.byteCount >= OverlayShard.flushBytes || !out.trains.hasRoom { sendTrains() }
        return !isBlocked
    }

    private func drained(_ packets: Int, _ bytes: Int, _ isFull: Bool) {
        let length = queueLength.turn(packets: packets, bytes: bytes, isFull: isFull || isBlocked, now: now)
        endTurn()
        if let length { listener?.queueLength(length) }
    }

    private func sendTrains() {
        guard let port, !out.trains.isEmpty else { return }
        let next = port.send(out.trains.all, from: sentTrains, in: out.trains.memory)
        if let tap { for train in sentTrains..<next { tap.outer(out.trains[train], in: out.trains.memory) } }
        if next < out.trains.count {
            sentTrains = next
            isBlocked = true
            queue.pause()
            return
        }
        out.trains.removeAll()
        sentTrains = 0
        if isBlocked {
            isBlocked = false
            queue.resume()
        }
    }

    private func goOn() {
        sendTrains()
        endTurn()
    }

    // MARK: - Inwards

    private func receive(
        _ bytes: UnsafeMutableRawBufferPointer, _ segment: Int, _ congestion: UInt8, _ remote: SocketAddress,
        _ socket: UInt16
    ) {
        listener?.willReceive()
        if !out.packets.hasRoom { writePackets() }
        if let tap { return receive(bytes, segment, congestion, remote, socket, copyTo: tap) }
        plane.received(
            bytes, segment: segment, congestion: congestion, from: remote, by: socket, now: now, into: &out)
    }

    /// Datagrams that came by sockets of another loop.
    func received(_ datagrams: [OverlayThread.HandedDatagram]) {
        // They stay here until the device has them.
        var batch = DatagramBatch()
        for datagram in datagrams {
            batch.append(datagram.bytes, remote: datagram.remote, socket: datagram.socket)
        }
        for position in 0..<batch.count {
            let entry = batch.entries[position]
            batch.withBytes(at: position) { receive($0, $0.count, 0, entry.remote, entry.socket) }
        }
        endTurn()
    }

    private func writePackets() {
        // A piece is laid out as the kernel's iovec: an address and a count.
        let pieces = UnsafeRawPointer(out.packets.pieces).assumingMemoryBound(to: iovec.self)
        for index in 0..<out.packets.count {
            let range = out.packets[index]
            queue.write(pieces + range.lowerBound, count: range.count)
        }
        out.packets.removeAll()
        guard !out.replies.isEmpty else { return }
        for reply in out.replies { write(reply) }
        out.replies.removeAll()
    }

    private func write(_ packet: [UInt8]) {
        var bytes = [UInt8](repeating: 0, count: VirtioHeader.size) + packet
        bytes.withUnsafeMutableBytes { memory in
            var piece = iovec(iov_base: memory.baseAddress, iov_len: memory.count)
            queue.write(&piece, count: 1)
        }
    }

    private func endTurn() {
        writePackets()
        sendTrains()
        turn = nil
        if !out.events.isEmpty {
            let happened = out.events
            out.events.removeAll()
            listener?.events(happened)
        }
        if !out.others.isEmpty {
            // Their results come back to `out`.
            swap(&out.others, &handed)
            listener?.others(&handed)
            handed.removeAll()
        }
    }

    // MARK: - From the agent

    func apply(_ changes: [DataPlaneChange]) {
        for change in changes { plane.apply(change, now: loop.now, into: &out) }
        // Packets that waited for the change.
        sendTrains()
    }

    func unreachable(_ address: IPAddress) {
        plane.unreachable(address, now: loop.now, into: &out)
        writePackets()
    }

    /// To be called about once a second.
    func takeActivity() -> [DataPlaneActivity] {
        plane.tick(now: loop.now)
        if let length = queueLength.widen(loop.now) { listener?.queueLength(length) }
        return plane.takeActivity()
    }

    var counters: OverlayCounters {
        OverlayCounters(
            plane: plane.counters, writeErrors: Int(queue.writeErrors.values.reduce(0, +)))
    }
}

/// What one shard or several have counted since the start.
struct OverlayCounters: Sendable {
    var plane = DataPlaneCounters()
    private(set) var writeErrors = 0
    /// Counters of the ports that belong to single shards.
    var ports: [(name: String, count: Int)] = []

    mutating func add(_ other: OverlayCounters) {
        plane.add(other.plane)
        writeErrors += other.writeErrors
        ports += other.ports
    }

    /// With a name for each port that has such a figure.
    var all: [(name: String, count: Int)] { plane.all + [("overlay.writeErrors", writeErrors)] + ports }
}
