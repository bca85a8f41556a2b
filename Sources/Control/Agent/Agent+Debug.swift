package import Base
import Mesh
import Wire

// What people try with paths, and what they are told of them.

extension Agent {
    /// The peer and what is known of its paths; who asks is told where there is nothing.
    private func peer(
        called text: String, _ id: RequestID, now: Instant, into out: inout AgentOutbox
    ) -> (node: NodeID, report: PathReport)? {
        guard let (_, known) = target(text, id, now: now, into: &out) else { return nil }
        guard let known, let report = core.endpoint.report(on: known.node, now: now) else {
            let why = "'\(text)': this node has no session with it; asterism ping makes one"
            refuse(id, .notFound, why, field: "peer", into: &out)
            return nil
        }
        return (known.node, report)
    }

    private func tellPaths(of node: NodeID, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        guard let report = core.endpoint.report(on: node, now: now) else { return }
        reply(id, .why(PathsView(of: report, now: now)), into: &out)
    }

    mutating func drop(
        _ drop: AgentRequest.DropPath, _ id: RequestID, now: Instant, into out: inout AgentOutbox
    ) {
        guard let (node, report) = peer(called: drop.peer, id, now: now, into: &out) else { return }
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
        guard let (node, report) = peer(called: wish.peer, id, now: now, into: &out) else { return }
        guard core.endpoint.relayOnly(node, wish.isOn, now: now) else {
            let why = "'\(wish.peer)': no relay leads to it, or too many peers are kept on relays; \(report.pathNames)"
            return refuse(id, .refused, why, field: "peer", into: &out)
        }
        tellPaths(of: node, id, now: now, into: &out)
    }

    // MARK: - For captures

    /// A peer that this node knows, for a capture of what it says.
    package func capturedPeer(_ text: String, now: Instant) -> Result<NodeID, APIError> {
        let known = peers(called: text, now: now)
        if known.count > 1 { return .failure(APIError(.conflict, "'\(text)': several peers match", field: "peer")) }
        guard let peer = known.first else {
            if let asked = LookUp(peer: text), core.isOwn(asked) {
                return .failure(APIError(.invalid, "that is this node", field: "peer"))
            }
            let why = "'\(text)': this node has no such peer; asterism ping makes a session with one"
            return .failure(APIError(.notFound, why, field: "peer"))
        }
        return .success(peer.node)
    }

    /// Whose a captured packet is, and whose relay has carried it.
    package func party(of packet: CapturedPacket) -> CapturedPacket.Party {
        var party = CapturedPacket.Party()
        switch packet.layer {
        case .inner: party.node = packet.farOverlayAddress.flatMap { core.endpoint.peer(withOverlay: $0) }
        case .outer: party.node = packet.path.flatMap { core.endpoint.peer(at: $0) }
        }
        party.name = party.node.flatMap { core.endpoint.certificate(of: $0)?.name }
        party.relay = packet.path.flatMap { core.relayName(of: $0) }
        return party
    }
}
