package import Base
package import Mesh
import Noise
package import Wire

/// # What a node does
///
/// An agent is a mesh endpoint, a supervisor of workers and a reporter, composed. It belongs to a fleet or is joining
/// one (`Standing`). It keeps one session with a controller (`Uplink`), and reports its state once a second
/// (`Heartbeats`).
///
/// It sends and receives state, not commands, so every loss is repaired:
/// - A heartbeat carries the revision that the agent has applied; the controller sends desired state to an agent with an
///   older one.
/// - The answer carries the digests of what the controller knows; the agent reports to a controller that shows others.
/// - A change of a worker is reported at once, at most every 20 ms; if that report is lost, the digests show it.
///
/// Without a connection it continues: the supervisor needs no controller, and the uplink retries forever.
///
/// A feature is a value type with private state in its own folder. The agent owns the features, and `AgentCore`, which all
/// of them need. It hands events to features, and calls `service` of each when time has passed.
///
/// - `Agent+Events.swift`: events of the mesh, by feature.
/// - `Agent+Streams.swift`: events of streams, by service.
/// - `Agent+Messages.swift`: messages of the controller, by feature.
/// - `Agent+DataPlane.swift`: what the shell's data plane reports and asks.
/// - `Agent+Requests.swift`: what its local user asks, by verb.
/// - `Agent+Capture.swift`: what captures ask, in the feature's folder.
package struct Agent: ~Copyable {
    var core: AgentCore
    var supervisor: Supervisor
    private(set) var health = HealthTracker()
    // Fleet
    var enroller = Enroller()
    var certificate = CertificateKeeper()
    var registration = Registration()
    var heartbeats = Heartbeats()
    var reports = ReportTracker()
    // Peers
    var finder = PeerFinder()
    var streams = PeerStreams()
    var pings = PingQueue()
    var routes = OverlayTable()
    var throughput = ThroughputJobs()
    var guests = ThroughputGuests()

    /// `membership` is what `persistMembership` last wrote, `nil` for a node that is in no fleet; `record` is what
    /// `persist` last wrote. `seed` and `incarnation` are fresh at each start.
    package init(
        identity: consuming Identity, membership: MembershipRecord?, record: AgentRecord,
        configuration: AgentConfiguration, incarnation: UInt64, seed: Seed, now: Instant, wall: UnixTime
    ) {
        // Jitter can be observed from outside, and the state of a `Random` can be computed from its output. So it never
        // shares its seed with the generator of keys.
        var generator = KeyGenerator(seed)
        func draw() -> Seed {
            Seed(generator.uint64(), generator.uint64(), generator.uint64(), generator.uint64())
        }
        let member = membership.flatMap { Membership($0.admission) }
        var endpoint = Endpoint(
            identity: identity, credentials: member?.credentials, configuration: configuration.mesh, seed: draw(),
            now: now)
        endpoint.listens(at: configuration.addresses, now: now)
        supervisor = Supervisor(record: record, seed: draw())
        if let member { endpoint.pin(member.admission.controllers.map(\.node)) }
        core = AgentCore(
            endpoint: endpoint, configuration: configuration, member: member, incarnation: incarnation,
            random: Random(draw()), now: now, wall: wall)
        if member == nil, membership != nil { core.counters.add(.membershipUnreadable) }
    }

    package var nodeID: NodeID { core.nodeID }

    /// Where this node is in the overlay; `nil` outside of a fleet. Changes with `persistMembership`.
    package var overlay: OverlayPlace? { core.overlay }

    /// What the worker's generation is to run, and which command asked for it.
    package func desired(for worker: WorkerRef) -> DesiredWorker? { supervisor.desired(for: worker) }

    /// The next time at which `tick` has something to do.
    package var deadline: Deadline? {
        mutating get {
            var earliest = core.endpoint.value.deadline
            func consider(_ deadline: Deadline?) { earliest = Deadline.earliest(earliest, deadline) }
            consider(supervisor.deadline)
            consider(core.uplink.deadline(isLeaving: core.departure != .none))
            consider(health.deadline)
            consider(pings.deadline)
            consider(throughput.deadline)
            consider(guests.deadline)
            consider(streams.deadline)
            consider(routes.deadline)
            consider(finder.deadline(canAsk: core.canLookUp))
            consider(enroller.deadline(core.standing))
            // Under the conditions of `service`: a deadline that is not served would make the driver spin. Without a stream
            // no report can be sent, and the answers to heartbeats will request it later.
            if case .member = core.standing, core.uplink.link != nil { consider(reports.deadline) }
            if core.canLookUp {
                consider(registration.deadline)
                consider(certificate.deadline)
            }
            consider(core.uplink.heartbeatAt.map { Deadline($0, "heartbeat") })
            if case .leaving(let until) = core.departure { consider(Deadline(until, "departure")) }
            return earliest
        }
    }

    // MARK: - Entry points

    package mutating func received(
        _ batch: inout DatagramBatch, now: Instant, into out: inout AgentOutbox
    ) {
        core.endpoint.value.received(&batch, now: now, wall: core.clock.wall(now), into: &out.mesh)
        finish(now: now, into: &out)
    }

    package mutating func handle(_ input: AgentInput, now: Instant, into out: inout AgentOutbox) {
        switch input {
        case .adopted, .launched, .launchFailed, .exited, .lost, .stillThere: supervise(input, now: now, into: &out)
        case .host(let host): health.update(host: host, now: now)
        case .accelerators(let accelerators): health.update(accelerators: accelerators, now: now)
        case .checked(let operation, let problems):
            core.send(
                .checkReply(
                    CheckReply(operation: operation, problems: Array(problems.prefix(Limits.specProblems)))))
        case .logRead(let read): core.send(.logChunk(LogChunk(read, of: supervisor)))
        case .join(let token): join(token, name: nil, asker: nil, now: now, into: &out)
        case .noToken(let why): enroller.noToken(why, core: &core, into: &out)
        case .request(let id, let request): handle(request, id, now: now, into: &out)
        case .clock(let wall):
            if core.clock.set(wall, now: now) { core.compareClocks(now: now) }
            core.reportAbsence(now: now, into: &out)
            certificate.reportEnd(core: core, now: now, into: &out)
        case .resolved(let name, let addresses): core.apply(addresses, of: name, now: now, into: &out)
        case .reconfigured(let changed): certificate.reconfigure(changed, core: &core, into: &out)
        case .addresses(let addresses):
            core.configuration.addresses = addresses
            core.endpoint.value.listens(at: addresses, now: now)
            registration.renew(by: now)
        case .connectionLost(let remote): core.endpoint.value.connectionLost(to: remote, now: now, into: &out.mesh)
        case .mapped(let addresses): core.endpoint.value.mapped(addresses)
        case .mappingsLive(let lifetime): core.endpoint.value.learned(lifetime, now: now)
        case .overlayRequested(let address):
            routes.request(address, finder: &finder, core: &core, now: now, into: &out)
        case .benchServing(let number, let tcpPort, let udpPort, let token):
            guests.serving(
                number, tcpPort: tcpPort, udpPort: udpPort, token: token, core: &core, now: now, into: &out)
        case .benchEnded(let number): guests.ended(number, endpoint: &core.endpoint.value)
        case .stopping(let leave): core.depart(leave: leave, now: now, into: &out)
        }
        finish(now: now, into: &out)
    }

    package mutating func tick(now: Instant, into out: inout AgentOutbox) {
        core.endpoint.value.tick(now: now, wall: core.clock.wall(now), into: &out.mesh)
        var actions: [SupervisorAction] = []
        supervisor.tick(now: now, into: &actions)
        report(actions, now: now, into: &out)
        health.tick(now: now)
        finish(now: now, into: &out)
    }

    /// Ends every entry point: events of the mesh are handled, what is due is sent, and all of it becomes datagrams.
    mutating func finish(now: Instant, into out: inout AgentOutbox) {
        repeat {
            while !out.mesh.events.isEmpty {
                let events = out.mesh.events
                out.mesh.events = []
                for event in events { handle(event, now: now, into: &out) }
            }
            service(now: now, into: &out)
            core.endpoint.value.flush(now: now, into: &out.mesh)
        } while !out.mesh.events.isEmpty
    }

    /// Does what is due. Each part checks the time, so extra calls do no harm.
    private mutating func service(now: Instant, into out: inout AgentOutbox) {
        enroller.service(core: &core, now: now, into: &out)
        core.serviceUplink(now: now, into: &out)
        if let session = core.uplink.openStream(on: &core.endpoint.value, now: now) {
            beginControlStream(in: session, now: now, into: &out)
        }
        core.serviceDeparture(now: now, into: &out)
        heartbeats.service(supervisor, health, reports: &reports, core: &core, now: now, into: &out)
        reports.service(supervisor, health, heartbeat: heartbeats.sequence, core: &core, now: now)
        registration.service(core: &core, now: now)
        certificate.service(core: &core, now: now)
        servicePeers(now: now, into: &out)
    }

    private mutating func servicePeers(now: Instant, into out: inout AgentOutbox) {
        let ended = finder.expire(canAsk: core.canLookUp, now: now)
        pings.service(finder: &finder, endpoint: &core.endpoint.value, now: now, into: &out)
        pings.apply(ended, finder: &finder, now: now, into: &out)
        finder.ask(core: &core, now: now)
        routes.apply(ended, endpoint: core.endpoint.value, now: now, into: &out)
        routes.service(now: now)
        throughput.apply(ended, core: &core, now: now, into: &out)
        throughput.service(core: &core, now: now, into: &out)
        guests.service(core: &core, now: now, into: &out)
        streams.service(core: &core, now: now, into: &out)
    }

    // MARK: - Workers

    private mutating func supervise(_ input: AgentInput, now: Instant, into out: inout AgentOutbox) {
        var actions: [SupervisorAction] = []
        supervisor.apply(input, at: core.clock.own(now), now: now, into: &actions)
        // A state may have changed without an action.
        reports.workersMayHaveChanged(now: now)
        report(actions, now: now, into: &out)
    }

    /// Hands the supervisor's actions to the shell.
    mutating func report(_ actions: [SupervisorAction], now: Instant, into out: inout AgentOutbox) {
        guard !actions.isEmpty else { return }
        out.actions.append(contentsOf: actions.map { .worker($0) })
        reports.workersMayHaveChanged(now: now)
    }
}
