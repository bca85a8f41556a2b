import Base
import Control
import Mesh
import Noise
import Wire

/// One life of an agent.
final class AgentProcess: Program {
    private var agent: Agent
    private var outbox = AgentOutbox()
    private var plane = DataPlane()
    private var planeOutbox = DataPlaneOutbox()
    /// Packets that have come out of the overlay, whole.
    private var packets: [[UInt8]] = []
    private var settledAt = Instant.origin
    /// When the data plane is to report its traffic next.
    private var reportAt: Instant?

    init(_ machine: Machine, addresses: [SocketAddress], site: String, now: Instant, wall: UnixTime) {
        var generator = KeyGenerator(machine.keySeed)
        var configuration = AgentConfiguration(
            name: machine.name, version: AsterismVersion.current, containment: .cgroup)
        configuration.addresses = addresses
        configuration.site = site
        configuration.tcpPorts = [TCPLinks.port]
        configuration.mesh.hasDataPlane = true
        // A disk returns what was written to it.
        let membership = machine.disk.membership.map { try! MembershipRecord(decoding: $0) }
        let record = machine.disk.agentRecord.map { try! AgentRecord(decoding: $0) } ?? AgentRecord()
        agent = Agent(
            identity: Identity(generator.secretKey()), membership: membership, record: record,
            configuration: configuration, incarnation: machine.random.next(),
            seed: Seed(machine.random.next(), machine.random.next(), machine.random.next(), machine.random.next()),
            now: now, wall: wall)
        agent.handle(.adopted(AgentProcess.traces(of: machine.host)), now: now, into: &outbox)
        if membership == nil, let token = machine.token { agent.handle(.join(token: token), now: now, into: &outbox) }
        settle(now)
    }

    /// What the machine's files and processes show of workers.
    private static func traces(of host: SimulatedHost) -> [AdoptedWorker] {
        host.traces.map { trace in
            let process = host.process(trace.process)
            if process.isAlive {
                return AdoptedWorker(
                    trace.worker, .running(pid: process.pid, startedAt: process.startedAt, containment: .cgroup))
            }
            if let exit = trace.exit { return AdoptedWorker(trace.worker, .exited(exit, logBytes: 0)) }
            return AdoptedWorker(trace.worker, .lost(at: process.startedAt))
        }
    }

    func received(_ batch: inout DatagramBatch, now: Instant, wall: UnixTime) {
        for position in 0..<batch.count {
            let remote = batch.entries[position].remote, socket = batch.entries[position].socket
            batch.withBytes(at: position) { bytes in
                plane.received(
                    bytes, segment: bytes.count, congestion: 0, from: remote, by: socket, now: now,
                    into: &planeOutbox)
                takePackets()
            }
        }
        settle(now)
        guard !planeOutbox.others.isEmpty else { return }
        agent.received(&planeOutbox.others, now: now, into: &outbox)
        planeOutbox.others.removeAll()
        settle(now)
    }
    func tick(now: Instant, wall: UnixTime) {
        plane.tick(now: now)
        if let due = reportAt, due <= now {
            reportAt = nil
            agent.note(plane.takeActivity(), now: now, into: &outbox)
        }
        agent.tick(now: now, into: &outbox)
        settle(now)
    }
    func handle(_ input: AgentInput, now: Instant) {
        agent.handle(input, now: now, into: &outbox)
        settle(now)
    }
    var deadline: Deadline? {
        let report = reportAt.map { Deadline($0, "a report of the data plane") }
        return Deadline.earliest(Deadline.earliest(agent.deadline, plane.deadline), report)
    }

    // MARK: - Paths

    var figures: [(name: String, count: Int)] { agent.figures }
    func report(on node: NodeID, now: Instant) -> PathReport? { agent.report(on: node, now: now) }

    // MARK: - The overlay

    /// A program of the machine sends a packet.
    func submit(_ packet: [UInt8], now: Instant) {
        var bytes = packet
        bytes.withUnsafeMutableBytes { memory in
            plane.submitted(
                memory.baseAddress!, count: memory.count, VirtioHeader(), now: now, into: &planeOutbox)
        }
        settle(now)
    }

    private func takePackets() {
        let pieces = planeOutbox.packets.pieces
        for index in 0..<planeOutbox.packets.count {
            let bytes = planeOutbox.packets[index].flatMap { piece in
                [UInt8](UnsafeRawBufferPointer(start: pieces[piece].base, count: pieces[piece].count))
            }
            packets.append(Array(bytes[VirtioHeader.size...]))
        }
        planeOutbox.packets.removeAll()
    }

    /// Passes messages between agent and data plane until neither has any.
    private func settle(_ now: Instant) {
        settledAt = now
        while !outbox.mesh.dataPlane.isEmpty || !planeOutbox.events.isEmpty {
            for change in outbox.mesh.dataPlane { plane.apply(change, now: now, into: &planeOutbox) }
            outbox.mesh.dataPlane.removeAll()
            let events = planeOutbox.events
            planeOutbox.events.removeAll()
            if events.contains(.active), reportAt == nil { reportAt = now + DataPlane.reportAfter }
            agent.learned(events, now: now, into: &outbox)
        }
        for index in 0..<planeOutbox.trains.count {
            let train = planeOutbox.trains[index], memory = planeOutbox.trains.memory
            for offset in stride(from: 0, to: train.count, by: train.segment) {
                let count = min(train.segment, train.count - offset)
                outbox.mesh.datagrams.append(
                    UnsafeRawBufferPointer(start: memory + train.offset + offset, count: count), remote: train.remote,
                    socket: train.socket)
            }
        }
        // A virtual socket needs no closing.
        outbox.mesh.closedSockets.removeAll()
        planeOutbox.trains.removeAll()
        planeOutbox.replies.removeAll()
    }

    func informed(_ message: SimulatedHost.Message, now: Instant, wall: UnixTime) {
        switch message {
        case .launched(let worker, let pid, let startedAt):
            handle(.launched(worker, pid: pid, startedAt: startedAt, containment: .cgroup), now: now)
        case .launchFailed(let worker, let problem): handle(.launchFailed(worker, problem), now: now)
        case .exited(let worker, let exit): handle(.exited(worker, exit, logBytes: 0), now: now)
        case .lost(let worker): handle(.lost(worker, at: wall), now: now)
        case .stillThere(let worker): handle(.stillThere(worker), now: now)
        case .checked(let operation, let problems):
            handle(.checked(operation: operation, problems: problems), now: now)
        case .resolved(let name, let addresses): handle(.resolved(name, addresses), now: now)
        }
    }

    func ping(_ id: RequestID, _ node: NodeID, now: Instant) {
        let ping = PingPeer(peer: node.hex, count: 3, intervalMilliseconds: 100)
        handle(.request(id, .ping(ping)), now: now)
    }

    func takeEffects(_ effects: inout [Effect]) {
        effects += packets.map { .packet($0) }
        packets.removeAll()
        for action in outbox.actions {
            switch action {
            case .worker(.launch(let worker, let spec)): effects.append(.launch(worker, spec))
            case .worker(.signal(let worker, let number)): effects.append(.signal(worker, number))
            case .worker(.killTree(let worker)): effects.append(.killTree(worker))
            case .worker(.remove(let worker)): effects.append(.remove(worker))
            case .worker(.persist(let bytes)): effects.append(.persist(.agentRecord(bytes)))
            case .check(let operation, _, let spec): effects.append(.check(operation: operation, spec))
            case .persistMembership(let bytes): effects.append(.persist(.membership(bytes)))
            case .reply(let id, let result):
                var isSuccess = false
                if case .success(.ping(let view)) = result { isSuccess = !view.roundTripsMicroseconds.isEmpty }
                effects.append(.agentReply(id, isSuccess: isSuccess))
            case .overlayReachable(let address): effects.append(.requestEnded(address, nil))
            case .overlayUnreachable(let address, let failure):
                effects.append(.requestEnded(address, failure))
                plane.unreachable(address, now: settledAt, into: &planeOutbox)
            case .stopped: effects.append(.exit)
            // Logs are not read here, and no peer measures.
            case .resolve(let names): effects.append(.resolve(names))
            case .readLog, .benchServe, .benchEnd, .ready, .notice: break
            }
        }
        outbox.actions.removeAll(keepingCapacity: true)
    }

    func takeDatagrams(_ body: (inout DatagramBatch) -> Void) {
        guard !outbox.mesh.datagrams.isEmpty else { return }
        body(&outbox.mesh.datagrams)
        outbox.mesh.datagrams.removeAll()
    }

    func holdings(machines: Int, now: Instant) -> [Holding] {
        precondition(outbox.actions.isEmpty, "a look between two effects")
        handle(.request(RequestID(.max), .peersList), now: now)
        for case .reply(RequestID(.max), .success(.peers(let peers))) in outbox.actions {
            outbox.actions.removeAll { if case .reply(RequestID(.max), _) = $0 { true } else { false } }
            return Holding.of(peers, machines: machines)
        }
        return []
    }
}
