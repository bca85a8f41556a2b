import Base
import EventLoop
import Mesh
import Synchronization

/// # A shard on a thread of its own
///
/// The agent's loop sends messages to it, and gets messages from it. Nothing else is shared except what data planes share as
/// siblings. A shard reads its messages before it processes datagrams: the keys of a handshake are there before the first
/// packet that is sealed with them.
final class OverlayThread {
    enum Order: Sendable {
        case apply([DataPlaneChange])
        /// What came by sockets that only the agent has.
        case received([HandedDatagram])
        case unreachable(IPAddress)
        /// The node's port was opened again.
        case adopt(PortDescriptors)
        /// Report activity and counters.
        case report
        /// Copy what passes, or stop copying.
        case capture(CaptureTap?)
        case close
    }

    enum Report: Sendable {
        case others([HandedDatagram])
        /// To be sent by sockets that only the agent has.
        case outgoing([HandedDatagram])
        case events([DataPlaneEvent])
        case tooLarge(SocketAddress)
        case lost
        /// It could not have the port's new sockets.
        case unbound(Errno)
        case queueLength(shard: Int, Int)
        case figures(shard: Int, [DataPlaneActivity], OverlayCounters)
    }

    /// A datagram that moves to another thread.
    struct HandedDatagram: Sendable {
        private(set) var bytes: [UInt8]
        private(set) var remote: SocketAddress
        private(set) var socket: UInt16
    }

    /// What a shard is made of, in transit to its thread.
    struct Parts: Sendable {
        private(set) var shard: Int
        private(set) var role: DataPlaneRole
        private(set) var device: Int32
        private(set) var port: PortDescriptors
        private(set) var takesUDP: Bool
        private(set) var flows: FlowTable
        private(set) var isShared: Bool
    }

    let role: DataPlaneRole
    private let orders: Mailbox<Order>
    private let thread: LoopThread

    /// Where datagrams wait between threads, by direction.
    struct HandoffBuffers: Sendable {
        let others = HandoffBuffer(), outgoing = HandoffBuffer(), received = HandoffBuffer()

        var droppedCount: Int { others.droppedCount + outgoing.droppedCount + received.droppedCount }
    }

    /// `reports` are the agent's.
    init(_ name: String, _ parts: Parts, _ reports: Mailbox<Report>, _ handoffs: HandoffBuffers) throws(Errno) {
        role = parts.role
        let slot = Slot()
        thread = try LoopThread(name) { loop throws(Errno) in
            slot.orders = try OverlayThread.begin(on: loop, parts, reports, handoffs)
        }
        // It has begun, or it would have thrown.
        orders = slot.orders!
    }

    // Filled by the new thread before `LoopThread.init` returns, read after it.
    private final class Slot: @unchecked Sendable {
        var orders: Mailbox<Order>?
    }

    private static func begin(
        on loop: Loop, _ parts: Parts, _ reports: Mailbox<Report>, _ handoffs: HandoffBuffers
    ) throws(Errno) -> Mailbox<Order> {
        let device = FileDescriptor(owning: parts.device)
        let port = try MeshPort(on: loop, adopting: parts.port, receives: parts.role.contains(.inward)) { batch in
            let taken = handoffs.outgoing.take(&batch)
            if !taken.isEmpty { reports.send(.outgoing(taken)) }
        }
        let me = Weak<Worker>()
        let mail = Mailbox<Order>(on: loop) { me.object?.handle($0) }
        let shard = try OverlayShard(
            on: loop, parts.role,
            plane: DataPlane(
                takesUDP: parts.takesUDP, role: parts.role, flows: parts.flows, isShared: parts.isShared),
            device: device, port: port,
            OverlayShard.Listener(
                others: { batch in
                    let taken = handoffs.others.take(&batch)
                    if !taken.isEmpty { reports.send(.others(taken)) }
                }, events: { reports.send(.events($0)) },
                tooLarge: { reports.send(.tooLarge($0)) }, lost: { reports.send(.lost) },
                queueLength: { reports.send(.queueLength(shard: parts.shard, $0)) }, willReceive: { mail.deliver() }))
        // A shard whose interface is gone has nothing to wait for, and still reads its messages.
        let keepAliveTimer = Timer(on: loop, "keep-alive of the shard") {}
        keepAliveTimer.arm(every: .minutes(60))
        let worker = Worker(on: loop, parts.shard, shard, port, mail, reports, handoffs.received, keepAliveTimer)
        me.object = worker
        worker.keepAlive = worker
        return mail
    }

    func send(_ order: Order) { orders.send(order) }

    deinit { close() }

    /// Closes the shard and waits for its thread. Idempotent.
    func close() {
        orders.send(.close)
        thread.join()
    }

    /// The shard as its thread has it.
    private final class Worker {
        private let loop: Loop
        private let number: Int
        private let shard: OverlayShard
        private let port: MeshPort
        private let mail: Mailbox<Order>
        private let reports: Mailbox<Report>
        private let handoff: HandoffBuffer
        private let keepAliveTimer: Timer
        /// Until it is closed, nothing else holds it.
        var keepAlive: Worker?

        init(
            on loop: Loop, _ number: Int, _ shard: OverlayShard, _ port: MeshPort, _ mail: Mailbox<Order>,
            _ reports: Mailbox<Report>, _ handoff: HandoffBuffer, _ keepAliveTimer: Timer
        ) {
            self.loop = loop
            self.keepAliveTimer = keepAliveTimer
            self.handoff = handoff
            self.number = number
            self.shard = shard
            self.port = port
            self.mail = mail
            self.reports = reports
        }

        func handle(_ order: Order) {
            switch order {
            case .apply(let changes): shard.apply(changes)
            case .received(let datagrams):
                handoff.put(datagrams)
                shard.received(datagrams)
            case .unreachable(let address): shard.unreachable(address)
            case .adopt(let descriptors):
                do throws(Errno) { try port.adopt(descriptors, on: loop) } catch { reports.send(.unbound(error)) }
            case .report:
                var counters = shard.counters
                counters.ports = port.counters
                reports.send(.figures(shard: number, shard.takeActivity(), counters))
            case .capture(let tap): shard.tap = tap
            case .close:
                shard.close()
                port.close()
                mail.close()
                keepAliveTimer.close()
                keepAlive = nil
            }
        }
    }

    /// Holds datagrams that one thread has handed over and the other has not taken. It is bounded in bytes, so that a flood
    /// is dropped and does not fill the agent's memory. As in a socket's buffer, a datagram costs more than its bytes.
    final class HandoffBuffer: Sendable {
        private let bytes = Atomic<Int>(0)
        private let dropped = Atomic<Int>(0)

        /// The datagrams for which there is room.
        func take(_ batch: inout DatagramBatch) -> [HandedDatagram] {
            var taken: [HandedDatagram] = []
            for position in 0..<batch.count {
                let count = batch.entries[position].count + Limits.handedDatagram
                guard bytes.load(ordering: .relaxed) + count <= Limits.handoverBytes else {
                    dropped.add(1, ordering: .relaxed)
                    continue
                }
                bytes.add(count, ordering: .relaxed)
                let entry = batch.entries[position]
                taken.append(
                    HandedDatagram(bytes: batch.bytes(at: position), remote: entry.remote, socket: entry.socket))
            }
            return taken
        }

        func put(_ datagrams: [HandedDatagram]) {
            bytes.subtract(
                datagrams.reduce(0) { $0 + $1.bytes.count + Limits.handedDatagram }, ordering: .relaxed)
        }

        var droppedCount: Int { dropped.load(ordering: .relaxed) }
    }

    enum Limits {
        /// As much as a socket's buffer holds.
        static let handoverBytes = 4 << 20
        static let handedDatagram = 1024
    }
}
