package import Base

/// One property, watched from outside. A checker keeps its own books and knows no other.
package protocol Checker: AnyObject {
    var name: String { get }
    /// What is wrong now and must never be, one text each.
    func observe(_ fact: Fact, now: Instant) -> [String]
    /// What is not yet as it must be in the end; asked again and again once all faults are healed.
    func unsettled(_ snapshot: FleetSnapshot, now: Instant) -> [String]
}
