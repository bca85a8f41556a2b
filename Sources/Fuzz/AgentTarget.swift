import Base
import Control
import Mesh
import Noise
import OrderedCollections
import Wire

/// An agent on a machine where every command can be executed; some of them fail.
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
        // Otherwise no measuring peer could be served.
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
        // One of those that the hostile controller names.
        feed(.overlayRequested(.v4(0x6440_0000 + UInt32(random.next(below: 8)))), now)
        drain(now: now, into: &wire)
    }

    func count(_ name: String) -> Int { status?.counters.first { $0.name == name }?.count ?? 0 }
    func complaint(now: Instant) -> String? { nil }
}
