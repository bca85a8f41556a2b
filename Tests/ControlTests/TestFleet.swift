import Base
import Control
import Mesh
import Noise
import Testing
import Wire

/// One agent, perhaps another node, and a controller that does what a test orders, on a network with a delay and, if
/// requested, losses. The controller's end is a plain endpoint: it keeps what the agent sends, and the test chooses its
/// answers.
final class TestFleet {
    var agent: Agent?
    var controller: Endpoint?
    private var agentOut = AgentOutbox()
    private var controllerOut = MeshOutbox()

    static let agentAddress = SocketAddress("192.0.2.2:4100")!
    static let controllerAddress = SocketAddress("192.0.2.1:4100")!
    static let peerAddress = SocketAddress("192.0.2.3:4100")!
    static let agentOverlay = IPAddress("100.64.0.2")!
    static let peerOverlay = IPAddress("100.64.0.3")!
    static let delay = Interval.milliseconds(5)

    var now = Instant(nanoseconds: 1_000_000_000)
    let wall = UnixTime(seconds: 1_700_000_000)
    var start: Instant { Instant(nanoseconds: 1_000_000_000) }
    var currentWall: UnixTime { wall + (now - start) }
    private var generator = KeyGenerator(Seed(42))
    private var random = Random(Seed(43))
    let authority: SigningKey
    let fleet = FleetID(7, 8)
    let agentKey: SecretKey
    let controllerKey: SecretKey
    let peerKey: SecretKey
    let secret = [UInt8](repeating: 0x5a, count: 32)

    /// Datagrams in flight.
    private var wire: [(at: Instant, from: SocketAddress, to: SocketAddress, bytes: [UInt8])] = []
    /// Another node, once it is started.
    var peer: Endpoint?
    var peerOut = MeshOutbox()
    /// What its mesh has reported.
    var peerEvents: [MeshEvent] = []
    /// The agent's settings.
    var bench = BenchPermission.auto
    var hasDataPlane = false
    var lossPercent: UInt64 = 0
    var isCut = false

    // What the controller saw.
    var heartbeats: [Heartbeat] = []
    var heartbeatSizes: [Int] = []
    var messages: [ControlMessage] = []
    var handshakeHash: [UInt8] = []
    var shownCertificate: Certificate?
    private var stream: StreamID?
    private var channel = MessageChannel()
    /// What it answers heartbeats with.
    var answersHeartbeats = true
    var knownDetails: UInt64 = 0
    var knownWorkers: UInt64 = 0
    var remembersReports = true
    var revision: UInt64 = 0
    var onMessage: ((ControlMessage) -> Void)?

    // The actions that the shell was to execute.
    var actions: [AgentAction] = []
    var record = AgentRecord()
    var membership: MembershipRecord?

    init() {
        authority = generator.signingKey()
        agentKey = generator.secretKey()
        controllerKey = generator.secretKey()
        peerKey = generator.secretKey()
        startController()
    }

    var agentID: NodeID { agentKey.publicKey }
    var controllerID: NodeID { controllerKey.publicKey }
    var peerID: NodeID { peerKey.publicKey }

    func certificate(
        of node: NodeID, name: String, roles: Roles, lifeSeconds: Int64 = 86_400, signedBy other: Bool = false,
        overlay4: IPAddress = .any4, labels: [Label] = []
    ) -> SignedCertificate {
        var certificate = Certificate(
            fleet: fleet, serial: 1, node: node, roles: roles, notBefore: wall, notAfter: wall + .seconds(lifeSeconds),
            name: name, labels: labels)
        certificate.overlay4 = overlay4
        if other {
            let unknownPeer = generator.signingKey()
            return SignedCertificate(certificate, signature: unknownPeer.sign(certificate.encoded()))
        }
        return SignedCertificate(certificate, signature: authority.sign(certificate.encoded()))
    }

    func admission(lifeSeconds: Int64 = 86_400, signedBy other: Bool = false) -> Admission {
        Admission(
            certificate: certificate(
                of: agentID, name: "alpha", roles: .agent, lifeSeconds: lifeSeconds, signedBy: other,
                overlay4: TestFleet.agentOverlay
            ).encoded(),
            authorities: [authority.verifyingKey.bytes],
            controllers: [ControllerAddress(node: controllerID, addresses: [TestFleet.controllerAddress])],
            overlayNetwork: OverlayPool.defaultNetwork)
    }

    var token: TokenText {
        TokenText(
            id: [1, 2, 3, 4, 5, 6, 7, 8], secret: secret, controller: controllerID, authority: authority.verifyingKey,
            fleet: fleet, addresses: [TestFleet.controllerAddress])
    }

    func startController() {
        var configuration = MeshConfiguration()
        configuration.acceptsAnonymous = true
        controller = Endpoint(
            identity: Identity(controllerKey.copy()),
            credentials: Credentials(
                certificate: certificate(of: controllerID, name: "controller", roles: [.controller, .beacon]),
                authorities: [authority.verifyingKey]),
            configuration: configuration, seed: Seed(random.next()), now: now)
        stream = nil
        channel = MessageChannel()
    }

    /// Starts the agent from what is on its disk, with no adopted workers.
    func startAgent(found: [AdoptedWorker] = []) {
        var configuration = AgentConfiguration(name: "alpha", version: "0.1.0", containment: .subreaper)
        configuration.addresses = [TestFleet.agentAddress]
        configuration.bench = bench
        configuration.mesh.hasDataPlane = hasDataPlane
        agent = Agent(
            identity: Identity(agentKey.copy()), membership: membership, record: record, configuration: configuration,
            incarnation: random.next(), seed: Seed(random.next()), now: now, wall: currentWall)
        notify(.adopted(found))
    }

    func killAgent() { agent = nil }

    func notify(_ input: AgentInput) {
        agent?.handle(input, now: now, into: &agentOut)
        collect()
    }

    func send(_ message: ControlMessage) {
        _ = channel.send(message)
        pumpController()
    }

    /// Lets time pass, event by event.
    func run(_ interval: Interval) {
        let end = now + interval
        var steps = 0
        // What a test has just had it do.
        pumpPeer()
        while steps < 20_000 {
            steps += 1
            var next = end
            if let first = wire.map(\.at).min() { next = min(next, first) }
            if let deadline = agent?.deadline { next = min(next, deadline.at) }
            if let deadline = controller?.deadline { next = min(next, deadline.at) }
            if let deadline = peer?.deadline { next = min(next, deadline.at) }
            now = max(now, next)
            deliver()
            agent?.tick(now: now, into: &agentOut)
            controller?.tick(now: now, wall: currentWall, into: &controllerOut)
            collect()
            pumpController()
            pumpPeer()
            if now >= end, !wire.contains(where: { $0.at <= now }) { return }
        }
        Issue.record("the agent spins: \(String(describing: agent?.deadline))")
    }

    private func deliver() {
        let due = wire.filter { $0.at <= now }
        wire.removeAll { $0.at <= now }
        for datagram in due {
            var batch = DatagramBatch()
            batch.append(datagram.bytes, remote: datagram.from)
            switch datagram.to {
            case TestFleet.agentAddress: agent?.received(&batch, now: now, into: &agentOut)
            case TestFleet.peerAddress: peer?.received(&batch, now: now, wall: currentWall, into: &peerOut)
            default: controller?.received(&batch, now: now, wall: currentWall, into: &controllerOut)
            }
        }
    }

    /// Does as the shell does: actions first, then the datagrams.
    private func collect() {
        for action in agentOut.actions {
            switch action {
            case .worker(.persist(let bytes)): record = try! AgentRecord(decoding: bytes)
            case .persistMembership(let bytes): membership = try! MembershipRecord(decoding: bytes)
            case .worker, .check, .readLog, .reply, .overlayReachable, .overlayUnreachable, .benchServe,
                .benchEnd, .ready, .stopped, .resolve, .notice:
                break
            }
            actions.append(action)
        }
        agentOut.actions = []
        post(&agentOut.mesh.datagrams, from: TestFleet.agentAddress)
    }

    private func post(_ batch: inout DatagramBatch, from: SocketAddress) {
        for index in 0..<batch.count where !isCut && !random.chance(lossPercent, in: 100) {
            wire.append((now + TestFleet.delay, from, batch.entries[index].remote, batch.bytes(at: index)))
        }
        batch.removeAll()
    }

    /// A second node, whose certificate holds `overlay4`.
    func startPeer(overlay4: IPAddress = TestFleet.peerOverlay, labels: [Label] = []) {
        peer = Endpoint(
            identity: Identity(peerKey.copy()),
            credentials: Credentials(
                certificate: peerCertificate(overlay4, labels), authorities: [authority.verifyingKey]),
            configuration: MeshConfiguration(), seed: Seed(random.next()), now: now)
    }

    func peerCertificate(
        _ overlay4: IPAddress = TestFleet.peerOverlay, _ labels: [Label] = []
    ) -> SignedCertificate {
        certificate(of: peerID, name: "beta", roles: .agent, overlay4: overlay4, labels: labels)
    }

    private func pumpPeer() {
        peer?.tick(now: now, wall: currentWall, into: &peerOut)
        peerEvents += peerOut.events
        peerOut.events = []
        peer?.flush(now: now, into: &peerOut)
        post(&peerOut.datagrams, from: TestFleet.peerAddress)
    }

    private func pumpController() {
        while !controllerOut.events.isEmpty {
            let events = controllerOut.events
            controllerOut.events = []
            for event in events { arrived(event) }
        }
        if let stream {
            while channel.hasUnsent {
                let count = controller?.write(channel.unsent(limit: 1 << 16), to: stream, of: agentID) ?? 0
                guard count > 0 else { break }
                channel.taken(count)
            }
        }
        controller?.flush(now: now, into: &controllerOut)
        post(&controllerOut.datagrams, from: TestFleet.controllerAddress)
    }

    private func arrived(_ event: MeshEvent) {
        switch event {
        case .connected(_, let session):
            handshakeHash = session.handshakeHash
            shownCertificate = session.certificate
        case .message(let node, let bytes):
            var reader = ByteReader(bytes.span.bytes)
            guard let heartbeat = try? Heartbeat(reading: &reader) else { return }
            heartbeats.append(heartbeat)
            heartbeatSizes.append(bytes.count)
            guard answersHeartbeats else { return }
            let ack = HeartbeatAck(
                answering: heartbeat, revision: revision, details: knownDetails, workers: knownWorkers)
            _ = controller?.send(ack.encoded(), to: node, now: now)
        case .stream(let node, .opened(let id)):
            stream = id
            channel = MessageChannel()
            read(id, node)
        case .stream(let node, .readable(let id)): read(id, node)
        case .disconnected:
            stream = nil
            channel = MessageChannel()
        case .stream, .connectFailed, .pong, .candidatesChanged, .relayUnreached: break
        }
    }

    private func read(_ id: StreamID, _ node: NodeID) {
        guard id == stream else { return }
        while let result = controller?.read(id, of: node, limit: 1 << 16, into: &controllerOut),
            !result.bytes.isEmpty
        {
            channel.receive(result.bytes)
            while let message = channel.nextMessage() {
                messages.append(message)
                if remembersReports, case .report(let report) = message {
                    if let health = report.health { knownDetails = health.digest }
                    if let workers = report.workers { knownWorkers = workers.digest }
                }
                onMessage?(message)
            }
        }
    }

    // MARK: - Questions

    func replies(to id: UInt64) -> [Result<AgentReply, APIError>] {
        actions.compactMap { action in
            if case .reply(RequestID(id), let result) = action { result } else { nil }
        }
    }

    var reports: [Report] {
        messages.compactMap { message in
            if case .report(let report) = message { report } else { nil }
        }
    }

    func ask(_ id: UInt64, _ request: AgentRequest) { notify(.request(RequestID(id), request)) }

    var status: StatusView? {
        ask(999, .status)
        guard case .success(.status(let view))? = replies(to: 999).last else { return nil }
        return view
    }

    func counter(_ name: String) -> Int { status?.counters.first { $0.name == name }?.count ?? -1 }
}
