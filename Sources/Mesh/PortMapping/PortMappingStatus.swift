package import Base

/// What there is of a mapping, and why no more.
package struct PortMappingStatus: Hashable, Sendable {
    /// `nil`: there is no mapping.
    package var `protocol`: PortMappingProtocol?
    /// Where unauthenticated peers reach this node, or the next NAT.
    package var external: SocketAddress?
    package let internalPort: UInt16
    /// What is left of the mapping's life; `nil` for one without an end.
    package var lifetime: Interval?
    package private(set) var gateway: IPAddress?
    /// What went wrong last, or why the mapping does not help.
    package var problem: String?
}
