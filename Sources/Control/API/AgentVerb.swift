package import Base

/// A verb of the agent.
package protocol AgentVerb: APIVerb {
    /// The verb as one of the agent's requests.
    var agentRequest: AgentRequest { get }
    /// Its answer as one of the agent's replies.
    static func reply(_ answer: Answer) -> AgentReply

    /// Does the work. The reply goes to `out`, now or later.
    func apply(to agent: inout Agent, _ id: RequestID, now: Instant, into out: inout AgentOutbox)
}
