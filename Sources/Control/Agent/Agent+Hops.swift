import Base
import Mesh
import Wire

// A relay that a peer needs does not answer: perhaps it can be reached over another one, at which it has a leg itself. The
// directory knows, as it does of every node.

extension Agent {
    private static let detourPatience = Interval.seconds(5)
    private static let detourLimit = 8

    mutating func seekDetour(to relay: NodeID, now: Instant) {
        detours.removeAll { $0.until <= now || $0.relay == relay }
        guard canLookUp, detours.count < Agent.detourLimit, send(.lookUp(.node(relay))) else { return }
        detours.append((relay, now + Agent.detourPatience))
    }

    /// Whoever answers there must hold the relay's key, so nothing else of the answer is looked at.
    mutating func tookDetour(_ reply: LookUpReply, now: Instant, into out: inout AgentOutbox) {
        guard case .node(let relay) = reply.asked, let index = detours.firstIndex(where: { $0.relay == relay }) else {
            return
        }
        detours.remove(at: index)
        endpoint.detour(to: relay, through: reply.relays, now: now, into: &out.mesh)
    }
}
