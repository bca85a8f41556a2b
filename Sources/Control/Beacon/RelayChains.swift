import Base
import Mesh
import Wire

/// A relay that a peer needs does not answer. It may be reached over another one, at which it has an allocation itself. The
/// directory knows, as it does of every node.
enum RelayChains {
    private static let limit = 8
    private static let patience = PeerFinder.Patience(total: .seconds(5), controller: nil, answers: [.seconds(5)])

    /// Looks for the relays that lead to `relay`.
    static func find(_ relay: NodeID, finder: inout PeerFinder, core: inout AgentCore, now: Instant) {
        guard core.canLookUp, finder.relaySearches(except: relay, now: now) < limit else { return }
        _ = finder.begin(
            PeerFinder.Request(
                purpose: .relayChain(to: relay), asked: .node(relay), name: nil, goal: .relays, patience: patience),
            core: &core, now: now)
    }

    static func apply(
        _ results: [PeerFinder.Result], endpoint: inout Endpoint, now: Instant, into out: inout AgentOutbox
    ) {
        for result in results {
            guard case .relayChain(let relay) = result.purpose, case .relays(let relays) = result.outcome else {
                continue
            }
            endpoint.relayChain(to: relay, through: relays, now: now, into: &out.mesh)
        }
    }
}
