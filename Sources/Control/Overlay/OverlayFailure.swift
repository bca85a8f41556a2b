/// Why nothing can be sent to an overlay address now.
package enum OverlayFailure: Error, Hashable, Sendable, CaseIterable {
    /// No node of the fleet has it.
    case noSuchAddress
    /// There is nobody to ask: the node is in no fleet, or has had no controller for some seconds.
    case noController
    /// The controller or the address's owner was asked and did not answer, or nobody knows where the owner is.
    case noAnswer
    /// The answer does not prove what it reports, the owner is not to be trusted, or it is this very node.
    case refused
    /// Too many addresses are desired already.
    case tooMany
}
