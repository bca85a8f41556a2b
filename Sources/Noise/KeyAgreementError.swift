/// Why no secret could be agreed.
package enum KeyAgreementError: Error, Hashable, Sendable {
    /// The other side's point has a small order: the result would be the same for every private key (RFC 7748, 6.1).
    case lowOrderPoint
}
