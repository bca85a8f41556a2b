package import Base
import Mesh

/// Runs NAT discovery again where there are servers for it, and answers within ten seconds.
package struct NetworkCheck: AgentVerb {
    package init() {}

    package typealias Answer = NetcheckView

    package static let verb = VerbDescription(
        "netcheck", "What the network permits this node to do, and how that is known", commands: ["netcheck"])

    package var agentRequest: AgentRequest { .netcheck }
    package static func reply(_ view: NetcheckView) -> AgentReply { .netcheck(view) }

    package func apply(to agent: inout Agent, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        // The shell adds what it knows of the machine.
        let view = NetcheckView(
            of: agent.core.endpoint.value.networkReport(now: now), isMember: agent.core.standing.membership != nil)
        out.reply(id, Self.reply(view))
    }
}
