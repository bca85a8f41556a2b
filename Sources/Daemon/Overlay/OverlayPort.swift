package import Base
package import Control
package import EventLoop
package import Mesh

/// # The overlay's shell
///
/// A TUN device and the node's UDP port, with data planes between them:
///
/// | threads | what carries packets |
/// |---|---|
/// | 1 | the agent's own loop: the least memory, no messages between threads, enough for several Gbit/s |
/// | 2 | one loop for outgoing packets, one for incoming packets |
/// | 4, 6, ... | so many pairs of loops, each with a queue of the device (IFF_MULTI_QUEUE) and a socket (SO_REUSEPORT) |
///
/// Flows keep their order: the kernel gives each flow to one queue, and each peer's datagrams to one socket.
///
/// Threads share the sockets that the node listens on. All other sockets, and TCP, stay on the agent's loop. What they
/// receive goes by message to the first thread for incoming packets, and what the threads send by them comes back the same
/// way. That costs a copy and a wake-up, but only on the slower paths.
package final class OverlayPort {
    package struct Settings: Hashable, Sendable {
        /// A name for the interface, or a pattern with `%d`.
        package var interface = "asterism%d"
        package var usesOffload = true
        /// The interface's MTU: 1500 less IPv6, UDP, and what a sealed packet adds.
        package private(set) var mtu = 1420
        /// 1, or an even number up to `mostThreads`.
        package var threads = 1
        package static let mostThreads = 16

        package init() {}
    }

    /// Receives what the overlay delivers, on the agent's loop.
    package struct Listener {
        /// Datagrams that are not packets.
        package private(set) var others: (inout DatagramBatch) -> Void
        /// What data planes have learned.
        package private(set) var events: ([DataPlaneEvent]) -> Void
        /// The MTU of a path is smaller than assumed.
        package private(set) var tooLarge: (SocketAddress) -> Void
        /// Traffic since the last report; after `report`, not always at once.
        package private(set) var activity: ([DataPlaneActivity]) -> Void
        /// Packets can no longer pass; the argument is the reason.
        package private(set) var lost: (String) -> Void

        package init(
            others: @escaping (inout DatagramBatch) -> Void, events: @escaping ([DataPlaneEvent]) -> Void,
            tooLarge: @escaping (SocketAddress) -> Void, activity: @escaping ([DataPlaneActivity]) -> Void,
            lost: @escaping (String) -> Void
        ) {
            self.others = others
            self.events = events
            self.tooLarge = tooLarge
            self.activity = activity
            self.lost = lost
        }
    }

    /// Super-packets of the device are no larger than what fits into one train: 45 segments of 1452 bytes.
    private static let gsoMax = 62_000
    private static let interfaceLost = "its interface was removed"

    private let loop: Loop
    private let settings: Settings
    private let device: TunDevice
    private var listener: Listener?
    private var reportTimer: Timer?
    /// With one thread.
    private var shard: OverlayShard?
    /// With more.
    private var threads: [OverlayThread] = []
    private var reports: Mailbox<OverlayThread.Report>?
    private let handoffs = OverlayThread.HandoffBuffers()
    /// What has arrived on sockets that only the agent has, until the round is over.
    private var handedIn = DatagramBatch()
    private var port: MeshPort?
    private let kernel: Blocking
    /// The queue length that each shard needs.
    private var queueLengths: [Int: Int] = [:]
    private var queueLength = QueueLength.wide
    private var isSettingQueue = false
    private var handed = DatagramBatch(capacity: 4096)
    /// What each thread reported last.
    private var figures: [OverlayCounters] = []
    /// Activity that some threads have reported. The agent learns of both directions at once; otherwise it would assume that
    /// what it has sent is not answered.
    private var reported: [DataPlaneActivity] = []
    private var reporters: Set<Int> = []
    private var configured: OverlayPlace?
    /// Why the interface does not have the addresses that it should.
    package private(set) var problem: String?

    /// Makes the interface. Throws the kernel's error.
    package init(on loop: Loop, _ settings: Settings) throws(Errno) {
        self.loop = loop
        self.settings = settings
        kernel = Blocking(on: loop, "the interface's queue")
        device = try TunDevice(
            named: settings.interface, queues: max(1, settings.threads / 2), usesOffload: settings.usesOffload)
        try device.configure(mtu: settings.mtu, queue: QueueLength.wide, gsoMax: OverlayPort.gsoMax)
    }

    package var interface: String { device.name }
    /// What the kernel leaves to this program, for people.
    package var offload: String {
        let parts: [(TunDevice.Offload, String)] = [(.checksum, "checksum"), (.tcp, "TSO"), (.udp, "USO")]
        let names = parts.filter { device.offload.contains($0.0) }.map { $0.1 }
        return names.isEmpty ? "none" : names.joined(separator: " ")
    }

    /// Begins to carry packets through `port`. From now on its datagrams pass through the overlay.
    package func attach(_ port: MeshPort, _ listener: Listener) throws(Errno) {
        self.listener = listener
        let me = Weak(self)
        reportTimer = Timer(on: loop, "traffic") { me.object?.report() }
        let takesUDP = device.offload.contains(.udp)
        guard settings.threads > 1 else {
            shard = try OverlayShard(
                on: loop, [.outward, .inward], plane: DataPlane(takesUDP: takesUDP),
                device: device.descriptor(ofQueue: 0), port: port,
                OverlayShard.Listener(
                    others: listener.others, events: { me.object?.learned($0) }, tooLarge: listener.tooLarge,
                    lost: { listener.lost(OverlayPort.interfaceLost) },
                    queueLength: { me.object?.setQueueLength($0, of: 0) }))
            return
        }
        let reports = Mailbox<OverlayThread.Report>(on: loop) { me.object?.handle($0) }
        self.reports = reports
        self.port = port
        port.stopReceiving()
        port.attach(
            PortReceiver(
                message: { me.object?.receive($0, segment: $1, from: $3, by: $4) }, round: { me.object?.handOver() },
                writable: {}, tooLarge: listener.tooLarge))
        let pairs = settings.threads / 2
        let flows = FlowTable()
        for (index, descriptors) in try port.shares(pairs: pairs).enumerated() {
            let role = index % 2 == 0 ? DataPlaneRole.outward : .inward
            let name = "overlay-\(index % 2 == 0 ? "out" : "in")-\(index / 2)"
            let parts = OverlayThread.Parts(
                shard: index, role: role, device: try device.descriptor(ofQueue: index / 2).release(),
                port: descriptors, takesUDP: takesUDP, flows: flows, isShared: pairs > 1)
            threads.append(try OverlayThread(name, parts, reports, handoffs))
            figures.append(OverlayCounters())
        }
    }

    /// Opens the node's port again, for all threads that have it; as `MeshPort.rebind`.
    package func rebind(_ port: MeshPort, to number: UInt16) throws(Errno) {
        for (thread, share) in zip(threads, try port.rebind(to: number, pairs: threads.count / 2)) {
            thread.send(.adopt(share))
        }
    }

    package func close() {
        for thread in threads { thread.close() }
        threads = []
        reports?.close()
        kernel.close()
        reportTimer?.close()
        shard?.close()
        device.close()
        (shard, listener, port) = (nil, nil, nil)
    }

    // MARK: - Sockets that only the agent has

    private func receive(
        _ bytes: UnsafeMutableRawBufferPointer, segment: Int, from remote: SocketAddress, by socket: UInt16
    ) {
        guard segment > 0 else { return }
        for start in stride(from: 0, to: bytes.count, by: segment) {
            handedIn.append(
                UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + segment, bytes.count)]), remote: remote,
                socket: socket)
        }
    }

    private func handOver() {
        let taken = handoffs.received.take(&handedIn)
        handedIn.removeAll()
        guard !taken.isEmpty else { return }
        threads.first { $0.role.contains(.inward) }?.send(.received(taken))
    }

    // MARK: - From threads

    private func handle(_ report: OverlayThread.Report) {
        switch report {
        case .events(let events): learned(events)
        case .tooLarge(let remote): listener?.tooLarge(remote)
        case .lost: listener?.lost(OverlayPort.interfaceLost)
        case .unbound(let error): listener?.lost("a thread's sockets could not be opened (\(error.message))")
        case .queueLength(let shard, let packets): setQueueLength(packets, of: shard)
        case .others(let datagrams):
            handoffs.others.put(datagrams)
            gather(datagrams)
            listener?.others(&handed)
            handed.removeAll()
        case .outgoing(let datagrams):
            handoffs.outgoing.put(datagrams)
            gather(datagrams)
            port?.send(&handed)
            handed.removeAll()
        case .figures(let shard, let activity, let counters):
            figures[shard] = counters
            reported += activity
            reporters.insert(shard)
            guard reporters.count == threads.count else { return }
            let all = reported
            (reported, reporters) = ([], [])
            listener?.activity(all)
        }
    }

    private func learned(_ events: [DataPlaneEvent]) {
        // While packets go out, the agent learns of it more often than once a second.
        if events.contains(.active) { reportTimer?.arm(after: DataPlane.reportAfter) }
        listener?.events(events)
    }

    private func gather(_ datagrams: [OverlayThread.HandedDatagram]) {
        for datagram in datagrams {
            handed.append(datagram.bytes, remote: datagram.remote, socket: datagram.socket)
        }
    }

    // MARK: - The interface's queue

    /// All queues of the interface have one length: the shortest that a shard needs.
    private func setQueueLength(_ packets: Int, of shard: Int) {
        queueLengths[shard] = packets
        settleQueue()
    }

    private func settleQueue() {
        let smallest = queueLengths.values.min() ?? QueueLength.wide
        guard smallest != queueLength, !isSettingQueue else { return }
        isSettingQueue = true
        let name = device.name, me = Weak(self)
        kernel.run {
            // A failure means that the interface is gone, which is reported elsewhere.
            try? TunDevice.set(queue: smallest, of: name)
        } then: { _ in
            guard let self = me.object else { return }
            self.queueLength = smallest
            self.isSettingQueue = false
            self.settleQueue()
        }
    }

    // MARK: - From the agent

    /// Applies the changes of the agent's endpoint. To be called before datagrams are sent that depend on them.
    package func apply(_ changes: [DataPlaneChange]) {
        if let shard { return shard.apply(changes) }
        // The first pair gets the originals; it must not have them before the siblings for the others are made.
        let messages = threads.enumerated().map { index, thread in
            let its = changes.filter { !$0.role.isDisjoint(with: thread.role) }
            return index < 2 ? its : its.map { $0.sibling() }
        }
        for (thread, message) in zip(threads, messages) where !message.isEmpty { thread.send(.apply(message)) }
    }

    /// No node has the address, or it cannot be reached.
    package func unreachable(_ address: IPAddress) {
        shard?.unreachable(address)
        for thread in threads where thread.role.contains(.outward) { thread.send(.unreachable(address)) }
    }

    /// Has traffic reported to the listener. To be called about once a second.
    package func report() {
        if let shard { listener?.activity(shard.takeActivity()) }
        for thread in threads { thread.send(.report) }
    }

    /// Copies what passes to a tap, or stops copying.
    func capture(_ tap: CaptureTap?) {
        shard?.tap = tap
        for thread in threads { thread.send(.capture(tap)) }
    }

    /// With several threads, as of the last report. The counters of each thread's port are included separately.
    package var counters: [(name: String, count: Int)] {
        var sum = shard?.counters ?? OverlayCounters()
        for each in figures { sum.add(each) }
        return sum.all + [("overlay.handoverDropped", handoffs.droppedCount)]
    }

    /// Gives the interface its addresses. Addresses that it already has are left unchanged.
    package func configure(_ place: OverlayPlace) {
        guard place != configured else { return }
        do throws(Errno) {
            // Without the network, the IPv4 addresses of others are unknown.
            if let address = place.v4 { try device.add(address, prefix: place.network4?.length ?? 32) }
            try device.add(place.v6, prefix: place.network6.length)
            configured = place
            problem = nil
        } catch { problem = "\(device.name) gets no address: \(error.message)" }
    }
}
