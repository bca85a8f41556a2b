package import Base

/// One property, checked from outside. A checker keeps its own records and knows no other checker.
package protocol Checker: AnyObject {
    var name: String { get }
    /// Violations of a property that must always hold, one text each.
    func observe(_ fact: Fact, now: Instant) -> [String]
    /// What is not yet in its required final state; called repeatedly once all faults are healed.
    func unsettled(_ snapshot: FleetSnapshot, now: Instant) -> [String]
}
