/// Whether a node can be reached, as the controller judges by its heartbeats.
package enum NodeState: String, Hashable, Sendable, Codable, CaseIterable {
    /// Enrolled, and nothing has been received from it since the controller started.
    case unknown
    case online
    /// Two heartbeats were missed.
    case suspect
    /// No heartbeat for four seconds.
    case offline
    /// It announced that it leaves.
    case left
}
