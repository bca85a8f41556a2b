import Base

/// What a node knows of the NAT in front of it (RFC 4787, section 4.1).
package enum NATMapping: UInt8, Hashable, Sendable, CaseIterable {
    case unknown = 0
    /// Others see it at its own address.
    case none = 1
    /// All peers see it at the same address: endpoint-independent mapping, or ports that are preserved.
    case endpointIndependent = 2
    /// Each peer sees it at another address.
    case endpointDependent = 3
    /// UDP is blocked, outgoing or incoming: it has relays over TCP only.
    case blocked = 4
}
