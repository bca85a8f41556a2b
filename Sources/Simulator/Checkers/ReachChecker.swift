import Base
import Control

/// Every live pair that exchanges pings gets answers in the end.
final class ReachChecker: Checker {
    let name = "reachability"

    func observe(_ fact: Fact, now: Instant) -> [String] { [] }
    func unsettled(_ snapshot: FleetSnapshot, now: Instant) -> [String] {
        snapshot.pairs.filter { !$0.answered }.map { "node-\($0.from) cannot reach node-\($0.to)" }
    }
}
