package import Base
package import Mesh
import Noise
import OrderedCollections
import Wire

/// # The fleet's memory of what should be
///
/// A controller knows who belongs to the fleet (`Authority`, `TokenBook`), who is there (`Registry`), what should run
/// where (`NodeEntry.desired`), and what happened (`EventLog`). It never does anything to a worker: it edits a node's
/// desired state, and the node's agent, which is the truth about what runs, makes it so and reports.
///
/// ```
///  people ── request ──→ ┌────────────┐ ── persist, reply ──→ shell ──→ SQLite, sockets
///  agents ── datagrams → │ Controller │ ── datagrams ──→ agents
///                        └────────────┘
/// ```
///
/// Everything it sends is state: a desired state carries its revision, a heartbeat's answer says which revision is wanted
/// and which reports are known. So any message may be lost, and any program may be killed at any point; what was
/// persisted is said again until it is acknowledged.
///
/// - `Controller+Mesh.swift`: sessions, heartbeats, the control stream.
/// - `Controller+Messages.swift`: what agents say on it.
/// - `Controller+Clock.swift`: nodes whose clocks are wrong.
/// - `Controller+Overlay.swift`: who has which overlay address.
/// - `Controller+Requests.swift` and `Controller+Workers.swift`: what people ask.
package struct Controller: ~Copyable {
    var endpoint: Endpoint
    let authority: Authority
    private(set) var settings: ControllerSettings
    var clock: WallClock
    let startedAt: UnixTime
    let incarnation: UInt64
    var random: Random
    var generator: KeyGenerator
    var counters: StoredCounters
    var registry: Registry
    var tokens: TokenBook
    var events: EventLog
    var directory = Directory()
    let overlay: OverlayPool
    /// Its own IPv6 address there.
    let overlay6: IPAddress
    /// Which node a worker of that name is wanted on.
    var slotOfWorker = OrderedDictionary<String, Int>()
    var operations: OrderedDictionary<String, OperationRecord>
    /// Questions that were put to agents and not answered yet, by the number they bear.
    var questions = OrderedDictionary<UInt64, Question>()
    var nextQuestion: UInt64 = 1
    /// Sessions with nodes that have no certificate yet: their streams, and what to prove.
    var newcomers = OrderedDictionary<NodeID, Newcomer>()
    var enrolmentsRefused = OrderedDictionary<EnrolRefusal, Int>()
    var ownCertificateRenewal: UnixTime
    /// How far the clock has been set, in steps too small to be told each.
    var clockMoved = Interval.zero

    /// Operations that are remembered.
    static let operationLimit = 10_000
    static let questionLimit = 10_000
    static let questionTime = Interval.seconds(5)

    /// Restores a controller. `seed` and `incarnation` are fresh at each start.
    package init(
        identity: consuming Identity, authority: consuming Authority, settings: ControllerSettings, stored: StoredState,
        incarnation: UInt64, seed: Seed, now: Instant, wall: UnixTime
    ) {
        var generator = KeyGenerator(seed)
        random = Random(Seed(generator.uint64(), generator.uint64(), generator.uint64(), generator.uint64()))
        counters = stored.counters
        overlay = OverlayPool(settings.overlayNetwork)
        overlay6 = OverlayAddress.v6(of: identity.nodeID, fleet: authority.fleet)
        counters.overlayNetwork = settings.overlayNetwork
        // Not from the row of serials: a controller's own certificate is made anew at each start and never stored.
        let own = authority.issue(
            0, to: identity.nodeID, name: settings.name, site: "", labels: [], roles: settings.roles,
            overlay4: overlay.controller, wall: wall)
        var mesh = settings.mesh
        mesh.acceptsAnonymous = true
        endpoint = Endpoint(
            identity: identity, credentials: Credentials(certificate: own, authorities: [authority.verifyingKey]),
            configuration: mesh,
            seed: Seed(generator.uint64(), generator.uint64(), generator.uint64(), generator.uint64()),
            now: now)
        ownCertificateRenewal = Controller.renewal(of: own.certificate)
        self.generator = generator
        self.authority = authority
        self.settings = settings
        self.incarnation = incarnation
        clock = WallClock(wall, at: now)
        startedAt = wall
        registry = Registry(stored.nodes)
        tokens = TokenBook(stored.tokens)
        events = EventLog(stored.events)
        operations = OrderedDictionary(
            stored.operations.suffix(Controller.operationLimit).map { ($0.operation, $0) }, uniquingKeysWith: { $1 })
        for worker in stored.workers {
            guard let slot = registry.slot(of: worker.node) else { continue }
            registry[slot].desired[worker.desired.worker.name] = worker.desired
            slotOfWorker[worker.desired.worker.name] = slot
        }
    }

    package var nodeID: NodeID { endpoint.nodeID }

    // MARK: - What happened

    package mutating func received(_ batch: inout DatagramBatch, now: Instant, into out: inout ControllerOutbox) {
        endpoint.received(&batch, now: now, wall: clock.wall(now), into: &out.mesh)
        finish(now: now, into: &out)
    }

    package mutating func handle(_ input: ControllerInput, now: Instant, into out: inout ControllerOutbox) {
        switch input {
        case .clock(let wall): set(wall, now: now)
        case .addresses(let addresses): settings.addresses = addresses
        case .names(let names): settings.names = names
        case .request(let id, let request): handle(request, id, now: now, into: &out)
        case .stopping: sayGoodbye(now: now, into: &out)
        }
        finish(now: now, into: &out)
    }

    package mutating func tick(now: Instant, into out: inout ControllerOutbox) {
        endpoint.tick(now: now, wall: clock.wall(now), into: &out.mesh)
        for change in registry.tick(now: now) { tell(change, now: now, into: &out) }
        expireQuestions(now: now, into: &out)
        renewOwnCertificate(now: now)
        finish(now: now, into: &out)
    }

    package var deadline: Deadline? {
        mutating get {
            var first = endpoint.deadline
            first = Deadline.earliest(first, registry.deadline.map { Deadline($0, "a node's silence") })
            // Questions are asked in the order of their deadlines.
            first = Deadline.earliest(first, questions.values.first.map { Deadline($0.deadline, "an agent's answer") })
            return first
        }
    }

    /// The end of every entry point: events of the mesh become decisions, which may write to streams, which may make
    /// events, until there is quiet.
    private mutating func finish(now: Instant, into out: inout ControllerOutbox) {
        while !out.mesh.events.isEmpty {
            let batch = out.mesh.events
            out.mesh.events.removeAll(keepingCapacity: true)
            for event in batch { handle(event, now: now, into: &out) }
        }
        endpoint.flush(now: now, into: &out.mesh)
    }

    // MARK: - Events

    mutating func record(
        _ kind: EventView.Kind, _ message: String, slot: Int? = nil, worker: String? = nil, now: Instant
    ) -> StoreChange {
        let entry = slot.map { registry[$0] }
        return .event(
            events.add(
                kind, message, node: entry?.record.node, nodeName: entry?.name, worker: worker, wall: clock.wall(now)))
    }

    private mutating func tell(_ change: Registry.Change, now: Instant, into out: inout ControllerOutbox) {
        switch change {
        case .suspect(let slot):
            out.persist([record(.nodeSuspect, "two heartbeats were missed", slot: slot, now: now)])
        case .offline(let slot):
            let seconds = Registry.offlineAfter.seconds
            out.persist([record(.nodeOffline, "no heartbeat for \(seconds) s", slot: slot, now: now)])
        case .held:
            let text =
                "too many nodes fell silent at once; nobody is declared offline for \(Registry.brakeTime.seconds) s"
            out.persist([record(.verdictsHeld, text, now: now)])
        case .released: out.persist([record(.verdictsReleased, "nodes that are silent are declared offline", now: now)])
        }
    }

    // MARK: - Own certificate

    static func renewal(of certificate: Certificate) -> UnixTime {
        certificate.notBefore + (certificate.notAfter - certificate.notBefore) * 2 / 3
    }

    private mutating func renewOwnCertificate(now: Instant) {
        let wall = clock.wall(now)
        guard wall >= ownCertificateRenewal else { return }
        let own = authority.issue(
            0, to: nodeID, name: settings.name, site: "", labels: [], roles: settings.roles,
            overlay4: overlay.controller, wall: wall)
        endpoint.adopt(Credentials(certificate: own, authorities: [authority.verifyingKey]))
        ownCertificateRenewal = Controller.renewal(of: own.certificate)
    }
}

package struct ControllerSettings: Sendable {
    package var name: String
    /// Where agents reach this controller; goes into tokens and certificates' answers.
    package var addresses: [SocketAddress]
    /// Host names that lead to it; they go into the same places.
    package var names: [HostPort] = []
    /// Ports at the same hosts where it takes datagrams over TCP.
    package var tcpPorts: [UInt16] = []
    package var mesh = MeshConfiguration()
    /// As `OverlayPool.network(asked:kept:)` gives it.
    package var overlayNetwork = OverlayPool.defaultNetwork
    /// Whether it carries datagrams for nodes, as beacons do.
    package var isRelay = true
    var roles: Roles { isRelay ? [.controller, .beacon] : [.controller] }

    package init(name: String, addresses: [SocketAddress]) {
        self.name = name
        self.addresses = addresses
    }
}

package enum ControllerInput: Hashable, Sendable {
    /// What the wall clock says; to be said at least once a minute, and after a step.
    case clock(UnixTime)
    /// Where agents reach this controller has changed: addresses ...
    case addresses([SocketAddress])
    /// ... or names.
    case names([HostPort])
    case request(RequestID, ControllerRequest)
    /// The program ends.
    case stopping
}

package enum ControllerAction: Hashable, Sendable {
    /// One transaction, durable before anything that comes after it is done or sent.
    case persist([StoreChange])
    case reply(RequestID, Result<ControllerReply, APIError>)
}

/// What a controller wants done: first all actions in order, then the datagrams.
package struct ControllerOutbox: ~Copyable {
    package var mesh = MeshOutbox()
    package var actions: [ControllerAction] = []

    package init() {}

    mutating func persist(_ changes: [StoreChange]) { actions.append(.persist(changes)) }
    mutating func reply(_ id: RequestID, _ reply: ControllerReply) { actions.append(.reply(id, .success(reply))) }
    mutating func refuse(_ id: RequestID, _ error: APIError) { actions.append(.reply(id, .failure(error))) }
}

/// Something that an agent was asked, and who waits for the answer.
struct Question {
    enum Kind {
        /// Could the node run this?
        case check(DesiredWorker)
        case log(worker: String)
    }
    var kind: Kind
    var slot: Int
    var message: ControlMessage
    var askers: [RequestID]
    var deadline: Instant
}

/// A node without a certificate, in the half minute that it has.
struct Newcomer {
    var handshakeHash: [UInt8]
    var stream: StreamID?
    var channel = MessageChannel()
    /// It may be wrong a few times; then it must come again, through the handshake.
    var attempts = 0
}
