package import Base

/// A verb of the agent that its shell performs, since the shell has the sockets. A core without a shell refuses it.
package protocol ShellVerb: AgentVerb {}

extension ShellVerb {
    package func apply(to agent: inout Agent, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        out.refuse(id, .unavailable, "this node has no sockets")
    }
}
