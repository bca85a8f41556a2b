package import Base

/// How a gateway was asked.
package enum PortMappingProtocol: String, Hashable, Sendable, CaseIterable {
    case pcp = "PCP"
    case natPMP = "NAT-PMP"
    case upnp = "UPnP"
}

/// An HTTP request, whole, for one connection; answer it with `PortMapper.answered`.
package struct PortMapperRequest: Hashable, Sendable {
    package let id: UInt64
    package let remote: SocketAddress
    package let bytes: [UInt8]
}

package enum PortMapperAnswer: Hashable, Sendable {
    /// All that came, at most `HTTPAnswer.bytesLimit`.
    case bytes([UInt8])
    /// Nothing did, in words for a person.
    case failed(String)
}

/// What a `PortMapper` wants done. The driver owns one, hands it to every call, and empties it after each.
package struct PortMapperOutbox: Sendable {
    /// To be sent from the node's address on the gateway's network, in this order.
    package var datagrams: [(bytes: [UInt8], remote: SocketAddress)] = []
    package var requests: [PortMapperRequest] = []

    package init() {}
}

/// What there is of a mapping, and why no more.
package struct PortMappingStatus: Hashable, Sendable {
    /// `nil`: there is no mapping.
    package var `protocol`: PortMappingProtocol?
    /// Where unauthenticated peers reach this node, or the next NAT.
    package var external: SocketAddress?
    package var internalPort: UInt16
    /// What is left of the mapping's life; `nil` for one without an end.
    package var lifetime: Interval?
    package var gateway: IPAddress?
    /// What went wrong last, or why the mapping does not help.
    package var problem: String?
}

extension IPAddress {
    /// An address that means something only on this side of a NAT: of private networks (RFC 1918), of a provider's
    /// own (RFC 6598, RFC 6333), of one link (RFC 3927), or of none.
    package var isOfPrivateNetwork4: Bool {
        guard case .v4(let value) = self else { return false }
        return value >> 24 == 10 || value >> 20 == 0xac1 || value >> 16 == 0xc0a8 || value >> 22 == 0x6440 >> 6
            || value >> 8 == 0xc0_0000 || value >> 16 == 0xa9fe || value >> 24 == 0 || value >> 24 == 127
    }
}
