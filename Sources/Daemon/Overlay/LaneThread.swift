import Base
import EventLoop
import Mesh
import Synchronization

/// # A lane on a thread of its own
///
/// The agent's loop writes letters to it, and gets letters from it; nothing else is shared but what `DataPlane` lets its
/// siblings share. A lane reads its letters before it looks at what a socket has brought: keys that the agent had when it
/// answered a handshake are there before the first packet that is sealed with them.
final class LaneThread {
    enum Order: Sendable {
        case apply([DataPlaneChange])
        /// What came by sockets that only the agent has.
        case received([HandedDatagram])
        case unreachable(IPAddress)
        /// The node's port was opened anew.
        case adopt(PortDescriptors)
        /// Tell activity and counters.
        case report
        /// Copy what passes, or do no more.
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
        case queueLength(lane: Int, Int)
        case figures(lane: Int, [DataPlaneActivity], OverlayCounters)
    }

    /// A datagram that changes its thread.
    struct HandedDatagram: Sendable {
        private(set) var bytes: [UInt8]
        private(set) var remote: SocketAddress
        private(set) var socket: UInt16
    }

    /// What a lane is made of, on its way to its thread.
    struct Parts: Sendable {
        private(set) var lane: Int
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

    /// Where datagrams lie between threads, by where they go.
    struct Desks: Sendable {
        let others = Desk(), outgoing = Desk(), received = Desk()

        var droppedCount: Int { others.droppedCount + outgoing.droppedCount + received.droppedCount }
    }

    /// `reports` are the agent's.
    init(_ name: String, _ parts: Parts, _ reports: Mailbox<Report>, _ desks: Desks) throws(Errno) {
        role = parts.role
        let slot = Slot()
        thread = try LoopThread(name) { loop throws(Errno) in
            slot.orders = try LaneThread.begin(on: loop, parts, reports, desks)
        }
        // It has begun, or it would have thrown.
        orders = slot.orders!
    }

    // Filled by the new thread before `LoopThread.init` returns, read after it.
    private final class Slot: @unchecked Sendable {
        var orders: Mailbox<Order>?
    }

    private static func begin(
        on loop: Loop, _ parts: Parts, _ reports: Mailbox<Report>, _ desks: Desks
    ) throws(Errno) -> Mailbox<Order> {
        let device = FileDescriptor(owning: parts.device)
        let port = try MeshPort(on: loop, adopting: parts.port, receives: parts.role.contains(.inward)) { batch in
            let taken = desks.outgoing.take(&batch)
            if !taken.isEmpty { reports.send(.outgoing(taken)) }
        }
        let me = Weak<Worker>()
        let mail = Mailbox<Order>(on: loop) { me.object?.handle($0) }
        let lane = try OverlayLane(
            on: loop, parts.role,
            plane: DataPlane(
                takesUDP: parts.takesUDP, role: parts.role, flows: parts.flows, isShared: parts.isShared),
            device: device, port: port,
            OverlayLane.Listener(
                others: { batch in
                    let taken = desks.others.take(&batch)
                    if !taken.isEmpty { reports.send(.others(taken)) }
                }, events: { reports.send(.events($0)) },
                tooLarge: { reports.send(.tooLarge($0)) }, lost: { reports.send(.lost) },
                queueLength: { reports.send(.queueLength(lane: parts.lane, $0)) }, willReceive: { mail.deliver() }))
        // A lane whose interface is gone has nothing to wait for, and still reads its letters.
        let stay = Timer(on: loop, "the lane's stay") {}
        stay.arm(every: .minutes(60))
        let worker = Worker(on: loop, parts.lane, lane, port, mail, reports, desks.received, stay)
        me.object = worker
        worker.keepAlive = worker
        return mail
    }

    func send(_ order: Order) { orders.send(order) }

    deinit { close() }

    /// Closes the lane and waits for its thread. Idempotent.
    func close() {
        orders.send(.close)
        thread.join()
    }

    /// The lane as its thread has it.
    private final class Worker {
        private let loop: Loop
        private let number: Int
        private let lane: OverlayLane
        private let port: MeshPort
        private let mail: Mailbox<Order>
        private let reports: Mailbox<Report>
        private let desk: Desk
        private let stay: Timer
        /// Until it is closed nobody else holds it.
        var keepAlive: Worker?

        init(
            on loop: Loop, _ number: Int, _ lane: OverlayLane, _ port: MeshPort, _ mail: Mailbox<Order>,
            _ reports: Mailbox<Report>, _ desk: Desk, _ stay: Timer
        ) {
            self.loop = loop
            self.stay = stay
            self.desk = desk
            self.number = number
            self.lane = lane
            self.port = port
            self.mail = mail
            self.reports = reports
        }

        func handle(_ order: Order) {
            switch order {
            case .apply(let changes): lane.apply(changes)
            case .received(let datagrams):
                desk.took(datagrams)
                lane.received(datagrams)
            case .unreachable(let address): lane.unreachable(address)
            case .adopt(let descriptors):
                do throws(Errno) { try port.adopt(descriptors, on: loop) } catch { reports.send(.unbound(error)) }
            case .report:
                var counters = lane.counters
                counters.ports = port.counters
                reports.send(.figures(lane: number, lane.takeActivity(), counters))
            case .capture(let tap): lane.tap = tap
            case .close:
                lane.close()
                port.close()
                mail.close()
                stay.close()
                keepAlive = nil
            }
        }
    }

    /// Where datagrams lie that one thread has handed over and the other has not taken: so many bytes, and no more, so that
    /// a flood ends in front of the agent and not in its memory. As in a socket's buffer, a datagram costs more than its
    /// bytes.
    final class Desk: Sendable {
        private let bytes = Atomic<Int>(0)
        private let dropped = Atomic<Int>(0)

        /// What there is room for.
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

        func took(_ datagrams: [HandedDatagram]) {
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
