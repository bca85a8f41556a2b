package import Base
package import Mesh
import Noise
package import Wire

/// # What a node does
///
/// An agent is a mesh endpoint, a supervisor of workers and a reporter, composed. It belongs to a fleet or wants to
/// (`Standing`), keeps one session with a controller (`Uplink`), and says once a second how it is.
///
/// ```
///  unenrolled ── token ──→ enrolling ── admitted ──→ member
///       ↑                      │ refused
///       └──────────────────────┘
/// ```
///
/// All that it tells is state, and all that it is told is state, so every loss heals by itself:
/// - A heartbeat carries the revision that the agent works by; the controller sends desired state to whoever shows an
///   older one.
/// - The answer carries the digests of what the controller knows; the agent reports to a controller that shows others.
/// - A change of a worker is reported at once, at most every 20 ms; if that report is lost, the digests tell.
///
/// Cut off, it goes on: the supervisor needs nobody, and the uplink tries again for ever, after 0.2 s first and at most
/// 5 s later.
///
/// - `Agent+Uplink.swift`: sessions, the control stream, heartbeats.
/// - `Agent+Messages.swift`: what the controller says.
/// - `Agent+Join.swift`: how a node becomes a member, and what a later token is good for.
/// - `Agent+Certificate.swift`: the certificate, and what it says of this node.
/// - `Agent+Clock.swift`: the controller's clock.
/// - `Agent+Reports.swift`: what the agent says.
/// - `Agent+Requests.swift`: what its local user asks.
/// - `Agent+Overlay.swift`: whom a waiting packet is for.
/// - `Agent+Bench.swift`: measuring the way to a peer.
package struct Agent: ~Copyable {
    var endpoint: Endpoint
    var supervisor: Supervisor
    var configuration: AgentConfiguration
    var clock: FleetClock
    let startedAt: UnixTime
    let incarnation: UInt64
    var random: Random

    var standing = Standing.unenrolled
    var uplink = Uplink.idle
    var backoff = Backoff(first: .milliseconds(200), longest: .seconds(5))
    var counters = AgentCounters()

    var health = HealthBoard()
    var reports = ReportBoard()
    var pings = PingBoard()
    var wishes = OverlayBoard()
    var benches = BenchBoard()
    /// Relays that the directory was asked for, and until when its answer is of use.
    var detours: [(relay: NodeID, until: Instant)] = []
    /// The last heartbeat sent, and when the next one is due.
    var sequence: UInt32 = 0
    var heartbeatAt: Instant?
    var registerAt: Instant?
    /// When the certificate's renewal may be asked for again.
    var renewalAt: Instant?
    var isReady = false
    var names = NameBook()
    var watch = ControllerWatch()
    /// Since when it is a member: its start, or later.
    var memberSince: Instant
    /// Why the last token was of no use; the fleet has not heard of it.
    var joinProblem: String?
    /// People who wait for a controller at the addresses of a newer token.
    var movers: [(asker: RequestID, until: Instant, places: [String])] = []
    var certificateState = CertificateState()
    var departure = Departure.none

    enum Departure: Hashable, Sendable {
        case none
        /// Says so in heartbeats until one is answered, or until this time.
        case leaving(until: Instant)
        case gone
    }

    /// `membership` is what `persistMembership` last wrote, `nil` for a node that is in no fleet; `record` is what
    /// `persist` last wrote. `seed` and `incarnation` are fresh at each start.
    package init(
        identity: consuming Identity, membership: MembershipRecord?, record: AgentRecord,
        configuration: AgentConfiguration, incarnation: UInt64, seed: Seed, now: Instant, wall: UnixTime
    ) {
        // Jitter can be seen from outside, and a `Random` can be reckoned back from what it gave: it never shares its
        // seed with the generator of keys.
        var generator = KeyGenerator(seed)
        func draw() -> Seed {
            Seed(generator.uint64(), generator.uint64(), generator.uint64(), generator.uint64())
        }
        let member = membership.flatMap { Membership($0.admission) }
        endpoint = Endpoint(
            identity: identity, credentials: member?.credentials, configuration: configuration.mesh, seed: draw(),
            now: now)
        endpoint.listens(at: configuration.addresses, now: now)
        supervisor = Supervisor(record: record, seed: draw())
        self.configuration = configuration
        self.incarnation = incarnation
        clock = FleetClock(wall, at: now)
        startedAt = wall
        memberSince = now
        random = Random(draw())
        if let member {
            standing = .member(member)
            endpoint.pin(member.admission.controllers.map(\.node))
            uplink = .waiting(until: now)
        } else if membership != nil {
            counters.membershipUnreadable += 1
        }
    }

    package var nodeID: NodeID { endpoint.nodeID }
    /// What the worker's generation is to run, and which command asked for it.
    package func wish(for worker: WorkerRef) -> DesiredWorker? { supervisor.wish(for: worker) }

    /// The next time at which `tick` has something to do.
    package var deadline: Deadline? {
        mutating get {
            var earliest = endpoint.deadline
            func consider(_ deadline: Deadline?) { earliest = Deadline.earliest(earliest, deadline) }
            consider(supervisor.deadline)
            // Whoever leaves connects to nobody any more.
            if case .waiting = uplink, departure != .none {} else { consider(uplink.deadline) }
            consider(health.deadline)
            consider(pings.deadline)
            consider(benches.deadline)
            consider(wishes.deadline(canAsk: canLookUp))
            // Without a stream there is nobody to report to, and the answers to heartbeats will ask.
            if case .member = standing, uplink.link != nil { consider(reports.deadline) }
            if case .enrolling(let enrolment) = standing {
                consider(enrolment.giveUpAt.map { Deadline($0, "enrolment") })
                consider(enrolment.answerBy.map { Deadline($0, "answer to an enrolment") })
                consider(enrolment.reportAt.map { Deadline($0, "a token without an answer") })
            }
            if let heartbeatAt { consider(Deadline(heartbeatAt, "heartbeat")) }
            // Under the conditions of `serviceMembership`: a deadline that nobody serves would make the driver spin.
            if case .member = standing, uplink.link != nil, departure == .none {
                if let registerAt { consider(Deadline(registerAt, "directory")) }
                if let renewalAt { consider(Deadline(renewalAt, "certificate")) }
            }
            consider(movers.map(\.until).min().map { Deadline($0, "a controller that moved") })
            if case .leaving(let until) = departure { consider(Deadline(until, "departure")) }
            return earliest
        }
    }
}

// MARK: - Entry points

extension Agent {
    package mutating func received(
        _ batch: inout DatagramBatch, now: Instant, into out: inout AgentOutbox
    ) {
        endpoint.received(&batch, now: now, wall: clock.wall(now), into: &out.mesh)
        finish(now: now, into: &out)
    }

    package mutating func handle(_ input: AgentInput, now: Instant, into out: inout AgentOutbox) {
        switch input {
        case .adopted, .launched, .launchFailed, .exited, .lost, .stillThere: supervise(input, now: now, into: &out)
        case .host(let host): health.update(host: host, now: now)
        case .accelerators(let accelerators): health.update(accelerators: accelerators, now: now)
        case .checked(let operation, let problems):
            send(
                .checkReply(
                    CheckReply(operation: operation, problems: Array(problems.prefix(Limits.specProblems)))))
        case .logRead(let read): answer(read)
        case .join(let token): join(token, name: nil, asker: nil, now: now, into: &out)
        case .noToken(let why): noToken(why, into: &out)
        case .request(let id, let request): handle(request, id, now: now, into: &out)
        case .clock(let wall):
            if clock.set(wall, now: now) { compareClocks(now: now) }
            reportAbsence(now: now, into: &out)
            reportCertificateEnd(now: now, into: &out)
        case .resolved(let name, let addresses): resolved(name, addresses, now: now, into: &out)
        case .reconfigured(let changed): reconfigure(changed, into: &out)
        case .addresses(let addresses):
            configuration.addresses = addresses
            endpoint.listens(at: addresses, now: now)
            registerAt = registerAt.map { min($0, now) }
        case .connectionLost(let remote): endpoint.connectionLost(to: remote, now: now, into: &out.mesh)
        case .mapped(let addresses): endpoint.mapped(addresses)
        case .mappingsLive(let lifetime): endpoint.learned(lifetime, now: now)
        case .overlayWanted(let address): want(address, now: now, into: &out)
        case .benchServing(let number, let tcpPort, let udpPort, let token):
            benchServing(number, tcpPort: tcpPort, udpPort: udpPort, token: token, now: now, into: &out)
        case .benchEnded(let number): benchEnded(number)
        case .stopping(let leave): depart(leave: leave, now: now, into: &out)
        }
        finish(now: now, into: &out)
    }

    package mutating func tick(now: Instant, into out: inout AgentOutbox) {
        endpoint.tick(now: now, wall: clock.wall(now), into: &out.mesh)
        var actions: [SupervisorAction] = []
        supervisor.tick(now: now, into: &actions)
        took(actions, now: now, into: &out)
        health.tick(now: now)
        finish(now: now, into: &out)
    }

    /// Ends every entry point: what the mesh says is heard, what is due is said, and all of it becomes datagrams.
    mutating func finish(now: Instant, into out: inout AgentOutbox) {
        repeat {
            while !out.mesh.events.isEmpty {
                let events = out.mesh.events
                out.mesh.events = []
                for event in events { handle(event, now: now, into: &out) }
            }
            service(now: now, into: &out)
            endpoint.flush(now: now, into: &out.mesh)
        } while !out.mesh.events.isEmpty
    }

    /// Does what is due. Each part asks the time, so that calling it too often is no fault.
    private mutating func service(now: Instant, into out: inout AgentOutbox) {
        serviceEnrolment(now: now, into: &out)
        serviceMovers(now: now, into: &out)
        serviceUplink(now: now, into: &out)
        serviceDeparture(now: now, into: &out)
        serviceHeartbeat(now: now, into: &out)
        serviceReports(now: now)
        serviceMembership(now: now)
        servicePings(now: now, into: &out)
        serviceOverlay(now: now, into: &out)
        serviceBenches(now: now, into: &out)
    }

    // MARK: - Workers

    private mutating func supervise(_ input: AgentInput, now: Instant, into out: inout AgentOutbox) {
        var actions: [SupervisorAction] = []
        let wall = clock.own(now)
        switch input {
        case .adopted(let found): supervisor.adopted(found, at: wall, now: now, into: &actions)
        case .launched(let ref, let pid, let startedAt, let containment):
            supervisor.launched(
                ref, pid: pid, startedAt: startedAt, containment: containment, now: now, into: &actions)
        case .launchFailed(let ref, let problem):
            supervisor.launchFailed(ref, problem, at: wall, now: now, into: &actions)
        case .exited(let ref, let exit, let logBytes):
            supervisor.exited(ref, exit, logBytes: logBytes, now: now, into: &actions)
        case .lost(let ref, let at): supervisor.lost(ref, at: at, now: now, into: &actions)
        case .stillThere(let ref): supervisor.stillThere(ref)
        case .host, .accelerators, .checked, .logRead, .join, .noToken, .request, .clock, .addresses, .connectionLost,
            .mapped,
            .mappingsLive, .overlayWanted, .benchServing, .benchEnded, .stopping, .resolved, .reconfigured:
            preconditionFailure("\(input) is not about a worker")
        }
        // A state may have changed without an action.
        reports.workersMayHaveChanged(now: now)
        took(actions, now: now, into: &out)
    }

    mutating func took(_ actions: [SupervisorAction], now: Instant, into out: inout AgentOutbox) {
        guard !actions.isEmpty else { return }
        out.actions.append(contentsOf: actions.map { .worker($0) })
        reports.workersMayHaveChanged(now: now)
    }
}

/// What an agent counts, from the start of its process; the mesh counts for itself.
struct AgentCounters: Hashable, Sendable {
    var heartbeatsSent = 0
    var heartbeatsAnswered = 0
    var reportsSent = 0
    /// Messages of the controller that cannot be read.
    var messagesUnreadable = 0
    /// Messages that only an agent sends, or that nobody asked for.
    var messagesUnexpected = 0
    /// Streams that somebody else than the controller opened, and that said nothing that is listened to.
    var streamsRefused = 0
    /// Servers for measuring that were opened for peers.
    var benchesServed = 0
    var desiredApplied = 0
    var desiredKnown = 0
    var desiredOfOtherBase = 0
    var desiredTooEarly = 0
    var enrolmentsRefused = 0
    /// Certificates that do not prove what they should.
    var certificatesRefused = 0
    var membershipUnreadable = 0
    var uplinksLost = 0

    var all: [CounterView] {
        [
            ("heartbeatsSent", heartbeatsSent), ("heartbeatsAnswered", heartbeatsAnswered),
            ("reportsSent", reportsSent), ("messagesUnreadable", messagesUnreadable),
            ("messagesUnexpected", messagesUnexpected), ("streamsRefused", streamsRefused),
            ("benchesServed", benchesServed),
            ("desiredApplied", desiredApplied), ("desiredKnown", desiredKnown),
            ("desiredOfOtherBase", desiredOfOtherBase), ("desiredTooEarly", desiredTooEarly),
            ("enrolmentsRefused", enrolmentsRefused), ("certificatesRefused", certificatesRefused),
            ("membershipUnreadable", membershipUnreadable), ("uplinksLost", uplinksLost),
        ].map { CounterView(name: $0.0, count: $0.1) }
    }
}
