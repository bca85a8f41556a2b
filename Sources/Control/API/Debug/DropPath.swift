package import Base
import Mesh

package struct DropPath: AgentVerb {
    /// As in `PingPeer`.
    package let peer: String
    /// As `via` in `PingPeer`.
    package private(set) var path: String

    package init(peer: String, path: String) {
        self.peer = peer
        self.path = path
    }

    package typealias Answer = PathsView

    package static let verb = VerbDescription(
        "debug.dropPath", "Blocks one path to a peer", commands: ["debug drop-path NODE PATH"])

    package var agentRequest: AgentRequest { .debugDropPath(self) }
    package static func reply(_ view: PathsView) -> AgentReply { .why(view) }

    package func apply(to agent: inout Agent, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        guard let (node, report) = agent.core.paths(to: peer, id, now: now, into: &out) else { return }
        guard let path = report.paths(called: self.path).first else {
            let why = "'\(self.path)': no path of the peer; \(report.pathNames)"
            return out.refuse(id, .notFound, why, field: "path")
        }
        guard agent.core.endpoint.value.drop(path, of: node, now: now) else {
            let why = "'\(self.path)': it carries data, and there is no other path"
            return out.refuse(id, .refused, why, field: "path")
        }
        guard let left = agent.core.endpoint.value.report(on: node, now: now) else { return }
        out.reply(id, Self.reply(PathsView(of: left, now: now)))
    }
}
