import Base
import Wire

/// A question to an agent, and the request that waits for the answer.
struct Question {
    enum Kind {
        /// Could the node run this?
        case check(DesiredWorker)
        case log(worker: String)
    }
    let kind: Kind
    let slot: Int
    let message: ControlMessage
    private(set) var askers: [RequestID]
    let deadline: Instant

    init(_ kind: Kind, _ slot: Int, _ message: ControlMessage, asker: RequestID, deadline: Instant) {
        self.kind = kind
        self.slot = slot
        self.message = message
        self.deadline = deadline
        askers = [asker]
    }

    mutating func add(_ asker: RequestID) { askers.append(asker) }
}
