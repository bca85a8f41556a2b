package import Base
import Mesh

package struct RelayOnly: AgentVerb {
    /// As in `PingPeer`.
    package let peer: String
    package let isOn: Bool

    package init(peer: String, isOn: Bool) {
        self.peer = peer
        self.isOn = isOn
    }

    package typealias Answer = PathsView

    package static let verb = VerbDescription(
        "debug.relayOnly", "Keeps a peer on relays, or stops that", commands: ["debug relay-only NODE on"])

    package var agentRequest: AgentRequest { .debugRelayOnly(self) }
    package static func reply(_ view: PathsView) -> AgentReply { .why(view) }

    package func apply(to agent: inout Agent, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        guard let (node, report) = agent.core.paths(to: peer, id, now: now, into: &out) else { return }
        guard agent.core.endpoint.value.relayOnly(node, isOn, now: now) else {
            let why = "'\(peer)': no relay leads to it, or too many peers are kept on relays; \(report.pathNames)"
            return out.refuse(id, .refused, why, field: "peer")
        }
        guard let changed = agent.core.endpoint.value.report(on: node, now: now) else { return }
        out.reply(id, Self.reply(PathsView(of: changed, now: now)))
    }
}
