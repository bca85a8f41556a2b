import Base
import Mesh
import Noise
import OrderedCollections
import Wire

// What agents say on the control stream, and how a newcomer becomes a member.

extension Controller {
    mutating func handle(_ message: ControlMessage, from slot: Int, now: Instant, into out: inout ControllerOutbox) {
        let node = registry[slot].record.node
        switch message {
        case .register(let register):
            directory.register(
                node, addresses: register.addresses, through: register.relays, tcpPorts: register.tcpPorts,
                observed: endpoint.address(of: node), now: now)
            tellRelays(slot, now: now)
        case .lookUp(let asked): send(.lookUpReply(lookUp(asked, now: now)), to: slot)
        case .report(let report): take(report, slot, now: now, into: &out)
        case .checkReply(let reply): take(reply, slot, now: now, into: &out)
        case .logChunk(let chunk): take(chunk, slot, now: now, into: &out)
        case .goodbye(let reason):
            guard registry[slot].state != .left else { return }
            registry.left(slot)
            out.persist([record(.nodeLeft, reason, slot: slot, now: now)])
        case .renewCertificate(let requested): renew(slot, requested, now: now, into: &out)
        case .clock(let reading): apply(reading, slot, now: now, into: &out)
        // A member does not enrol again; the rest is what a controller says.
        case .enrol, .enrolReply, .desired, .check, .readLog, .lookUpReply, .certificateRenewed, .relays,
            .certificateRefused:
            break
        }
    }

    // MARK: - Reports

    private mutating func take(_ report: Report, _ slot: Int, now: Instant, into out: inout ControllerOutbox) {
        registry[slot].agentVersion = report.agentVersion
        registry[slot].containment = report.containment ?? registry[slot].containment
        if let health = report.health {
            registry[slot].host = health.host
            registry[slot].accelerators = health.accelerators
            registry[slot].knownDetails = health.digest
        }
        guard let workers = report.workers else { return }
        registry[slot].knownWorkers = workers.digest
        var changes: [StoreChange] = []
        let before = registry[slot].workers
        registry[slot].workers = workers.workers
        for status in workers.workers {
            let old = before.first { $0.worker == status.worker }
            guard old?.state != status.state || old?.restarts != status.restarts else { continue }
            changes.append(
                record(.workerChanged, Controller.describe(status), slot: slot, worker: status.worker.name, now: now))
        }
        if !changes.isEmpty { out.persist(changes) }
    }

    private static func describe(_ status: WorkerStatus) -> String {
        var text = status.state.rawValue
        if let pid = status.pid, !status.state.isFinal { text += ", pid \(pid)" }
        if status.state != .running, let exit = status.lastExit { text += ", \(exit)" }
        if status.restarts > 0 { text += ", restart \(status.restarts)" }
        if let reason = status.reason { text += ": \(reason)" }
        return text
    }

    private mutating func renew(
        _ slot: Int, _ requested: NodeDescription?, now: Instant, into out: inout ControllerOutbox
    ) {
        let wall = clock.wall(now), old = registry[slot].certificate
        var next = old.description
        if let requested {
            next = requested
            next.name = requested.name ?? old.name
        }
        if next != old.description {
            if let (refusal, text) = judge(next, of: old.node) {
                send(.certificateRefused(refusal, text: text), to: slot)
                out.persist([record(.nodeRefused, "keeps its certificate: \(text)", slot: slot, now: now)])
                return
            }
            reissue(slot, as: next, now: now, into: &out)
        } else if wall >= Controller.renewal(of: old) {
            // A request that comes too early, or twice, gets the certificate that there is.
            reissue(slot, as: next, now: now, into: &out)
        }
        sendCertificate(slot)
    }

    /// Makes a member's next certificate. It has an overlay address if there is one.
    mutating func reissue(
        _ slot: Int, as description: NodeDescription, now: Instant, into out: inout ControllerOutbox
    ) {
        let old = registry[slot].certificate
        let overlay4 = old.overlay4.isUnspecified ? takeOverlayAddress() : old.overlay4
        var next = registry[slot].record
        next.certificate = authority.issue(
            counters.serial, to: old.node, name: description.name ?? old.name, site: description.site,
            labels: description.labels, roles: old.roles, overlay4: overlay4, wall: clock.wall(now))
        counters.serial += 1
        _ = registry.add(next)
        var changes: [StoreChange] = [.counters(counters), .node(next)]
        if description != old.description {
            changes.append(record(.nodeChanged, description.change(from: old.description), slot: slot, now: now))
        }
        let text = "until \(registry[slot].certificate.notAfter)"
        changes.append(record(.certificateRenewed, text, slot: slot, now: now))
        out.persist(changes)
    }

    /// Why a node cannot be called and labelled so.
    private func judge(_ description: NodeDescription, of node: NodeID) -> (EnrolRefusal, String)? {
        let name = description.name ?? ""
        guard WorkerSpec.isName(name) else {
            return (.badName, "name '\(name.prefix(63))': \(EnrolRefusal.badName.text)")
        }
        guard description.site.isEmpty || WorkerSpec.isName(description.site) else {
            return (.badName, "site '\(description.site.prefix(63))': \(EnrolRefusal.badName.text)")
        }
        if let problem = description.labelProblem { return (.badLabel, problem) }
        if let holder = registry.slot(named: name), registry[holder].record.node != node {
            return (.nameTaken, "name '\(name)': \(EnrolRefusal.nameTaken.text)")
        }
        return nil
    }

    mutating func sendCertificate(_ slot: Int) {
        let renewed = CertificateRenewed(
            certificate: registry[slot].record.certificate.encoded(), authorities: [authority.verifyingKey.bytes],
            overlayNetwork: overlay.network, controllers: whereabouts.isNowhere ? [] : [whereabouts])
        send(.certificateRenewed(renewed), to: slot)
    }

    // MARK: - Enrolment

    /// Wrong proofs that one session may bring.
    private static let enrolAttempts = 3
    /// A few hundred bytes are all that a newcomer has to say; whoever begins to say more is sent away.
    private static let newcomerBytes = 16 << 10

    mutating func readNewcomer(_ node: NodeID, _ stream: StreamID, now: Instant, into out: inout ControllerOutbox) {
        let result = endpoint.read(stream, of: node, limit: Controller.newcomerBytes, into: &out.mesh)
        newcomers[node]?.channel.receive(result.bytes)
        while let message = newcomers[node]?.channel.nextMessage() {
            guard case .enrol(let enrol) = message else { continue }
            answer(enrol, from: node, stream, now: now, into: &out)
        }
        guard let channel = newcomers[node]?.channel else { return }
        if channel.isBroken || channel.pendingBytes >= Controller.newcomerBytes {
            endpoint.disconnect(node, now: now, into: &out.mesh)
        }
    }

    private mutating func answer(
        _ enrol: Enrol, from node: NodeID, _ stream: StreamID, now: Instant, into out: inout ControllerOutbox
    ) {
        guard var newcomer = newcomers[node], newcomer.attempts < Controller.enrolAttempts else {
            return endpoint.disconnect(node, now: now, into: &out.mesh)
        }
        newcomer.attempts += 1
        let reply: EnrolReply
        if let refusal = judge(enrol, node, newcomer, now: now) {
            enrolmentsRefused[refusal.refusal, default: 0] += 1
            out.persist([record(.nodeRefused, "'\(enrol.name.prefix(63))': \(refusal.text)", now: now)])
            reply = .refused(refusal.refusal, text: refusal.text)
        } else {
            reply = .admitted(admit(enrol, node, now: now, into: &out))
        }
        if newcomer.channel.send(.enrolReply(reply)) {
            let count = endpoint.write(newcomer.channel.unsent(limit: 64 << 10), to: stream, of: node)
            newcomer.channel.taken(count)
        }
        newcomers[node] = newcomer
    }

    private func judge(
        _ enrol: Enrol, _ node: NodeID, _ newcomer: Newcomer, now: Instant
    ) -> (refusal: EnrolRefusal, text: String)? {
        let member = registry.slot(of: node)
        let isReturning = member.map { registry[$0].record.token == enrol.tokenID.hex } ?? false
        let wall = clock.wall(now)
        if let refusal = tokens.judge(
            enrol, handshakeHash: newcomer.handshakeHash, isReturning: isReturning, wall: wall)
        {
            return (refusal, refusal.text)
        }
        let description = NodeDescription(name: enrol.name, site: enrol.site, labels: Controller.sorted(enrol.labels))
        return judge(description, of: node).map { ($0.0, $0.1) }
    }

    private mutating func admit(
        _ enrol: Enrol, _ node: NodeID, now: Instant, into out: inout ControllerOutbox
    ) -> Admission {
        let wall = clock.wall(now)
        var changes: [StoreChange] = []
        let labels = Controller.sorted(enrol.labels)
        let old = registry.slot(of: node).map { registry[$0].record }
        var roles = Roles.agent
        if tokens[enrol.tokenID]?.isForBeacons ?? false { roles.insert(.beacon) }
        if old?.token != enrol.tokenID.hex, var token = tokens[enrol.tokenID] {
            token.used += 1
            tokens.update(token)
            changes.append(.token(token))
        }
        let known = old?.certificate.certificate.overlay4 ?? .any4
        let overlay4 = known.isUnspecified ? takeOverlayAddress() : known
        let certificate = authority.issue(
            counters.serial, to: node, name: enrol.name, site: enrol.site, labels: labels, roles: roles,
            overlay4: overlay4, wall: wall)
        counters.serial += 1
        let entry = NodeRecord(
            node: node, certificate: certificate, enrolledAt: old?.enrolledAt ?? wall, token: enrol.tokenID.hex,
            revision: old?.revision ?? 1)
        let slot = registry.add(entry)
        changes += [.counters(counters), .node(entry)]
        let place = overlay4.isUnspecified ? "\(overlay.network) is full, so without an IPv4 address" : "as \(overlay4)"
        changes.append(record(.nodeEnrolled, "with token \(enrol.tokenID.hex), \(place)", slot: slot, now: now))
        out.persist(changes)
        return Admission(
            certificate: certificate.encoded(), authorities: [authority.verifyingKey.bytes],
            controllers: [whereabouts],
            overlayNetwork: overlay.network, clock: wall)
    }

    /// As certificates want them: sorted, each name once.
    private static func sorted(_ labels: [Label]) -> [Label] {
        var result: [Label] = []
        for label in labels.sorted(by: { $0.name < $1.name }) where result.last?.name != label.name {
            result.append(label)
        }
        return result
    }
}
