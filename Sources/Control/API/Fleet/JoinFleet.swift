package import Base

/// Answered with the agent's state once it is a member.
package struct JoinFleet: AgentVerb {
    package let token: String
    /// Without it, the name that the agent was started with.
    package var name: String?

    package init(token: String, name: String? = nil) {
        self.token = token
        self.name = name
    }

    package typealias Answer = StatusView

    package static let verb = VerbDescription("join", "Joins the token's fleet", commands: ["join"])

    package var agentRequest: AgentRequest { .join(self) }
    package static func reply(_ view: StatusView) -> AgentReply { .joined(view) }

    package func apply(to agent: inout Agent, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        agent.join(token, name: name, asker: id, now: now, into: &out)
    }
}
