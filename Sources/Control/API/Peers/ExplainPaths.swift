package import Base

package struct ExplainPaths: AgentVerb {
    /// As in `PingPeer`.
    package let peer: String

    package init(peer: String) { self.peer = peer }

    package typealias Answer = PathsView

    package static let verb = VerbDescription(
        "why", "The paths to a peer, and why data uses the one in use", commands: ["why NODE"])

    package var agentRequest: AgentRequest { .why(self) }
    package static func reply(_ view: PathsView) -> AgentReply { .why(view) }

    package func apply(to agent: inout Agent, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        guard let (_, report) = agent.core.paths(to: peer, id, now: now, into: &out) else { return }
        out.reply(id, Self.reply(PathsView(of: report, now: now)))
    }
}
