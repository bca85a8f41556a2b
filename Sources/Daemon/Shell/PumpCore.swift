package import Base
package import Mesh

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
