import Base
import Mesh
import Wire

// What the local user asks.

extension Agent {
    mutating func handle(_ request: AgentRequest, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        switch request {
        case .status: reply(id, .status(status(now: now)), into: &out)
        case .peersList:
            let views = core.endpoint.summaries(now: now).map {
                PeerView(
                    of: $0, core.endpoint.certificate(of: $0.node), relay: $0.path.flatMap { core.relayName(of: $0) })
            }
            reply(id, .peers(views), into: &out)
        case .ping(let ping): begin(ping, id, now: now, into: &out)
        case .benchStart(let bench): begin(bench, id, now: now, into: &out)
        case .why(let why): explain(why, id, now: now, into: &out)
        case .netcheck:
            let view = NetcheckView(
                of: core.endpoint.networkReport(now: now), isMember: core.standing.membership != nil)
            reply(id, .netcheck(view), into: &out)
        case .debugDropPath(let drop): self.drop(drop, id, now: now, into: &out)
        case .debugRelayOnly(let wish): relayOnly(wish, id, now: now, into: &out)
        // Sockets, and what passes them, are the shell's, which answers by itself.
        case .debugRebind, .captureStart, .captureRead, .captureStop:
            refuse(id, .unavailable, "this node has no sockets", into: &out)
        case .join(let join):
            self.join(join.token, name: join.name, asker: id, now: now, into: &out)
        case .workersList: reply(id, .workers(workers), into: &out)
        case .acceleratorsList:
            let name = core.name
            let views = health.accelerators.map {
                AcceleratorView(node: nodeID, nodeName: name, accelerator: $0)
            }
            reply(id, .accelerators(views), into: &out)
        }
    }

    func reply(_ id: RequestID, _ reply: AgentReply, into out: inout AgentOutbox) {
        out.actions.append(.reply(id, .success(reply)))
    }

    func refuse(
        _ id: RequestID, _ code: APIError.Code, _ message: String, field: String? = nil, into out: inout AgentOutbox
    ) {
        out.actions.append(.reply(id, .failure(APIError(code, message, field: field))))
    }

    private var workers: [WorkerView] {
        let name = core.name
        return supervisor.statuses.map { status in
            let desired = supervisor.wish(for: status.worker)
            var view = WorkerView(
                status.worker, wish: desired.map { $0.run ? .run : .stop } ?? .none,
                command: desired?.spec.command ?? [])
            view.node = nodeID
            view.nodeName = name
            view.operation = desired?.operation
            view.take(status)
            return view
        }
    }

    func status(now: Instant) -> StatusView {
        var view = core.status(now: now)
        view.joinProblem = enroller.problem
        view.descriptionProblem = certificate.problem
        view.revision = supervisor.revision
        view.workersActive = supervisor.activeCount
        view.workersTotal = supervisor.statuses.count
        view.verdict = health.worst
        return view
    }

    /// One line about this node's place in its fleet, as service managers show it.
    package var summary: String { core.summary(joinProblem: enroller.problem) }

    // MARK: - Why

    private func explain(_ why: AgentRequest.Why, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        guard let (_, report) = core.paths(to: why.peer, id, now: now, into: &out) else { return }
        reply(id, .why(PathsView(of: report, now: now)), into: &out)
    }

    // MARK: - Ping

    private mutating func begin(
        _ ping: AgentRequest.Ping, _ id: RequestID, now: Instant, into out: inout AgentOutbox
    ) {
        guard !pings.isFull else { return refuse(id, .limit, "\(PingQueue.limit) pings are under way", into: &out) }
        let count = ping.count ?? 4, interval = ping.intervalMilliseconds ?? 1000
        guard (1...100).contains(count) else {
            return refuse(id, .invalid, "must be 1 to 100, not \(count)", field: "count", into: &out)
        }
        guard (10...60_000).contains(interval) else {
            return refuse(
                id, .invalid, "must be 10 to 60000, not \(interval)", field: "intervalMilliseconds", into: &out)
        }
        guard let (asked, known) = core.target(ping.peer, id, now: now, into: &out) else { return }
        pings.begin(
            PingQueue.Request(count: Int(count), interval: .milliseconds(interval), via: ping.via), id, to: asked,
            known: known?.name, finder: &finder, core: &core, now: now, into: &out)
    }
}

extension PeerView {
    init(of summary: PeerSummary, _ certificate: Certificate?, relay: String? = nil) {
        self.init(
            node: summary.node, name: summary.name, isConnected: summary.isConnected, address: summary.path?.remote,
            isRelayed: summary.path?.isRelayed ?? false, relay: relay,
            roundTripMicroseconds: summary.roundTrip.map { $0.nanoseconds / 1000 }, cipher: summary.cipher,
            keyAgeSeconds: summary.keyAge?.seconds, sinceHeardMilliseconds: summary.sinceHeard?.milliseconds,
            bytesReceived: summary.bytesReceived, bytesSent: summary.bytesSent, openStreams: summary.openStreams,
            packetsReceived: summary.packetsReceived, packetsSent: summary.packetsSent,
            packetBytesReceived: summary.packetBytesReceived, packetBytesSent: summary.packetBytesSent,
            hasRoute: summary.hasRoute, datagramBytes: summary.datagramBytes)
        overlay4 = certificate?.overlay4Given
        overlay6 = certificate?.overlay6
    }
}
