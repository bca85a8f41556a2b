/// Why nothing can be sent to an overlay address now.
package enum OverlayFailure: Error, Hashable, Sendable, CaseIterable {
    /// No node of the fleet has it.
    case noSuchAddress
    /// No controller can be asked: the node is in no fleet, or has had no controller for some seconds.
    case noController
    /// The controller or the address's owner did not answer, or the owner's location is not known.
    case noAnswer
    /// The answer does not prove its content, the owner is not trusted, or it is this node itself.
    case refused
    /// Too many addresses are requested already.
    case tooMany
}
