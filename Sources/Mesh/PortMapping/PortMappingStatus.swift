package import Base

/// The state of the mapping, and the last problem.
package struct PortMappingStatus: Hashable, Sendable {
    /// `nil`: there is no mapping.
    package var `protocol`: PortMappingProtocol?
    /// Where unauthenticated peers reach this node, or the next NAT.
    package var external: SocketAddress?
    package let internalPort: UInt16
    /// The remaining life of the mapping; `nil` for one without an end.
    package var lifetime: Interval?
    package private(set) var gateway: IPAddress?
    /// What went wrong last, or why the mapping does not help.
    package var problem: String?
}
