import Base
import Mesh
import Wire

// What people try with paths, and what they are told of them.

extension Agent {
    private func tellPaths(of node: NodeID, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        guard let report = core.endpoint.report(on: node, now: now) else { return }
        reply(id, .why(PathsView(of: report, now: now)), into: &out)
    }

    mutating func drop(
        _ drop: AgentRequest.DropPath, _ id: RequestID, now: Instant, into out: inout AgentOutbox
    ) {
        guard let (node, report) = core.paths(to: drop.peer, id, now: now, into: &out) else { return }
        guard let path = report.paths(called: drop.path).first else {
            let why = "'\(drop.path)': no path of the peer; \(report.pathNames)"
            return refuse(id, .notFound, why, field: "path", into: &out)
        }
        guard core.endpoint.drop(path, of: node, now: now) else {
            return refuse(
                id, .refused, "'\(drop.path)': data goes there, and there is no other path", field: "path", into: &out)
        }
        tellPaths(of: node, id, now: now, into: &out)
    }

    mutating func relayOnly(
        _ wish: AgentRequest.RelayOnly, _ id: RequestID, now: Instant, into out: inout AgentOutbox
    ) {
        guard let (node, report) = core.paths(to: wish.peer, id, now: now, into: &out) else { return }
        guard core.endpoint.relayOnly(node, wish.isOn, now: now) else {
            let why = "'\(wish.peer)': no relay leads to it, or too many peers are kept on relays; \(report.pathNames)"
            return refuse(id, .refused, why, field: "peer", into: &out)
        }
        tellPaths(of: node, id, now: now, into: &out)
    }
}
