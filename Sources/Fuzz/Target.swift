import Base
import Control
import Mesh
import Noise
import OrderedCollections
import Wire

/// A program of ours under fire: a whole endpoint, controller or agent, and what it wants sent.
protocol Target: AnyObject {
    var name: String { get }
    var node: NodeID { get }
    var address: SocketAddress { get }
    var deadline: Instant? { get }
    func received(_ batch: inout DatagramBatch, now: Instant)
    func tick(now: Instant)
    /// Appends what is to be sent, and empties the outbox.
    func drain(now: Instant, into wire: inout [Flying])
    /// A law of its own that is broken.
    func complaint(now: Instant) -> String?
}

struct Flying {
    var from: SocketAddress
    var to: SocketAddress
    var bytes: [UInt8]
}

extension DatagramBatch {
    mutating func drain(from: SocketAddress, into wire: inout [Flying]) {
        for index in 0..<count { wire.append(Flying(from: from, to: entries[index].remote, bytes: bytes(at: index))) }
        removeAll()
    }
}

/// A bare endpoint. It reads whatever streams bring, and echoes messages of nodes that are not hostile.
final class EndpointTarget: Target {
    let name: String
    let node: NodeID
    let address: SocketAddress
    var endpoint: Endpoint
    private var outbox = MeshOutbox()
    private let clock: Clock
    /// What came from nodes in `friends`, and what became of sessions with them.
    var friends: [NodeID] = []
    private(set) var heard: [[UInt8]] = []
    private(set) var lost = 0
    private(set) var bytesRead = 0

    init(
        _ name: String, key: consuming SecretKey, credentials: Credentials?, configuration: MeshConfiguration,
        address: SocketAddress, seed: Seed, now: Instant, clock: Clock
    ) {
        self.name = name
        self.address = address
        self.clock = clock
        node = key.publicKey
        endpoint = Endpoint(
            identity: Identity(key), credentials: credentials, configuration: configuration, seed: seed, now: now)
    }

    var deadline: Instant? { endpoint.deadline?.at }
    func received(_ batch: inout DatagramBatch, now: Instant) {
        endpoint.received(&batch, now: now, wall: clock.wall(now), into: &outbox)
    }
    func tick(now: Instant) { endpoint.tick(now: now, wall: clock.wall(now), into: &outbox) }
    func connect(to other: EndpointTarget, now: Instant) {
        endpoint.connect(to: other.node, at: [other.address], now: now, into: &outbox)
    }

    func drain(now: Instant, into wire: inout [Flying]) {
        while !outbox.events.isEmpty {
            let events = outbox.events
            outbox.events = []
            for event in events { handle(event) }
            endpoint.flush(now: now, into: &outbox)
        }
        endpoint.flush(now: now, into: &outbox)
        outbox.datagrams.drain(from: address, into: &wire)
    }

    private func handle(_ event: MeshEvent) {
        switch event {
        case .message(let node, let bytes) where friends.contains(node): heard.append(bytes)
        case .disconnected(let node, _) where friends.contains(node): lost += 1
        case .stream(let node, .readable(let stream)):
            while true {
                let result = endpoint.read(stream, of: node, limit: 4096, into: &outbox)
                bytesRead += result.bytes.count
                // Some of it goes back, so that the sending half works as well.
                _ = endpoint.write(result.bytes.prefix(512), to: stream, of: node)
                if result.isFinished { endpoint.finish(stream, of: node) }
                if result.bytes.isEmpty || result.isFinished { break }
            }
        case .connected, .disconnected, .connectFailed, .message, .stream, .pong, .candidatesChanged,
            .relayUnreached:
            break
        }
    }

    func takeReceived() -> [[UInt8]] {
        defer { heard = [] }
        return heard
    }

    func complaint(now: Instant) -> String? {
        if lost > 0 { return "\(name) lost the session with a friend" }
        let all = endpoint.summaries(now: now)
        if all.count > Limits.sessions { return "\(name) has \(all.count) peers" }
        for peer in all where peer.openStreams > 2048 { return "\(name): \(peer.openStreams) streams of \(peer.node)" }
        return nil
    }
}

/// A controller with its people: they ask for everything now and then, so that what was reported is shown.
final class ControllerTarget: Target {
    let name = "controller"
    let node: NodeID
    let address: SocketAddress
    private var controller: Controller
    private var outbox = ControllerOutbox()
    private(set) var persisted = 0
    private(set) var status: StatusView?
    private(set) var nodes: [NodeView] = []
    private var requests = 0

    init(
        key: consuming SecretKey, authority: consuming Authority, stored: StoredState, address: SocketAddress,
        seed: Seed, now: Instant, clock: Clock
    ) {
        node = key.publicKey
        self.address = address
        controller = Controller(
            identity: Identity(key), authority: authority,
            settings: ControllerSettings(name: "controller", addresses: [address]), stored: stored, incarnation: 1,
            seed: seed, now: now, wall: clock.wall(now))
    }

    var deadline: Instant? { controller.deadline?.at }
    func received(_ batch: inout DatagramBatch, now: Instant) { controller.received(&batch, now: now, into: &outbox) }
    func tick(now: Instant) { controller.tick(now: now, into: &outbox) }

    func drain(now: Instant, into wire: inout [Flying]) {
        take()
        outbox.mesh.datagrams.drain(from: address, into: &wire)
    }

    private func take() {
        for action in outbox.actions {
            switch action {
            case .persist(let changes): persisted += changes.count
            case .reply(_, .success(.status(let view))): status = view
            case .reply(_, .success(.nodes(let views))): nodes = views
            case .reply: break
            }
        }
        outbox.actions.removeAll(keepingCapacity: true)
    }

    func ask(_ request: ControllerRequest, now: Instant) {
        requests += 1
        controller.handle(.request(RequestID(UInt64(requests)), request), now: now, into: &outbox)
        take()
    }

    /// Shows everything that agents have told.
    func look(now: Instant) {
        for request: ControllerRequest in [
            .status, .nodesList, .workersList(.init()), .acceleratorsList, .peersList,
            .nodesGet(.init(node: "mallory")), .workersGet(.init(name: "w1")), .eventsList(.init()),
        ] { ask(request, now: now) }
    }

    func complaint(now: Instant) -> String? {
        look(now: now)
        guard let alpha = nodes.first(where: { $0.name == "alpha" }) else { return "the controller forgot a node" }
        guard alpha.state == .online else { return "the controller says that alpha is \(alpha.state)" }
        return nil
    }

    func count(_ name: String) -> Int { status?.counters.first { $0.name == name }?.count ?? 0 }
}

/// An agent on a machine where every command can be carried out, some of them with little success.
final class AgentTarget: Target {
    let name: String
    let node: NodeID
    let address: SocketAddress
    private var agent: Agent
    private var outbox = AgentOutbox()
    private var random: Random
    private var pid: Int32 = 100
    private var running: [WorkerRef] = []
    private(set) var status: StatusView?
    private let clock: Clock

    init(
        _ name: String, key: consuming SecretKey, admission: Admission, address: SocketAddress, seed: Seed,
        random: Random, now: Instant, clock: Clock
    ) {
        self.name = name
        self.address = address
        self.random = random
        self.clock = clock
        node = key.publicKey
        var configuration = AgentConfiguration(name: name, version: "0", containment: .subreaper)
        // Or nobody could be served who wants to measure.
        configuration.mesh.hasDataPlane = true
        agent = Agent(
            identity: Identity(key), membership: MembershipRecord(admission), record: AgentRecord(),
            configuration: configuration, incarnation: 7, seed: seed, now: now, wall: clock.wall(now))
        agent.handle(.adopted([]), now: now, into: &outbox)
    }

    var deadline: Instant? { agent.deadline?.at }
    func received(_ batch: inout DatagramBatch, now: Instant) { agent.received(&batch, now: now, into: &outbox) }
    func tick(now: Instant) { agent.tick(now: now, into: &outbox) }

    func drain(now: Instant, into wire: inout [Flying]) {
        var steps = 0
        while !outbox.actions.isEmpty, steps < 1000 {
            let actions = outbox.actions
            outbox.actions = []
            for action in actions { act(action, now: now) }
            steps += 1
        }
        outbox.mesh.dataPlane.removeAll()
        outbox.mesh.datagrams.drain(from: address, into: &wire)
    }

    private func act(_ action: AgentAction, now: Instant) {
        switch action {
        case .worker(.launch(let ref, _)):
            pid &+= 1
            guard random.chance(2, in: 3) else {
                return feed(.launchFailed(ref, SpecProblem("command", "is not there")), now)
            }
            running.append(ref)
            feed(.launched(ref, pid: pid, startedAt: clock.wall(now), containment: .subreaper), now)
            if random.chance(1, in: 2) { end(ref, WorkerExit(status: 1, signal: nil, at: clock.wall(now)), now) }
        case .worker(.signal(let ref, _)), .worker(.killTree(let ref)):
            end(ref, WorkerExit(status: nil, signal: 9, at: clock.wall(now)), now)
        case .check(let operation, _, _): feed(.checked(operation: operation, problems: []), now)
        case .readLog(let operation, let ref, let offset, let limit):
            let read = LogRead(
                operation: operation, worker: ref, offset: max(0, offset),
                bytes: [UInt8](repeating: 65, count: min(limit, 100)),
                nextOffset: 100, isAtEnd: true)
            feed(.logRead(read), now)
        case .benchServe(let service) where random.chance(2, in: 3):
            let token = [UInt8](repeating: 7, count: BenchAnswer.Server.tokenCount)
            feed(.benchServing(service.number, tcpPort: 1, udpPort: 2, token: token), now)
        case .benchServe(let service): feed(.benchEnded(service.number), now)
        case .benchEnd(let number): feed(.benchEnded(number), now)
        case .reply(_, .success(.status(let view))): status = view
        case .worker, .persistMembership, .reply, .overlayReachable, .overlayUnreachable, .ready, .stopped, .notice,
            .resolve:
            break
        }
    }

    private func end(_ ref: WorkerRef, _ exit: WorkerExit, _ now: Instant) {
        guard let index = running.firstIndex(of: ref) else { return }
        running.remove(at: index)
        feed(.exited(ref, exit, logBytes: 1), now)
    }

    private func feed(_ input: AgentInput, _ now: Instant) { agent.handle(input, now: now, into: &outbox) }

    func look(now: Instant, into wire: inout [Flying]) {
        for request: AgentRequest in [.status, .peersList, .workersList, .acceleratorsList] {
            feed(.request(RequestID(1), request), now)
        }
        // Of those that the hostile controller speaks of.
        feed(.overlayRequested(.v4(0x6440_0000 + UInt32(random.next(below: 8)))), now)
        drain(now: now, into: &wire)
    }

    func count(_ name: String) -> Int { status?.counters.first { $0.name == name }?.count ?? 0 }
    func complaint(now: Instant) -> String? { nil }
}

/// The wall clock of a round, which runs with its virtual time.
struct Clock {
    static let start = UnixTime(seconds: 1_800_000_000)
    func wall(_ now: Instant) -> UnixTime { Clock.start + (now - Instant(nanoseconds: 1_000_000_000)) }
}
