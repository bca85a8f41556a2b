import Base
import Control

/// What a program holds is limited, whatever unauthenticated peers send.
final class MemoryChecker: Checker {
    let name = "memory"

    func observe(_ fact: Fact, now: Instant) -> [String] {
        guard case .held(let machine, let what, let count, let limit) = fact, count > limit else { return [] }
        return ["node-\(machine) holds \(count) \(what), and \(limit) are allowed"]
    }
    func unsettled(_ snapshot: FleetSnapshot, now: Instant) -> [String] { [] }
}
