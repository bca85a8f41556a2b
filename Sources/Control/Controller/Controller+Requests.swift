package import Base
import Mesh
import Wire

// Requests of people and programs. Each request is answered once: by its verb's file in `API`, when an agent has answered,
// or when an agent's time is over.

extension Controller {
    mutating func handle(
        _ request: ControllerRequest, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        request.verb.apply(to: &self, id, now: now, into: &out)
    }

    func status(now: Instant) -> StatusView {
        let refusals = EnrolRefusal.allCases.map {
            CounterView(name: "enrolmentsRefused.\($0.rawValue)", count: enrolments.refusals($0))
        }
        return StatusView(
            program: .controller, version: AsterismVersion.current, node: nodeID, name: core.settings.name,
            fleet: core.authority.fleet.hex, phase: .serving, incarnation: core.incarnation,
            startedAt: core.startedAt,
            certificateExpiresAt: core.endpoint.value.credentials?.certificate.certificate.notAfter,
            overlay4: overlay.own4, overlay6: overlay.own6, nodeClocks: NodeClocks.views(core.registry),
            workersActive: core.registry.entries.reduce(0) { $0 + $1.workers.count { !$0.state.isFinal } },
            workersTotal: desired.count,
            verdict: core.registry.entries.filter { $0.state == .online }.map(\.verdict).max(),
            nodes: core.registry.counts,
            counters: core.endpoint.value.figures.map { CounterView(name: $0.name, count: $0.count) } + refusals)
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
