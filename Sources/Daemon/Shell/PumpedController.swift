package import Base
package import Control
package import Mesh

/// A controller and its outbox, as `Pump` drives them.
package struct PumpedController: ~Copyable, PumpCore {
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

    /// All changes of one turn are one transaction, and one flush of the disk. With a flush for each change, a fleet with
    /// many changes would wait for the disk and answer heartbeats late. That makes nodes suspect, which is another change.
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
