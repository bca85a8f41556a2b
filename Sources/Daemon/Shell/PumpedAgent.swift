package import Base
package import Control
package import Mesh

/// An agent and its outbox, as `Pump` drives them.
package struct PumpedAgent: ~Copyable, PumpCore {
    package var agent: Agent
    package var out = AgentOutbox()

    /// A file of the state folder.
    package enum Change: Hashable, Sendable {
        case membership([UInt8])
        case workers([UInt8])
    }

    package init(_ agent: consuming Agent) { self.agent = agent }

    package mutating func handle(_ input: AgentInput, now: Instant) { agent.handle(input, now: now, into: &out) }
    package mutating func received(_ batch: inout DatagramBatch, now: Instant) {
        agent.received(&batch, now: now, into: &out)
    }
    package mutating func tick(now: Instant) { agent.tick(now: now, into: &out) }
    package var deadline: Deadline? { mutating get { agent.deadline } }

    package mutating func takeSteps() -> [PumpStep<Change, AgentAction>] {
        guard !out.actions.isEmpty else { return [] }
        defer { out.actions.removeAll(keepingCapacity: true) }
        return out.actions.map { action in
            switch action {
            case .persistMembership(let bytes): .store(.membership(bytes))
            case .worker(.persist(let bytes)): .store(.workers(bytes))
            default: .perform(action)
            }
        }
    }

    package mutating func exchange(_ mesh: inout MeshOutbox) { swap(&out.mesh, &mesh) }
}
