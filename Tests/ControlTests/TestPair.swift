import Base
import Control
import Mesh
import Noise
import Testing
import Wire

/// A controller with its store, and one agent with its disk and its workers, on a network without losses. The outputs of both
/// are executed at once, as on a perfect machine.
final class TestPair {
    var controller: Controller?
    var agent: Agent?
    private var controllerOut = ControllerOutbox()
    private var agentOut = AgentOutbox()

    static let controllerAddress = SocketAddress("192.0.2.1:4100")!
    /// Where the controller is now; what is sent elsewhere is lost.
    var controllerPlace = TestPair.controllerAddress
    /// The controller's address in tokens; `nil`: its real address.
    var advertised: [SocketAddress]?
    var names: [HostPort] = []
    /// The resolver's answers; silent where there is none.
    var resolver: [HostPort: [IPAddress]] = [:]
    private(set) var questions: [(at: Instant, name: HostPort)] = []
    var notices: [AgentNotice] = []
    /// How far the machines' clocks are from the true time.
    var agentClockError = Interval.zero
    var controllerClockError = Interval.zero
    var description: NodeDescription?
    static let agentAddress = SocketAddress("192.0.2.2:4100")!

    var now = Instant(nanoseconds: 1_000_000_000)
    var wall: UnixTime { UnixTime(seconds: 1_700_000_000) + (now - Instant(nanoseconds: 1_000_000_000)) }
    private var generator = KeyGenerator(Seed(1))
    private var random = Random(Seed(2))
    private let controllerKey: SecretKey
    private var agentKey: SecretKey
    private var agentName = "alpha"
    private let authorityKey: [UInt8]
    private var wire: [(at: Instant, toAgent: Bool, bytes: [UInt8])] = []

    // What lies on the controller's disk.
    var store = StoredState()
    // What lies on the agent's disk.
    var record = AgentRecord()
    var membership: MembershipRecord?

    var replies: [RequestID: Result<ControllerReply, APIError>] = [:]
    var agentReplies: [RequestID: Result<AgentReply, APIError>] = [:]
    var workerActions: [SupervisorAction] = []
    /// What the node finds wrong with any specification.
    var problems: [SpecProblem] = []
    var answersChecks = true
    var isAgentDone = false
    var overlayActions: [AgentAction] = []
    /// The network from which the controller assigns addresses.
    var overlayNetwork = OverlayPool.defaultNetwork
    private var nextRequest: UInt64 = 1

    init() {
        controllerKey = generator.secretKey()
        agentKey = generator.secretKey()
        authorityKey = generator.bytes(32)
        startController()
        startAgent()
    }

    func startController() {
        let authority = Authority(fleet: FleetID(1, 2), key: SigningKey(authorityKey)!)
        var settings = ControllerSettings(name: "controller", addresses: advertised ?? [controllerPlace])
        settings.names = names
        settings.overlayNetwork = overlayNetwork
        controller = Controller(
            identity: Identity(controllerKey.copy()), authority: authority, settings: settings, stored: store,
            incarnation: random.next(), seed: Seed(random.next()), now: now, wall: wall + controllerClockError)
    }

    /// The controller gets another address, without a notice to anyone.
    func moveController(to address: String) { controllerPlace = SocketAddress(address)! }

    /// Sets the machines' clocks.
    func setClocks(agent: Interval, controller: Interval) {
        (agentClockError, controllerClockError) = (agent, controller)
        notify(.clock(wall + agent))
        self.controller?.handle(.clock(wall + controller), now: now, into: &controllerOut)
        collect()
    }

    var status: StatusView? {
        let id = RequestID(nextRequest)
        nextRequest += 1
        notify(.request(id, .status))
        guard case .success(.status(let view))? = agentReplies[id] else { return nil }
        return view
    }

    /// Where the agent reaches the relays that it keeps.
    var relays: [SocketAddress] {
        let id = RequestID(nextRequest)
        nextRequest += 1
        notify(.request(id, .netcheck))
        guard case .success(.netcheck(let view))? = agentReplies[id] else { return [] }
        return view.relays.filter { $0.state == .bound }.compactMap(\.address)
    }

    var controllerStatus: StatusView? {
        guard case .success(.status(let view))? = ask(.status) else { return nil }
        return view
    }

    var events: [EventView] {
        guard case .success(.events(let events))? = ask(.eventsList(EventsList(limit: 1000))) else {
            return []
        }
        return events
    }

    /// A certificate of the fleet from the time before overlay addresses.
    func certificateWithoutAddress() -> SignedCertificate {
        let authority = Authority(fleet: FleetID(1, 2), key: SigningKey(authorityKey)!)
        return authority.issue(
            1, to: agentKey.publicKey, name: agentName, site: "", labels: [], roles: .agent, wall: wall)
    }

    func startAgent(found: [AdoptedWorker] = []) {
        var configuration = AgentConfiguration(name: agentName, version: "0.1.0", containment: .subreaper)
        if let description {
            configuration.name = description.name ?? agentName
            configuration.isNameChosen = description.name != nil
            configuration.site = description.site
            configuration.labels = description.labels
        }
        agent = Agent(
            identity: Identity(agentKey.copy()), membership: membership, record: record, configuration: configuration,
            incarnation: random.next(), seed: Seed(random.next()), now: now, wall: wall + agentClockError)
        notify(.adopted(found))
    }

    /// Another machine in the agent's place, with an empty disk.
    func replaceAgent(name: String = "alpha") {
        agentName = name
        agent = nil
        agentKey = generator.secretKey()
        record = AgentRecord()
        membership = nil
        startAgent()
    }

    // MARK: - Asking

    /// Asks the controller and lets time pass until it answers; `nil` if it does not within ten seconds.
    func ask(_ request: ControllerRequest) -> Result<ControllerReply, APIError>? {
        let id = RequestID(nextRequest)
        nextRequest += 1
        controller?.handle(.request(id, request), now: now, into: &controllerOut)
        collect()
        for _ in 0..<100 where replies[id] == nil { run(.milliseconds(100)) }
        return replies[id]
    }

    func notify(_ input: AgentInput) {
        agent?.handle(input, now: now, into: &agentOut)
        collect()
    }

    func createToken(uses: Int64 = 1, ttlSeconds: Int64 = 60) -> String {
        let request = TokensCreate(ttlSeconds: ttlSeconds, uses: uses)
        guard case .success(.token(let view))? = ask(.tokensCreate(request)) else { return "" }
        return view.token ?? ""
    }

    func join(_ token: String) -> Result<AgentReply, APIError>? {
        let id = RequestID(nextRequest)
        nextRequest += 1
        notify(.request(id, .join(JoinFleet(token: token))))
        for _ in 0..<400 where agentReplies[id] == nil { run(.milliseconds(100)) }
        return agentReplies[id]
    }

    var node: NodeView? {
        guard case .success(.nodes(let nodes))? = ask(.nodesList) else { return nil }
        return nodes.first
    }

    func worker(_ name: String) -> WorkerView? {
        guard case .success(.worker(let view))? = ask(.workersGet(WorkersGet(name: name))) else {
            return nil
        }
        return view
    }

    var launches: [WorkerRef] {
        workerActions.compactMap { action in
            if case .launch(let ref, _) = action { ref } else { nil }
        }
    }

    // MARK: - The world

    func run(_ interval: Interval) {
        let end = now + interval
        for _ in 0..<50_000 {
            var next = end
            for datagram in wire { next = min(next, datagram.at) }
            if let deadline = agent?.deadline { next = min(next, deadline.at) }
            if let deadline = controller?.deadline { next = min(next, deadline.at) }
            now = max(now, next)
            deliver()
            agent?.tick(now: now, into: &agentOut)
            controller?.tick(now: now, into: &controllerOut)
            collect()
            if now >= end { return }
        }
        Issue.record("somebody spins")
    }

    private func deliver() {
        let due = wire.filter { $0.at <= now }
        wire.removeAll { $0.at <= now }
        for datagram in due {
            var batch = DatagramBatch()
            batch.append(datagram.bytes, remote: datagram.toAgent ? controllerPlace : TestPair.agentAddress)
            if datagram.toAgent {
                agent?.received(&batch, now: now, into: &agentOut)
            } else {
                controller?.received(&batch, now: now, into: &controllerOut)
            }
        }
    }

    private func collect() {
        for action in controllerOut.actions {
            switch action {
            case .persist(let changes): for change in changes { store.apply(change) }
            case .reply(let id, let result): replies[id] = result
            }
        }
        controllerOut.actions = []
        var inputs: [AgentInput] = []
        for action in agentOut.actions {
            switch action {
            case .worker(let action):
                workerActions.append(action)
                switch action {
                case .persist(let bytes): record = try! AgentRecord(decoding: bytes)
                case .launch(let ref, _):
                    inputs.append(.launched(ref, pid: 77, startedAt: wall, containment: .subreaper))
                case .signal(let ref, let number):
                    inputs.append(.exited(ref, WorkerExit(status: nil, signal: number, at: wall), logBytes: 3))
                case .killTree, .remove: break
                }
            case .persistMembership(let bytes): membership = try! MembershipRecord(decoding: bytes)
            case .check(let operation, _, _):
                if answersChecks { inputs.append(.checked(operation: operation, problems: problems)) }
            case .readLog(let operation, let ref, let offset, _):
                inputs.append(
                    .logRead(
                        LogRead(
                            operation: operation, worker: ref, offset: max(0, offset), bytes: Array("hello\n".utf8),
                            nextOffset: 6, isAtEnd: true)))
            case .reply(let id, let result): agentReplies[id] = result
            case .overlayReachable, .overlayUnreachable: overlayActions.append(action)
            case .notice(let notice): notices.append(notice)
            case .resolve(let names):
                for name in names {
                    questions.append((now, name))
                    inputs.append(.resolved(name, resolver[name] ?? []))
                }
            case .ready, .benchServe, .benchEnd: break
            case .stopped: isAgentDone = true
            }
        }
        agentOut.actions = []
        post(&controllerOut.mesh.datagrams, toAgent: true)
        post(&agentOut.mesh.datagrams, toAgent: false)
        for input in inputs { notify(input) }
    }

    private func post(_ batch: inout DatagramBatch, toAgent: Bool) {
        for index in 0..<batch.count where toAgent || batch.entries[index].remote == controllerPlace {
            wire.append((now + .milliseconds(2), toAgent, batch.bytes(at: index)))
        }
        batch.removeAll()
    }
}

extension StoredState {
    /// What a database does with a row.
    fileprivate mutating func apply(_ change: StoreChange) {
        switch change {
        case .counters(let row): counters = row
        case .node(let row):
            nodes.removeAll { $0.node == row.node }
            nodes.append(row)
        case .token(let row):
            tokens.removeAll { $0.id == row.id }
            tokens.append(row)
        case .worker(let row):
            workers.removeAll { $0.desired.worker.name == row.desired.worker.name }
            workers.append(row)
        case .removeWorker(let name): workers.removeAll { $0.desired.worker.name == name }
        case .operation(let row): operations.append(row)
        case .forgetOperations(let number): operations.removeAll { $0.number <= number }
        case .event(let row): events.append(row)
        }
    }
}
