package import Base
import Mesh
import Noise
import OrderedCollections
import Wire

// What people and programs ask. Each request is answered once: here, or when an agent has answered, or when it has not.

extension Controller {
    mutating func handle(
        _ request: ControllerRequest, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        switch request {
        case .status: out.reply(id, .status(status(now: now)))
        case .nodesList:
            out.reply(id, .nodes(core.registry.entries.indices.map { core.view($0, withHost: false, now: now) }))
        case .nodesGet(let parameters):
            guard let slot = core.registry.find(parameters.node) else {
                return out.refuse(id, .noNode(parameters.node))
            }
            out.reply(id, .node(core.view(slot, withHost: true, now: now)))
        case .tokensCreate(let parameters): createToken(parameters, id, now: now, into: &out)
        case .tokensList: out.reply(id, .tokens(tokens.all.map(\.view)))
        case .tokensRevoke(let parameters): revokeToken(parameters, id, now: now, into: &out)
        case .workersRun(let parameters): run(parameters, id, now: now, into: &out)
        case .workersList(let parameters): listWorkers(parameters, id, into: &out)
        case .workersGet(let parameters):
            guard let view = desired.view(parameters.name, in: core.registry) else {
                return out.refuse(id, .noWorker(parameters.name))
            }
            out.reply(id, .worker(view))
        case .workersStop(let parameters): stop(parameters, id, now: now, into: &out)
        case .workersRemove(let parameters): remove(parameters, id, now: now, into: &out)
        case .workersLogs(let parameters): readLog(parameters, id, now: now, into: &out)
        case .eventsList(let parameters): listEvents(parameters, id, into: &out)
        case .acceleratorsList:
            out.reply(
                id,
                .accelerators(
                    core.registry.entries.flatMap { entry in
                        entry.accelerators.map {
                            AcceleratorView(node: entry.record.node, nodeName: entry.name, accelerator: $0)
                        }
                    }))
        case .peersList:
            let views = core.endpoint.summaries(now: now).map {
                PeerView(of: $0, core.endpoint.certificate(of: $0.node))
            }
            out.reply(id, .peers(views))
        }
    }

    private func status(now: Instant) -> StatusView {
        var view = StatusView(
            program: .controller, version: AsterismVersion.current, node: nodeID, phase: "serving",
            incarnation: core.incarnation, startedAt: core.startedAt,
            counters: core.endpoint.figures.map { CounterView(name: $0.name, count: $0.count) })
        view.name = core.settings.name
        view.fleet = core.authority.fleet.hex
        view.certificateExpiresAt = core.endpoint.credentials?.certificate.certificate.notAfter
        view.overlay4 = overlay.own4
        view.overlay6 = overlay.own6
        view.nodes = core.registry.counts
        view.nodeClocks = NodeClocks.views(core.registry)
        view.workersTotal = desired.count
        view.workersActive = core.registry.entries.reduce(0) { $0 + $1.workers.count { !$0.state.isFinal } }
        view.verdict = core.registry.entries.filter { $0.state == .online }.map(\.verdict).max()
        for refusal in EnrolRefusal.allCases {
            let count = enrolments.refusals(refusal)
            view.counters.append(CounterView(name: "enrolmentsRefused.\(refusal.rawValue)", count: count))
        }
        return view
    }

    /// The overlay's own networks.
    package var overlayNetworks: [IPPrefix] { [overlay.network, OverlayAddress.network6(of: core.authority.fleet)] }

    /// No token can be made: nothing leads to this controller.
    package var isNowhere: Bool { core.address.isNowhere }

    /// One line about the fleet, as service managers show it.
    package var summary: String {
        let counts = core.registry.counts
        var text = "\(core.settings.name), fleet \(core.authority.fleet.hex.prefix(8)): \(counts.online) nodes online"
        let away = counts.suspect + counts.offline + counts.unknown
        if away > 0 { text += ", \(away) not" }
        let others = NodeClocks.differing(core.registry).count
        if others > 0 { text += "; \(others) with a clock that differs" }
        return isNowhere ? text + "; no address for tokens, see --advertise" : text
    }

    private func listEvents(
        _ parameters: ControllerRequest.EventsList, _ id: RequestID, into out: inout ControllerOutbox
    ) {
        let limit = parameters.limit ?? 100
        guard (1...1000).contains(limit) else {
            return out.refuse(id, APIError(.invalid, "limit: must be from 1 to 1000, not \(limit)", field: "limit"))
        }
        out.reply(id, .events(core.events.list(after: parameters.after, limit: Int(limit))))
    }

    // MARK: - Tokens

    private static let tokenLifeMax: Int64 = 365 * 86_400

    private mutating func createToken(
        _ parameters: ControllerRequest.TokensCreate, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        guard !core.address.isNowhere else {
            let text =
                "this controller knows no address at which nodes could reach it, so a token would be useless; start it "
                + "with --advertise HOST:PORT, or set 'advertise' in controller.yaml"
            return out.refuse(id, APIError(.unavailable, text))
        }
        let life = parameters.ttlSeconds ?? 3600, uses = parameters.uses ?? 1
        guard (1...Controller.tokenLifeMax).contains(life) else {
            let text = "ttlSeconds: must be from 1 to \(Controller.tokenLifeMax), not \(life)"
            return out.refuse(id, APIError(.invalid, text, field: "ttlSeconds"))
        }
        guard (1...1_000_000).contains(uses) else {
            return out.refuse(id, APIError(.invalid, "uses: must be from 1 to 1000000, not \(uses)", field: "uses"))
        }
        if let name = parameters.name, name.utf8.count > 100 {
            return out.refuse(id, APIError(.invalid, "name: is longer than 100 bytes", field: "name"))
        }
        let wall = core.clock.wall(now)
        let record = TokenRecord(
            id: core.generator.bytes(TokenText.idCount), secret: core.generator.bytes(TokenText.secretCount),
            name: parameters.name, createdAt: wall, expiresAt: wall + .seconds(life), uses: Int(uses),
            isForBeacons: parameters.isForBeacons ?? false)
        guard tokens.add(record, wall: wall) else {
            return out.refuse(id, APIError(.limit, "there are \(TokenBook.limit) tokens that can still be used"))
        }
        out.persist([.token(record), core.record(.tokenCreated, record.id.hex, now: now)])
        var view = record.view
        view.token =
            TokenText(
                id: record.id, secret: record.secret, controller: nodeID, authority: core.authority.verifyingKey,
                fleet: core.authority.fleet, addresses: core.settings.addresses,
                tcpPorts: core.settings.tcpPorts, names: core.settings.names
            ).text
        out.reply(id, .token(view))
    }

    private mutating func revokeToken(
        _ parameters: ControllerRequest.TokensRevoke, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        guard let bytes = [UInt8](hex: parameters.id), bytes.count == TokenText.idCount else {
            return out.refuse(id, APIError(.invalid, "id: a token's id is 16 hexadecimal digits", field: "id"))
        }
        guard var token = tokens[bytes] else {
            return out.refuse(id, APIError(.notFound, "there is no token \(parameters.id)"))
        }
        if !token.isRevoked {
            token.isRevoked = true
            tokens.update(token)
            out.persist([.token(token), core.record(.tokenRevoked, token.id.hex, now: now)])
        }
        out.reply(id, .token(token.view))
    }

    // MARK: - Logs

    private mutating func readLog(
        _ parameters: ControllerRequest.WorkersLogs, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        guard let (slot, worker) = desired.find(parameters.name, in: core.registry) else {
            return out.refuse(id, .noWorker(parameters.name))
        }
        let limit = parameters.limit ?? Int64(Limits.logChunkBytes)
        guard (1...Int64(Limits.logChunkBytes)).contains(limit) else {
            let text = "limit: must be from 1 to \(Limits.logChunkBytes), not \(limit)"
            return out.refuse(id, APIError(.invalid, text, field: "limit"))
        }
        questions.ask(.log(worker: parameters.name), slot, id, core: &core, now: now, into: &out) { number in
            .readLog(
                ReadLog(operation: number, worker: worker.worker.name, offset: parameters.offset ?? 0, limit: limit))
        }
    }
}

extension APIError {
    static func noNode(_ name: String) -> APIError {
        APIError(.notFound, "there is no node '\(name)'", field: "node")
    }
    static func noWorker(_ name: String) -> APIError {
        APIError(.notFound, "there is no worker '\(name)'", field: "name")
    }
}
