import Base

/// What a node has found out about the NAT before it (RFC 4787, section 4.1).
package enum NATMapping: UInt8, Hashable, Sendable, CaseIterable {
    case unknown = 0
    /// Others see it at its own address.
    case none = 1
    /// Everybody sees it at the same address: endpoint-independent mapping, or ports that are preserved.
    case endpointIndependent = 2
    /// Each sees it at another.
    case endpointDependent = 3
    /// No UDP gets out, or none comes back: it has relays over TCP alone.
    case blocked = 4
}
