import Base
import Mesh
import OrderedCollections
import Wire

/// The result of one datagram, from the difference of counters.
struct Outcome {
    private(set) var drops = 0
    private(set) var reason: DropReason?
    let answers: Int

    init(_ before: MeshCounters, _ after: MeshCounters) {
        answers = after.handshakesAnswered - before.handshakesAnswered
        // Not about incoming datagrams.
        for reason in Outcome.reasons {
            let count = after[reason] - before[reason]
            guard count > 0 else { continue }
            drops += count
            self.reason = reason
        }
    }

    private static let reasons = DropReason.allCases.filter { $0 != .notConnected }
}
