import Base
import Mesh
import Wire

// This node's place in its fleet, for people.

extension AgentCore {
    /// The status without what features add to it.
    func status(now: Instant) -> StatusView {
        var view = StatusView(
            program: .agent, version: configuration.version, node: nodeID, phase: standing.phase,
            incarnation: incarnation, startedAt: startedAt, counters: counters.views)
        view.name = name
        if let membership = standing.membership {
            view.fleet = membership.certificate.fleet.hex
            view.certificateExpiresAt = membership.certificate.notAfter
            view.overlay4 = membership.overlay.v4
            view.overlay6 = membership.overlay.v6
            view.controllers = membership.admission.controllers.map { controller in
                ControllerPeerView(
                    node: controller.node, addresses: uplink.place(of: controller).addresses,
                    names: controller.names.map(\.description), isConnected: endpoint.isConnected(controller.node))
            }
        }
        if let lostAt = watch.lostAt { view.controllerLostAt = clock.own(now) + (lostAt - now) }
        if let offset = clock.offset {
            let own = clock.own(now)
            view.clock = ClockView(own: own, controller: own + offset, differs: clock.isOff)
        }
        view.containment = configuration.containment
        view.counters += endpoint.figures.map { CounterView(name: $0.name, count: $0.count) }
        return view
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
