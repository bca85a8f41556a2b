package import Base
import Mesh

package struct PingPeer: AgentVerb {
    /// The name of a node of the fleet, an overlay address, or a NodeID; of peers also the first digits of one, at
    /// least four.
    package let peer: String
    /// Without it, 4; at most 100.
    package private(set) var count: Int64?
    /// Without it, 1000; at least 10.
    package private(set) var intervalMilliseconds: Int64?
    /// Only over this path, whichever one data uses: `direct`, `relay`, an address with a port, or a relay's name or
    /// id.
    package private(set) var via: String?

    package init(peer: String, count: Int64? = nil, intervalMilliseconds: Int64? = nil, via: String? = nil) {
        self.peer = peer
        self.count = count
        self.intervalMilliseconds = intervalMilliseconds
        self.via = via
    }

    package typealias Answer = PingView

    package static let verb = VerbDescription(
        "ping", "Measures round trips to a node, inside a session with it", commands: ["ping NODE"])

    package var agentRequest: AgentRequest { .ping(self) }
    package static func reply(_ view: PingView) -> AgentReply { .ping(view) }

    package func apply(to agent: inout Agent, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        guard !agent.pings.isFull else {
            return out.refuse(id, .limit, "\(PingQueue.limit) pings are under way")
        }
        let count = count ?? 4, interval = intervalMilliseconds ?? 1000
        guard (1...100).contains(count) else {
            return out.refuse(id, .invalid, "must be 1 to 100, not \(count)", field: "count")
        }
        guard (10...60_000).contains(interval) else {
            return out.refuse(
                id, .invalid, "must be 10 to 60000, not \(interval)", field: "intervalMilliseconds")
        }
        guard let (asked, known) = agent.core.target(peer, id, now: now, into: &out) else { return }
        agent.pings.begin(
            PingQueue.Request(count: Int(count), interval: .milliseconds(interval), via: via), id, to: asked,
            known: known?.name, finder: &agent.finder, core: &agent.core, now: now, into: &out)
    }
}
