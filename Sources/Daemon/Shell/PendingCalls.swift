package import Control

/// The calls that a core has not answered yet. A second answer, or one for an unknown call, is dropped.
package struct PendingCalls<Reply> {
    package typealias Answer = (Result<Reply, APIError>) -> Void

    private var answers: [RequestID: Answer] = [:]
    private var lastID: UInt64 = 0

    package init() {}

    package mutating func add(_ answer: @escaping Answer) -> RequestID {
        lastID += 1
        let id = RequestID(lastID)
        answers[id] = answer
        return id
    }

    /// The call's answer, which must be called; `nil` where there is none (any more).
    package mutating func remove(_ id: RequestID) -> Answer? { answers.removeValue(forKey: id) }

    /// Forgets all calls, unanswered.
    package mutating func removeAll() { answers = [:] }
}
