/// A finding about a NAT, or why there is none.
package enum NATFinding<Value: Hashable & Sendable>: Hashable, Sendable {
    case known(Value)
    case unknown(NATUnknown)

    package var value: Value? { if case .known(let value) = self { value } else { nil } }
    package var reason: NATUnknown? { if case .unknown(let reason) = self { reason } else { nil } }
}

/// Why there is no finding.
package enum NATUnknown: String, Hashable, Sendable, CaseIterable {
    /// The discovery is running.
    case pending
    /// No server answered, or the required one did not.
    case noAnswer
    /// One address was asked; it takes two to compare.
    case oneAddress
    /// No server has a second address (RFC 5780's OTHER-ADDRESS) from which it would answer.
    case noOtherAddress
    /// The server names a second address, and there is no answer from there.
    case otherIsSilent
    /// The server did not do what was requested: to answer from another address, or to another port.
    case notServed
    /// Nothing translates, so there is nothing to know.
    case noNAT
    /// Too few mappings were seen.
    case tooFew
}
