import Base
import Mesh
import Wire

// The connection to the controller, and whether it answers. A controller may move. Its names are resolved again while
// it is silent, and a newer token names its new addresses.

extension AgentCore {
    /// Controllers that this node may connect to now.
    private var reachable: [ControllerAddress] { departure == .none ? controllers : [] }

    /// Connects to the next controller if it is time.
    mutating func serviceUplink(now: Instant, into out: inout AgentOutbox) {
        guard let target = uplink.nextController(reachable, now: now) else { return }
        uplink.resolveNames(of: target, now: now, into: &out)
        let place = uplink.place(of: target)
        // The resolver's answer ends the wait.
        guard !place.addresses.isEmpty else { return uplink.retry(after: .backoff, random: &random, now: now) }
        // An existing session would cause no event. It was given up here, so it is ended first.
        if endpoint.value.isConnected(target.node) { endpoint.value.disconnect(target.node, now: now, into: &out.mesh) }
        uplink.connect(to: target.node)
        endpoint.value.connect(to: target.node, at: place.paths, now: now, into: &out.mesh)
    }

    /// A session with `node` has begun. It becomes the uplink if it is with a controller that this node is to use.
    mutating func apply(_ session: PeerSession, with node: NodeID, now: Instant, into out: inout AgentOutbox) {
        guard uplink.accepts(node, among: reachable) else { return }
        guard isController(session) else {
            counters.add(.certificatesRefused)
            return reconnect(node, after: .backoff, now: now, into: &out)
        }
        uplink.connected(node, session, now: now)
        if case .member = standing { uplink.beat(at: now) }
    }

    /// A new node knows its controller by the key in its token. A member obeys only nodes with the role controller in their
    /// certificates, also after a token has led there.
    private func isController(_ session: PeerSession) -> Bool {
        guard case .member = standing else { return true }
        return session.certificate?.roles.contains(.controller) ?? false
    }

    /// The session with the controller has ended, or could not be made.
    mutating func loseUplink(_ node: NodeID, _ loss: ControllerLoss, now: Instant, into out: inout AgentOutbox) {
        reportLoss(of: node, loss, now: now, into: &out)
        uplink.retry(after: .backoff, random: &random, now: now)
    }

    mutating func loseControlStream(now: Instant, into out: inout AgentOutbox) {
        uplink.loseStream(on: &endpoint.value, random: &random, now: now, into: &out.mesh)
    }

    /// Ends the session with the controller, and connects again at once.
    mutating func restartUplink(now: Instant, into out: inout AgentOutbox) {
        let node = uplink.node
        if uplink.session != nil, let node { reportLoss(of: node, .silent, now: now, into: &out) }
        uplink.retry(after: .none, random: &random, now: now)
        if let node { endpoint.value.disconnect(node, now: now, into: &out.mesh) }
    }

    /// The resolver's answer. The controller that has this name may have an address that this node does not use yet.
    mutating func apply(
        _ addresses: [IPAddress], of name: HostPort, now: Instant, into out: inout AgentOutbox
    ) {
        guard uplink.resolved(name, addresses) else { return }
        let owners = controllers.filter { $0.names.contains(name) }.map(\.node)
        switch uplink.phase {
        case .waiting: uplink.endWait(now: now)
        case .connecting(let node) where owners.contains(node): restartUplink(now: now, into: &out)
        case .connected, .up:
            guard let node = uplink.node, owners.contains(node), isSuspect(now: now) else { return }
            restartUplink(now: now, into: &out)
        case .idle, .connecting: break
        }
    }

    // MARK: - Whether the controller answers

    private func isSuspect(now: Instant) -> Bool { watch.isSilent(for: ControllerWatch.doubt, now: now) }

    /// Whether there is a session with a controller that answers.
    func hasController(now: Instant) -> Bool { uplink.session != nil && !isSuspect(now: now) }

    /// Silence resolves the controller's names again, and is reported when it has lasted.
    mutating func checkController(_ node: NodeID, now: Instant, into out: inout AgentOutbox) {
        guard watch.answeredAt != nil, isSuspect(now: now) else { return }
        for controller in controllers where controller.node == node {
            uplink.resolveNames(of: controller, now: now, into: &out)
        }
        guard watch.isSilent(for: ControllerWatch.patience, now: now) else { return }
        reportLoss(of: node, .silent, now: now, into: &out)
    }

    /// A member that starts while its controller does not answer reports this once.
    mutating func reportAbsence(now: Instant, into out: inout AgentOutbox) {
        guard case .member(let membership) = standing, departure == .none,
            watch.isAbsent(since: memberSince, now: now)
        else { return }
        out.report(.controllerAbsent(places: membership.admission.controllers.flatMap(\.texts)))
    }

    private mutating func reportLoss(
        of node: NodeID, _ loss: ControllerLoss, now: Instant, into out: inout AgentOutbox
    ) {
        guard departure == .none, watch.lost(now: now) else { return }
        out.report(.controllerLost(node, loss))
    }

    /// The controller has answered a heartbeat.
    mutating func reportAnswer(of node: NodeID, now: Instant, into out: inout AgentOutbox) {
        uplink.answered()
        switch watch.answered(now: now) {
        case .first: out.report(.controllerFound(node, after: nil))
        case .again(let silence): out.report(.controllerFound(node, after: silence))
        case .expected: break
        }
    }

    // MARK: - Clocks

    /// Sends this node's clock to the controller, and asks for the controller's. The difference is reported when the
    /// answer has arrived: after a machine was suspended, its clock seems to have been set.
    mutating func compareClocks(now: Instant) {
        guard case .member = standing else { return }
        send(.clock(ClockReading(clock.own(now), expectsReply: true)))
    }

    /// The controller's clock shows this.
    mutating func learnClock(_ controller: UnixTime, now: Instant, into out: inout AgentOutbox) {
        clock.learn(controller, now: now)
        switch clock.report(now: now) {
        case .differs: out.report(.clockDiffers(own: clock.own(now), controller: clock.wall(now)))
        case .agrees: out.report(.clockAgrees)
        case .nothing: break
        }
    }

    // MARK: - Relays

    /// The relays that the controller names. A controller that is itself a relay may not know its own addresses.
    mutating func apply(
        _ relays: [ControllerAddress], _ membership: Membership, now: Instant, into out: inout AgentOutbox
    ) {
        let known = membership.admission.controllers
        let all = relays.map { relay in
            let other = known.first { $0.node == relay.node }.map { uplink.place(of: $0) }
            var ports = relay.tcpPorts
            for port in other?.tcpPorts ?? [] where !ports.contains(port) { ports.append(port) }
            return ControllerAddress(
                node: relay.node, addresses: relay.addresses + (other?.addresses ?? []), tcpPorts: ports)
        }
        endpoint.value.useRelays(all.filter { !$0.addresses.isEmpty }, now: now, into: &out.mesh)
    }
}
