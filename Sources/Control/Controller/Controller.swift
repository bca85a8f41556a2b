package import Base
package import Mesh
import Noise
import OrderedCollections
import Wire

/// # The fleet's memory of what should be
///
/// A controller knows who belongs to the fleet (`Authority`, `TokenRegistry`), who is there (`Registry`), what should run
/// where (`DesiredState`), and what happened (`EventLog`). It never acts on a worker. It edits a node's desired state.
/// The node's agent, which is the truth about what runs, applies it and reports.
///
/// ```
///  people ── request ──→ ┌────────────┐ ── persist, reply ──→ shell ──→ SQLite, sockets
///  agents ── datagrams → │ Controller │ ── datagrams ──→ agents
///                        └────────────┘
/// ```
///
/// Everything it sends is state. A desired state carries its revision. A heartbeat's answer states which revision is desired
/// and which reports are known. So any message may be lost, and any program may be killed at any point. What was persisted is
/// sent again until it is acknowledged.
///
/// Features are composed as in `Agent`.
///
/// - `Controller+Events.swift`: events of the mesh, heartbeats, the control stream.
/// - `Controller+Messages.swift`: what agents send on it.
/// - `Controller+Requests.swift`: what people ask, by verb.
/// - `Controller+Workers.swift`: commands on workers.
package struct Controller: ~Copyable {
    var core: ControllerCore
    var tokens: TokenRegistry
    var enrolments = EnrolmentService()
    private(set) var certificates: NodeCertificates
    private(set) var clocks = NodeClocks()
    var directory = FleetDirectory()
    let overlay: OverlayAddresses
    var desired: DesiredState
    var questions = Questions()

    /// Restores a controller. `seed` and `incarnation` are fresh at each start.
    package init(
        identity: consuming Identity, authority: consuming Authority, settings: ControllerSettings, stored: StoredState,
        incarnation: UInt64, seed: Seed, now: Instant, wall: UnixTime
    ) {
        var generator = KeyGenerator(seed)
        let random = Random(Controller.seed(from: &generator))
        let overlay = OverlayAddresses(
            settings.overlayNetwork, own6: OverlayAddress.v6(of: identity.nodeID, fleet: authority.fleet))
        let own = NodeCertificates.own(identity.nodeID, settings, overlay, authority: authority, wall: wall)
        var mesh = settings.mesh
        mesh.acceptsAnonymous = true
        let endpoint = Endpoint(
            identity: identity, credentials: Credentials(certificate: own, authorities: [authority.verifyingKey]),
            configuration: mesh, seed: Controller.seed(from: &generator),
            now: now)
        core = ControllerCore(
            endpoint: endpoint, authority: authority, settings: settings, stored: stored, incarnation: incarnation,
            random: random, generator: generator, now: now, wall: wall)
        self.overlay = overlay
        certificates = NodeCertificates(own: own.certificate)
        tokens = TokenRegistry(stored.tokens)
        desired = DesiredState(stored, registry: &core.registry)
    }

    private static func seed(from generator: inout KeyGenerator) -> Seed {
        Seed(generator.uint64(), generator.uint64(), generator.uint64(), generator.uint64())
    }

    package var nodeID: NodeID { core.nodeID }

    // MARK: - Entry points

    package mutating func received(_ batch: inout DatagramBatch, now: Instant, into out: inout ControllerOutbox) {
        core.endpoint.value.received(&batch, now: now, wall: core.clock.wall(now), into: &out.mesh)
        finish(now: now, into: &out)
    }

    package mutating func handle(_ input: ControllerInput, now: Instant, into out: inout ControllerOutbox) {
        switch input {
        case .clock(let wall): clocks.set(wall, core: &core, now: now)
        case .addresses(let addresses): core.settings.addresses = addresses
        case .names(let names): core.settings.names = names
        case .request(let id, let request): handle(request, id, now: now, into: &out)
        case .stopping: disconnectAll(now: now, into: &out)
        }
        finish(now: now, into: &out)
    }

    package mutating func tick(now: Instant, into out: inout ControllerOutbox) {
        core.endpoint.value.tick(now: now, wall: core.clock.wall(now), into: &out.mesh)
        for change in core.registry.tick(now: now) { out.persist([core.record(change, now: now)]) }
        questions.expire(core: core, now: now, into: &out)
        certificates.renewOwn(overlay: overlay, core: &core, now: now)
        finish(now: now, into: &out)
    }

    package var deadline: Deadline? {
        mutating get {
            let first = Deadline.earliest(
                core.endpoint.value.deadline, core.registry.deadline.map { Deadline($0, "a node's silence") })
            return Deadline.earliest(first, questions.deadline)
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
        core.endpoint.value.flush(now: now, into: &out.mesh)
    }

    private mutating func disconnectAll(now: Instant, into out: inout ControllerOutbox) {
        for summary in core.endpoint.value.summaries(now: now) {
            core.endpoint.value.disconnect(summary.node, now: now, into: &out.mesh)
        }
    }
}
