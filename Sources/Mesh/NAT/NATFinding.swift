/// Something that was found out about a NAT, or why it was not.
package enum NATFinding<Value: Hashable & Sendable>: Hashable, Sendable {
    case known(Value)
    case unknown(NATUnknown)

    package var value: Value? { if case .known(let value) = self { value } else { nil } }
    package var reason: NATUnknown? { if case .unknown(let reason) = self { reason } else { nil } }
}

/// Why something could not be found out.
package enum NATUnknown: String, Hashable, Sendable, CaseIterable {
    /// It is being found out.
    case pending
    /// No server answered, or the one that mattered did not.
    case noAnswer
    /// One address was asked; it takes two to compare.
    case oneAddress
    /// No server has a second address (RFC 5780's OTHER-ADDRESS) from which it would answer.
    case noOtherAddress
    /// The server names a second address, and nobody answers there.
    case otherIsSilent
    /// The server did not do what it was asked for: to answer from elsewhere, or to elsewhere.
    case notServed
    /// Nothing translates, so there is nothing to know.
    case noNAT
    /// Too few mappings were seen.
    case tooFew
}
