import Base
import Mesh
import Wire

// What the local user asks.

extension Agent {
    mutating func handle(_ request: AgentRequest, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        switch request {
        case .status: reply(id, .status(status(now: now)), into: &out)
        case .peersList: reply(id, .peers(endpoint.summaries(now: now).map { PeerView(of: $0) }), into: &out)
        case .ping(let ping): begin(ping, id, now: now, into: &out)
        case .join(let join): self.join(join.token, name: join.name, asker: id, now: now, into: &out)
        case .workersList: reply(id, .workers(workers), into: &out)
        case .acceleratorsList:
            let name = standing.membership?.certificate.name ?? configuration.name
            let views = health.accelerators.map {
                AcceleratorView(node: nodeID, nodeName: name, accelerator: $0)
            }
            reply(id, .accelerators(views), into: &out)
        }
    }

    private func reply(_ id: RequestID, _ reply: AgentReply, into out: inout AgentOutbox) {
        out.actions.append(.reply(id, .success(reply)))
    }

    func refuse(
        _ id: RequestID, _ code: APIError.Code, _ message: String, field: String? = nil, into out: inout AgentOutbox
    ) {
        out.actions.append(.reply(id, .failure(APIError(code, message, field: field))))
    }

    private var workers: [WorkerView] {
        let name = standing.membership?.certificate.name ?? configuration.name
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
        var view = StatusView(
            program: .agent, version: configuration.version, node: nodeID, phase: standing.phase,
            incarnation: incarnation, startedAt: startedAt, counters: counters.all)
        view.name = configuration.name
        if let membership = standing.membership {
            view.name = membership.certificate.name
            view.fleet = membership.certificate.fleet.hex
            view.certificateExpiresAt = membership.certificate.notAfter
            view.controllers = membership.admission.controllers.map { controller in
                ControllerPeerView(
                    node: controller.node, addresses: controller.addresses,
                    isConnected: endpoint.isConnected(controller.node))
            }
        }
        let statuses = supervisor.statuses
        view.revision = supervisor.revision
        view.workersActive = supervisor.activeCount
        view.workersTotal = statuses.count
        view.containment = configuration.containment
        view.verdict = health.worst
        view.counters += endpoint.counters.all.map { CounterView(name: $0.name, count: $0.count) }
        return view
    }

    // MARK: - Ping

    private mutating func begin(
        _ ping: AgentRequest.Ping, _ id: RequestID, now: Instant, into out: inout AgentOutbox
    ) {
        guard !pings.isFull else { return refuse(id, .limit, "\(PingBoard.limit) pings are under way", into: &out) }
        let count = ping.count ?? 4, interval = ping.intervalMilliseconds ?? 1000
        guard (1...100).contains(count) else {
            return refuse(id, .invalid, "must be 1 to 100, not \(count)", field: "count", into: &out)
        }
        guard (10...60_000).contains(interval) else {
            return refuse(
                id, .invalid, "must be 10 to 60000, not \(interval)", field: "intervalMilliseconds", into: &out)
        }
        let known = endpoint.summaries(now: now).filter { $0.name == ping.peer || $0.node.hex.hasPrefix(ping.peer) }
        let node = known.count == 1 && !ping.peer.isEmpty ? known[0].node : NodeID(hex: ping.peer)
        guard known.count <= 1, let node else {
            let why = known.isEmpty ? "no peer of that name; give its whole node id" : "several peers match"
            return refuse(
                id, known.isEmpty ? .notFound : .conflict, "'\(ping.peer)': \(why)", field: "peer", into: &out)
        }
        guard node != nodeID else { return refuse(id, .invalid, "that is this node", field: "peer", into: &out) }
        var job = PingBoard.Job(
            request: id, node: node, name: known.first?.name, count: Int(count), interval: .milliseconds(interval),
            next: now)
        if !endpoint.isConnected(node) {
            job.connectBy = now + PingBoard.connectPatience
            guard send(.lookUp(node)) else {
                return refuse(id, .unavailable, "no session with it, and no controller to ask for it", into: &out)
            }
        }
        pings.add(job)
    }

    mutating func servicePings(now: Instant, into out: inout AgentOutbox) {
        guard !pings.isEmpty else { return }
        let (answers, unreachable) = pings.tick(&endpoint, now: now)
        for (id, view) in answers { reply(id, .ping(view), into: &out) }
        for id in unreachable { refuse(id, .timeout, "no session came about", into: &out) }
    }
}

extension PeerView {
    init(of summary: PeerSummary) {
        self.init(
            node: summary.node, name: summary.name, isConnected: summary.isConnected, address: summary.address,
            roundTripMicroseconds: summary.roundTrip.map { $0.nanoseconds / 1000 }, cipher: summary.cipher,
            keyAgeSeconds: summary.keyAge?.seconds, sinceHeardMilliseconds: summary.sinceHeard?.milliseconds,
            bytesReceived: summary.bytesReceived, bytesSent: summary.bytesSent, openStreams: summary.openStreams)
    }
}
