package import Base
import Mesh
import Wire

package struct BenchStart: AgentVerb {
    /// As in `PingPeer`.
    package let peer: String
    /// How long the peer's server is to listen: 1 to 120; without it, 20.
    package private(set) var seconds: Int64?

    package init(peer: String, seconds: Int64? = nil) {
        self.peer = peer
        self.seconds = seconds
    }

    package typealias Answer = BenchView

    package static let verb = VerbDescription(
        "bench.start", "Starts a server at a peer, to measure the path to it", commands: ["bench NODE"])

    package var agentRequest: AgentRequest { .benchStart(self) }
    package static func reply(_ view: BenchView) -> AgentReply { .bench(view) }

    package func apply(to agent: inout Agent, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        let seconds = seconds ?? 20
        guard (1...Int64(Limits.benchSeconds)).contains(seconds) else {
            return out.refuse(
                id, .invalid, "must be 1 to \(Limits.benchSeconds), not \(seconds)", field: "seconds")
        }
        guard agent.core.configuration.mesh.hasDataPlane else {
            return out.refuse(id, .unavailable, "this node has no network interface of the overlay")
        }
        guard !agent.throughput.isFull else {
            return out.refuse(id, .limit, "\(Limits.benchJobs) measurements are being begun")
        }
        guard let (asked, known) = agent.core.target(peer, id, now: now, into: &out) else { return }
        agent.throughput.begin(
            seconds: UInt8(seconds), id, to: asked, known: known?.name, finder: &agent.finder, core: &agent.core,
            now: now, into: &out)
    }
}
