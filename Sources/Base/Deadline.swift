/// When a state machine needs its next `tick`, and why.
package struct Deadline: Hashable, Sendable {
    package var at: Instant
    package var reason: String

    package init(_ at: Instant, _ reason: String) {
        self.at = at
        self.reason = reason
    }

    /// The earlier of the two; `nil` never comes.
    package static func earliest(_ a: Deadline?, _ b: Deadline?) -> Deadline? {
        guard let a else { return b }
        guard let b else { return a }
        return b.at < a.at ? b : a
    }
}
