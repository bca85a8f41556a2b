import Base
import Mesh
import Wire

// Where the controllers are, and whether they answer. A controller may move: its names are resolved again while it is silent,
// and a newer token names its new addresses.

extension Agent {
    // MARK: - Names

    /// A controller's place with what its names lead to, which goes first: it is the newer.
    func place(of controller: ControllerAddress) -> ControllerAddress {
        var place = controller
        var addresses: [SocketAddress] = []
        for address in names.addresses(of: controller.names) + controller.addresses
        where !addresses.contains(address) && addresses.count < Limits.addressesPerPeer {
            addresses.append(address)
        }
        place.addresses = addresses
        return place
    }

    mutating func askNames(of controller: ControllerAddress, now: Instant, into out: inout AgentOutbox) {
        let due = names.due(controller.names, now: now)
        if !due.isEmpty { out.actions.append(.resolve(due)) }
    }

    /// The controller that has this name may be somewhere else than this node looks for it, or talks to it.
    mutating func resolved(
        _ name: HostPort, _ addresses: [IPAddress], now: Instant, into out: inout AgentOutbox
    ) {
        guard names.resolved(name, addresses) else { return }
        let owners = controllers.filter { $0.names.contains(name) }.map(\.node)
        switch uplink {
        case .waiting: uplink = .waiting(until: now)
        case .connecting(let node) where owners.contains(node): restartUplink(now: now, into: &out)
        case .connected, .up:
            guard let node = uplink.node, owners.contains(node), isDoubtful(now: now) else { return }
            restartUplink(now: now, into: &out)
        case .idle, .connecting: break
        }
    }

    private func isDoubtful(now: Instant) -> Bool { watch.isSilent(for: ControllerWatch.doubt, now: now) }

    /// Ends what there is with the controller, and begins again at once.
    mutating func restartUplink(now: Instant, into out: inout AgentOutbox) {
        let node = uplink.node
        if uplink.session != nil, let node { loseController(node, .silent, now: now, into: &out) }
        backoff.reset()
        heartbeatAt = nil
        uplink = .waiting(until: now)
        if let node { endpoint.disconnect(node, now: now, into: &out.mesh) }
    }

    // MARK: - Whether the controller answers

    /// Silence asks for the controller's addresses again, and is reported when it has lasted.
    mutating func doubtController(_ node: NodeID, now: Instant, into out: inout AgentOutbox) {
        guard watch.answeredAt != nil, isDoubtful(now: now) else { return }
        for controller in controllers where controller.node == node { askNames(of: controller, now: now, into: &out) }
        guard watch.isSilent(for: ControllerWatch.patience, now: now) else { return }
        loseController(node, .silent, now: now, into: &out)
    }

    /// A member that starts while its controller is away says so, once.
    mutating func reportAbsence(now: Instant, into out: inout AgentOutbox) {
        guard case .member(let membership) = standing, departure == .none,
            watch.isAbsent(since: memberSince, now: now)
        else { return }
        out.actions.append(.notice(.controllerAbsent(places: membership.admission.controllers.flatMap(\.texts))))
    }

    mutating func loseController(
        _ node: NodeID, _ loss: ControllerLoss, now: Instant, into out: inout AgentOutbox
    ) {
        guard departure == .none, watch.lost(now: now) else { return }
        out.actions.append(.notice(.controllerLost(node, loss)))
    }

    mutating func findController(_ node: NodeID, now: Instant, into out: inout AgentOutbox) {
        switch watch.answered(now: now) {
        case .first: out.actions.append(.notice(.controllerFound(node, after: nil)))
        case .again(let silence): out.actions.append(.notice(.controllerFound(node, after: silence)))
        case .expected: break
        }
        answerMovers(now: now, into: &out)
    }
}
