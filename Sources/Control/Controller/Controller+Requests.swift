package import Base
import Mesh
import Wire

// What people and programs ask. Each request is answered once: by its verb's file in `API`, or when an agent has answered,
// or when it has not.

extension Controller {
    mutating func handle(
        _ request: ControllerRequest, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        request.verb.apply(to: &self, id, now: now, into: &out)
    }

    func status(now: Instant) -> StatusView {
        var view = StatusView(
            program: .controller, version: AsterismVersion.current, node: nodeID, phase: .serving,
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
}

extension APIError {
    static func noNode(_ name: String) -> APIError {
        APIError(.notFound, "there is no node '\(name)'", field: "node")
    }
    static func noWorker(_ name: String) -> APIError {
        APIError(.notFound, "there is no worker '\(name)'", field: "name")
    }
}
