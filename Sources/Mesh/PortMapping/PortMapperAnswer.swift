import Base

package enum PortMapperAnswer: Hashable, Sendable {
    /// All that came, at most `HTTPAnswer.bytesLimit`.
    case bytes([UInt8])
    /// Nothing did, in words for a person.
    case failed(String)
}
