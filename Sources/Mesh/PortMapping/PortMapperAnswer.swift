import Base

package enum PortMapperAnswer: Hashable, Sendable {
    /// All received bytes, at most `HTTPAnswer.bytesLimit`.
    case bytes([UInt8])
    /// The exchange failed, with a reason for a person.
    case failed(String)
}
