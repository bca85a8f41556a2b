package import Base
import Mesh
import Wire

// What the shell asks for a capture. The shell captures; the agent knows the peer of each packet.

extension Agent {
    /// A peer that this node knows, for a capture of its packets alone.
    package func capturedPeer(_ text: String, now: Instant) -> Result<NodeID, APIError> {
        let known = core.peers(called: text, now: now)
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

    /// The peer of a captured packet, and the relay that carried it.
    package func party(of packet: CapturedPacket) -> CapturedPacket.Party {
        var party = CapturedPacket.Party()
        switch packet.layer {
        case .inner: party.node = packet.farOverlayAddress.flatMap { core.endpoint.value.peer(withOverlay: $0) }
        case .outer: party.node = packet.path.flatMap { core.endpoint.value.peer(at: $0) }
        }
        party.name = party.node.flatMap { core.endpoint.value.certificate(of: $0)?.name }
        party.relay = packet.path.flatMap { core.relayName(of: $0) }
        return party
    }
}
