import Base
import Mesh
import Wire

// This node's place in its fleet, for people.

extension AgentCore {
    /// The status without what features add to it.
    func status(now: Instant) -> StatusView {
        let membership = standing.membership, own = clock.own(now)
        return StatusView(
            program: .agent, version: configuration.version, node: nodeID, name: name,
            fleet: membership?.certificate.fleet.hex, phase: standing.phase, incarnation: incarnation,
            startedAt: startedAt, certificateExpiresAt: membership?.certificate.notAfter,
            overlay4: membership?.overlay.v4, overlay6: membership?.overlay.v6,
            controllers: membership?.admission.controllers.map { view(of: $0) },
            controllerLostAt: watch.lostAt.map { own + ($0 - now) },
            clock: clock.offset.map { ClockView(own: own, controller: own + $0, differs: clock.isOff) },
            containment: configuration.containment,
            counters: counters.views + endpoint.value.figures.map { CounterView(name: $0.name, count: $0.count) })
    }

    private func view(of controller: ControllerAddress) -> ControllerPeerView {
        ControllerPeerView(
            node: controller.node, addresses: uplink.place(of: controller).addresses,
            names: controller.names.map(\.description), isConnected: endpoint.value.isConnected(controller.node))
    }

    /// One line, as service managers show it. `joinProblem`: why the last token was of no use.
    func summary(joinProblem: String?) -> String {
        switch standing {
        case .unenrolled: return joinProblem.map { "not joined: \($0)" } ?? "not joined: waits for 'asterism join'"
        case .enrolling: return joinProblem.map { "not joined: \($0)" } ?? "joining"
        case .member(let membership):
            let place = "\(membership.certificate.name), of fleet \(membership.certificate.fleet.hex.prefix(8))"
            if departure != .none { return "\(place): leaving" }
            let clocks = clock.isOff ? "; this node's clock differs from the controller's" : ""
            guard watch.lostAt == nil, watch.answeredAt != nil else {
                return "\(place): no controller answers\(clocks)"
            }
            return "\(place): connected to the controller\(clocks)"
        }
    }
}
