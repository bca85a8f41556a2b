import Base
import Mesh
import Wire

// The way to the controller: sessions come and go below, a stream is opened in each, and heartbeats ride beside it.

extension Agent {
    static let heartbeatEvery = Interval.seconds(1)
    static let leavingHeartbeatEvery = Interval.milliseconds(200)
    static let leavingPatience = Interval.seconds(1)
    /// A third of the directory's memory.
    static let registerEvery = Interval.seconds(40)
    static let registerDelay = Interval.milliseconds(50)

    /// Whom to connect to, in order of preference.
    var controllers: [ControllerAddress] {
        switch standing {
        case .unenrolled: []
        case .enrolling(let enrolment):
            [enrolment.token.place]
        case .member(let membership): membership.admission.controllers
        }
    }

    mutating func serviceUplink(now: Instant, into out: inout AgentOutbox) {
        switch uplink {
        case .waiting(let until) where until <= now:
            let all = controllers
            guard departure == .none, !all.isEmpty else {
                uplink = .idle
                return
            }
            // Each failure goes on to the next one.
            let target = all[Int(backoff.failures % Int64(all.count))]
            askNames(of: target, now: now, into: &out)
            let place = place(of: target)
            guard !place.addresses.isEmpty else {
                // The resolver's answer ends the wait.
                uplink = .waiting(until: now + backoff.next(&random))
                return
            }
            // Nothing would be said of a session that is there; and it was given up here, for some reason.
            if endpoint.isConnected(target.node) { endpoint.disconnect(target.node, now: now, into: &out.mesh) }
            uplink = .connecting(target.node)
            endpoint.connect(to: target.node, at: place.paths, now: now, into: &out.mesh)
        case .connected(let node, let session, let streamAt) where streamAt <= now:
            guard let stream = endpoint.openStream(to: node) else {
                uplink = .connected(node, session, streamAt: now + .seconds(1))
                return
            }
            uplink = .up(ControlLink(node: node, stream: stream), session)
            linkIsUp(session, now: now, into: &out)
        case .idle, .waiting, .connecting, .connected, .up: break
        }
    }

    private mutating func linkIsUp(_ session: PeerSession, now: Instant, into out: inout AgentOutbox) {
        reports.forget()
        switch standing {
        case .unenrolled: break
        case .enrolling(let enrolment): sendEnrol(enrolment, session, now: now)
        case .member:
            registerAt = now
            renewalAt = now
            compareClocks(now: now)
            describe(into: &out)
        }
    }

    mutating func retryUplink(now: Instant) {
        let delay = backoff.next(&random)
        heartbeatAt = nil
        uplink = .waiting(until: now + delay)
    }

    // MARK: - What the mesh says

    mutating func handle(_ event: MeshEvent, now: Instant, into out: inout AgentOutbox) {
        switch event {
        case .connected(let node, let session):
            pings.connected(node, name: session.certificate?.name, now: now)
            if let certificate = session.certificate { overlayConnected(node, certificate, now: now, into: &out) }
            benchConnected(node, now: now, into: &out)
            if isWanted(node) {
                guard isController(session) else { return refuseController(node, now: now, into: &out) }
                uplink = .connected(node, session, streamAt: now)
                if case .member = standing { heartbeatAt = now }
            }
        case .disconnected(let node, let reason):
            benchDisconnected(node, into: &out)
            // Whoever ends a session here has said already what comes next.
            guard uplink.node == node, reason != .local else { return }
            counters.uplinksLost += 1
            loseController(node, .ended, now: now, into: &out)
            retryUplink(now: now)
        case .connectFailed(let node, let failure):
            overlayFailed(node, failure, now: now, into: &out)
            // As the directory has called it.
            let name = pings.jobs.first { $0.node == node && $0.name != nil }?.name ?? node.short
            for id in pings.failed(node) + benches.failed(node) {
                refuse(id, .unavailable, "\(name) does not answer", into: &out)
            }
            if uplink.node == node {
                loseController(node, .silent, now: now, into: &out)
                retryUplink(now: now)
            }
        case .message(let node, let bytes): received(message: bytes, from: node, now: now, into: &out)
        case .stream(let node, let event): handle(event, of: node, now: now, into: &out)
        case .pong(_, let token, let roundTrip, let path):
            pings.pong(token: token, roundTrip: roundTrip, by: path, relay: relayName(of: path))
        // Those who look for this node should find it; not at once for each of several changes.
        case .relayUnreached(let relay): seekDetour(to: relay, now: now)
        case .candidatesChanged: registerAt = registerAt.map { min($0, now + Agent.registerDelay) }
        }
    }

    private mutating func handle(
        _ event: StreamEvent, of node: NodeID, now: Instant, into out: inout AgentOutbox
    ) {
        switch event {
        case .opened(let stream): welcome(stream, of: node, now: now, into: &out)
        case .readable(let stream):
            if isUplink(stream, of: node) { return readUplink(now: now, into: &out) }
            benchReadable(stream, of: node, now: now, into: &out)
        case .writable(let stream): if isUplink(stream, of: node) { writeUplink() }
        case .reset(let stream, _), .stopped(let stream, _), .closed(let stream):
            if isUplink(stream, of: node) { return loseStream(now: now, into: &out) }
            benchLost(stream, of: node, into: &out)
        case .acknowledged: break
        case .openable:
            if case .connected(node, let session, _) = uplink { uplink = .connected(node, session, streamAt: now) }
        }
    }

    /// Whether a session with this node is the one to use: the one that was asked for, or, while waiting to ask again,
    /// one with any controller, since a peer that has forgotten a session makes the next one by itself.
    private func isWanted(_ node: NodeID) -> Bool {
        switch uplink {
        case .idle: false
        case .waiting: departure == .none && controllers.contains { $0.node == node }
        case .connecting, .connected, .up: uplink.node == node
        }
    }

    /// A new node knows its controller by the key in its token. A member obeys nobody whose certificate does not say that it
    /// is a controller, whatever token has led there.
    private func isController(_ session: PeerSession) -> Bool {
        guard case .member = standing else { return true }
        return session.certificate?.roles.contains(.controller) ?? false
    }

    private mutating func refuseController(_ node: NodeID, now: Instant, into out: inout AgentOutbox) {
        counters.certificatesRefused += 1
        retryUplink(now: now)
        endpoint.disconnect(node, now: now, into: &out.mesh)
    }

    private func isUplink(_ stream: StreamID, of node: NodeID) -> Bool {
        uplink.link.map { $0.node == node && $0.stream == stream } ?? false
    }

    private mutating func readUplink(now: Instant, into out: inout AgentOutbox) {
        guard case .up(var link, let session) = uplink else { return }
        let before = link.unreadable
        let (messages, isOver) = link.receive(from: &endpoint, into: &out.mesh)
        counters.messagesUnreadable += Int(link.unreadable - before)
        uplink = .up(link, session)
        let stream = link.stream, node = link.node
        for message in messages {
            handle(message, now: now, into: &out)
            // A message may have ended the session it came in.
            guard isUplink(stream, of: node) else { return }
        }
        if isOver { loseStream(now: now, into: &out) }
    }

    private mutating func writeUplink() {
        guard case .up(var link, let session) = uplink else { return }
        link.write(to: &endpoint)
        uplink = .up(link, session)
    }

    /// The stream is of no use any more; another one is opened in the same session, a little later.
    private mutating func loseStream(now: Instant, into out: inout AgentOutbox) {
        guard case .up(let link, let session) = uplink else { return }
        uplink = .connected(link.node, session, streamAt: now + backoff.next(&random))
        endpoint.reset(link.stream, of: link.node, code: 0, into: &out.mesh)
    }

    /// False where there is no stream, or too much waits in it: then the state will be asked for again.
    @discardableResult
    mutating func send(_ message: ControlMessage) -> Bool {
        guard case .up(var link, let session) = uplink else { return false }
        let isTaken = link.send(message, to: &endpoint)
        uplink = .up(link, session)
        return isTaken
    }

    // MARK: - Heartbeats

    mutating func serviceHeartbeat(now: Instant, into out: inout AgentOutbox) {
        guard let due = heartbeatAt, due <= now, case .member = standing, let (node, _) = uplink.session else { return }
        let isLeaving = departure != .none
        sequence &+= 1
        if let report = reports.refresh(supervisor.statuses) { tell(workers: report) }
        var heartbeat = Heartbeat(
            state: isLeaving ? .leaving : .running, incarnation: incarnation, sequence: sequence,
            revision: supervisor.revision)
        heartbeat.processorLoad = health.processorLoad
        heartbeat.memoryLoad = health.memoryLoad
        heartbeat.acceleratorLoad = health.acceleratorLoad
        heartbeat.freeSlots = UInt16(max(0, Limits.workersPerNode - supervisor.activeCount))
        heartbeat.worst = health.worst
        heartbeat.hasCgroups = configuration.containment == .cgroup
        heartbeat.details = health.published.digest
        heartbeat.workers = reports.workersDigest
        if endpoint.send(heartbeat.encoded(), to: node, wantsAnswer: true, now: now) { counters.heartbeatsSent += 1 }
        doubtController(node, now: now, into: &out)
        // From the due time on, so that lateness does not add up; but never two at once after a pause.
        let interval = isLeaving ? Agent.leavingHeartbeatEvery : Agent.heartbeatEvery
        heartbeatAt = now - due < interval ? due + interval : now + interval
    }

    private mutating func received(
        message: [UInt8], from node: NodeID, now: Instant, into out: inout AgentOutbox
    ) {
        guard uplink.session?.node == node else {
            counters.messagesUnexpected += 1
            return
        }
        let ack: HeartbeatAck
        do throws(DecodeError) {
            var reader = ByteReader(message.span.bytes)
            ack = try HeartbeatAck(reading: &reader)
        } catch {
            counters.messagesUnreadable += 1
            return
        }
        guard ack.incarnation == incarnation, ack.sequence <= sequence else {
            counters.messagesUnexpected += 1
            return
        }
        counters.heartbeatsAnswered += 1
        backoff.reset()
        findController(node, now: now, into: &out)
        reports.acknowledged(ack, health: health.published.digest)
        if !isReady {
            isReady = true
            out.actions.append(.ready)
        }
        if case .leaving = departure { leave(now: now, into: &out) }
    }

    // MARK: - The end

    mutating func depart(leave isLeaving: Bool, now: Instant, into out: inout AgentOutbox) {
        guard departure == .none else { return }
        if isLeaving, case .member = standing, uplink.session != nil {
            departure = .leaving(until: now + Agent.leavingPatience)
            heartbeatAt = now
            send(.goodbye(reason: "the node leaves"))
        } else {
            leave(now: now, into: &out)
        }
    }

    mutating func serviceDeparture(now: Instant, into out: inout AgentOutbox) {
        if case .leaving(let until) = departure, until <= now { leave(now: now, into: &out) }
    }

    private mutating func leave(now: Instant, into out: inout AgentOutbox) {
        departure = .gone
        heartbeatAt = nil
        let node = uplink.session?.node
        uplink = .idle
        if let node { endpoint.disconnect(node, now: now, into: &out.mesh) }
        out.actions.append(.stopped)
    }
}
