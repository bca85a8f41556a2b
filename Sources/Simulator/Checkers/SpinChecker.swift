import Base
import Control

/// A program that asks to be woken at once, and again, and again, would burn a processor in the field.
final class SpinChecker: Checker {
    let name = "busy loops"
    /// Wakes at one instant of virtual time. A burst of datagrams to one peer may ask for a few.
    static let ticksAtOnce = 1000

    func observe(_ fact: Fact, now: Instant) -> [String] {
        guard case .spun(let machine, let ticks, let reason) = fact else { return [] }
        return ["node-\(machine) asked \(ticks) times at one instant to be woken: \(reason)"]
    }
    func unsettled(_ snapshot: FleetSnapshot, now: Instant) -> [String] { [] }
}
