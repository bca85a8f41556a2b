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
            self.join(Enroller.Request(token: join.token, name: join.name, asker: id), now: now, into: &out)
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
        var view = StatusView(
            program: .agent, version: core.configuration.version, node: nodeID, phase: core.standing.phase,
            incarnation: core.incarnation, startedAt: core.startedAt, counters: core.counters.all)
        view.name = core.configuration.name
        if let membership = core.standing.membership {
            view.name = membership.certificate.name
            view.fleet = membership.certificate.fleet.hex
            view.certificateExpiresAt = membership.certificate.notAfter
            view.overlay4 = membership.overlay.v4
            view.overlay6 = membership.overlay.v6
            view.controllers = membership.admission.controllers.map { controller in
                ControllerPeerView(
                    node: controller.node, addresses: core.uplink.place(of: controller).addresses,
                    names: controller.names.map(\.description),
                    isConnected: core.endpoint.isConnected(controller.node))
            }
        }
        view.joinProblem = enroller.problem
        view.descriptionProblem = certificate.problem
        if let lostAt = core.watch.lostAt { view.controllerLostAt = core.clock.own(now) + (lostAt - now) }
        if let offset = core.clock.offset {
            let own = core.clock.own(now)
            view.clock = ClockView(own: own, controller: own + offset, differs: core.clock.isOff)
        }
        let statuses = supervisor.statuses
        view.revision = supervisor.revision
        view.workersActive = supervisor.activeCount
        view.workersTotal = statuses.count
        view.containment = core.configuration.containment
        view.verdict = health.worst
        view.counters += core.endpoint.figures.map { CounterView(name: $0.name, count: $0.count) }
        return view
    }

    /// One line about this node's place in its fleet, as service managers show it.
    package var summary: String {
        switch core.standing {
        case .unenrolled:
            return enroller.problem.map { "not joined: \($0)" } ?? "not joined: waits for 'asterism join'"
        case .enrolling: return enroller.problem.map { "not joined: \($0)" } ?? "joining"
        case .member(let membership):
            let place = "\(membership.certificate.name), of fleet \(membership.certificate.fleet.hex.prefix(8))"
            if core.departure != .none { return "\(place): leaving" }
            let clocks = core.clock.isOff ? "; this node's clock differs from the controller's" : ""
            guard core.watch.lostAt == nil, core.watch.answeredAt != nil else {
                return "\(place): no controller answers\(clocks)"
            }
            return "\(place): connected to the controller\(clocks)"
        }
    }

    // MARK: - Why

    private func explain(_ why: AgentRequest.Why, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        guard let (_, known) = target(why.peer, id, now: now, into: &out) else { return }
        guard let known, let report = core.endpoint.report(on: known.node, now: now) else {
            let text = "'\(why.peer)': this node has no session with it; asterism ping makes one"
            return refuse(id, .notFound, text, field: "peer", into: &out)
        }
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
        guard let (asked, known) = target(ping.peer, id, now: now, into: &out) else { return }
        pings.begin(
            PingQueue.Request(count: Int(count), interval: .milliseconds(interval), via: ping.via), id, to: asked,
            known: known?.name, finder: &finder, core: &core, now: now, into: &out)
    }

    /// Whom a person means, who is told where that is nobody.
    func target(
        _ text: String, _ id: RequestID, now: Instant, into out: inout AgentOutbox
    ) -> (asked: LookUp, known: PeerSummary?)? {
        func fail(_ code: APIError.Code, _ why: String, _ out: inout AgentOutbox) {
            refuse(id, code, why, field: "peer", into: &out)
        }
        let known = peers(called: text, now: now)
        guard known.count <= 1 else {
            fail(.conflict, "'\(text)': several peers match", &out)
            return nil
        }
        guard let asked = known.first.map({ .node($0.node) }) ?? LookUp(peer: text) else {
            let why = "no peer has that name, and it is no name of a node, no overlay address and no whole node id"
            fail(.notFound, "'\(text)': \(why)", &out)
            return nil
        }
        guard !core.isOwn(asked) else {
            fail(.invalid, "that is this node", &out)
            return nil
        }
        return (asked, known.first)
    }

    /// The known peers that a person may mean: by name, overlay address, or the first digits of the id.
    func peers(called text: String, now: Instant) -> [PeerSummary] {
        guard !text.isEmpty else { return [] }
        let address = IPAddress(text), all = core.endpoint.summaries(now: now)
        // A short name may be the beginning of somebody's id.
        let named = all.filter { $0.name == text }
        guard named.isEmpty else { return named }
        return all.filter { peer in
            if text.utf8.count >= Agent.leastDigits, peer.node.hex.hasPrefix(text) { return true }
            guard let address, let certificate = core.endpoint.certificate(of: peer.node) else { return false }
            return certificate.overlayAddresses.contains(address)
        }
    }

    /// Of an id, to be taken for its beginning: fewer would be found in somebody's id too often, while a node of that name
    /// is meant.
    private static let leastDigits = 4
}

extension LookUp {
    /// `nil` for what no node can be called.
    init?(peer text: String) {
        if let node = NodeID(hex: text) {
            self = .node(node)
        } else if let address = IPAddress(text).flatMap({ IPAddress(bytes: $0.bytes) }) {
            self = .address(address)
        } else if WorkerSpec.isName(text) {
            self = .name(text)
        } else {
            return nil
        }
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
