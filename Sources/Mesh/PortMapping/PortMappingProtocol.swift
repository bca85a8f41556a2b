package import Base

/// How a gateway was asked.
package enum PortMappingProtocol: String, Hashable, Sendable, CaseIterable {
    case pcp = "PCP"
    case natPMP = "NAT-PMP"
    case upnp = "UPnP"
}

extension IPAddress {
    /// An address that is valid only on this side of a NAT: of private networks (RFC 1918), of a provider's
    /// own (RFC 6598, RFC 6333), of one link (RFC 3927), or of none.
    package var isOfPrivateNetwork4: Bool {
        guard case .v4(let value) = self else { return false }
        return value >> 24 == 10 || value >> 20 == 0xac1 || value >> 16 == 0xc0a8 || value >> 22 == 0x6440 >> 6
            || value >> 8 == 0xc0_0000 || value >> 16 == 0xa9fe || value >> 24 == 0 || value >> 24 == 127
    }
}
