package import Base
package import Control
package import Mesh

/// What a core outputs in one turn, in order.
package enum PumpStep<Change, Action> {
    /// Write this to the store. Everything that follows, in this turn and later ones, leaves when it is durable.
    case store(Change)
    case perform(Action)
}

/// A core and its outbox, as `Pump` drives them.
package protocol PumpCore: ~Copyable {
    associatedtype Input
    associatedtype Change
    associatedtype Action

    mutating func handle(_ input: Input, now: Instant)
    mutating func received(_ batch: inout DatagramBatch, now: Instant)
    /// Does what is due.
    mutating func tick(now: Instant)
    /// The next time at which `tick` has something to do.
    var deadline: Deadline? { mutating get }
    /// Empties the outbox's actions.
    mutating func takeSteps() -> [PumpStep<Change, Action>]
    /// Exchanges the outbox's mesh part, which has no events left, for an empty one.
    mutating func exchange(_ mesh: inout MeshOutbox)
}

/// The agent and its outbox.
package struct AgentCore: ~Copyable, PumpCore {
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

/// The controller and its outbox.
package struct ControllerCore: ~Copyable, PumpCore {
    package var controller: Controller
    package var out = ControllerOutbox()

    package init(_ controller: consuming Controller) { self.controller = controller }

    package mutating func handle(_ input: ControllerInput, now: Instant) {
        controller.handle(input, now: now, into: &out)
    }
    package mutating func received(_ batch: inout DatagramBatch, now: Instant) {
        controller.received(&batch, now: now, into: &out)
    }
    package mutating func tick(now: Instant) { controller.tick(now: now, into: &out) }
    package var deadline: Deadline? { mutating get { controller.deadline } }

    /// All changes of one turn are one transaction, and one flush of the disk. With a flush for each, a fleet that comes and
    /// goes would wait for the disk and answer heartbeats late, which makes nodes suspect, which is another change.
    package mutating func takeSteps() -> [PumpStep<[StoreChange], ControllerAction>] {
        guard !out.actions.isEmpty else { return [] }
        defer { out.actions.removeAll(keepingCapacity: true) }
        var changes: [StoreChange] = [], rest: [PumpStep<[StoreChange], ControllerAction>] = []
        for action in out.actions {
            if case .persist(let more) = action { changes += more } else { rest.append(.perform(action)) }
        }
        return changes.isEmpty ? rest : [.store(changes)] + rest
    }

    package mutating func exchange(_ mesh: inout MeshOutbox) { swap(&out.mesh, &mesh) }
}
