package import Base
import Wire

package struct AgentWorkersList: AgentVerb {
    package init() {}

    package typealias Answer = [WorkerView]

    package static let verb = VerbDescription("workers.list", "The workers of this node")

    package var agentRequest: AgentRequest { .workersList }
    package static func reply(_ views: [WorkerView]) -> AgentReply { .workers(views) }

    package func apply(to agent: inout Agent, _ id: RequestID, now: Instant, into out: inout AgentOutbox) {
        let node = agent.nodeID, name = agent.core.name
        let views = agent.supervisor.statuses.map { status in
            let desired = agent.supervisor.desired(for: status.worker)
            return WorkerView(
                status.worker, desired: desired.map { $0.run ? .run : .stop } ?? .none,
                command: desired?.spec.command ?? [], node: node, nodeName: name, operation: desired?.operation,
                status: status)
        }
        out.reply(id, Self.reply(views))
    }
}
