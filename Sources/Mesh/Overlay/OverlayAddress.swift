package import Base
import Noise
package import Wire

/// # Addresses that follow from keys
///
/// Every fleet has a network of its own among IPv6's unique local addresses (RFC 4193), and every node one address in it.
/// They are not assigned: both are hashes, of the fleet's id and of the node's key. So a node that knows a peer's key knows
/// its address, and a node without the key cannot claim the address.
///
/// ```
/// fd | 40 bits of BLAKE2b-256("asterism overlay fleet" | fleet 16) | 80 bits of BLAKE2b-256("asterism overlay node" | node 32)
/// ```
///
/// The authority assigns the IPv4 address, and the certificate holds it.
package enum OverlayAddress {
    private static let fleetLabel = Array("asterism overlay fleet".utf8)
    private static let nodeLabel = Array("asterism overlay node".utf8)

    /// The address of a node: the fleet's network and 80 bits of the node's key.
    package static func v6(of node: NodeID, fleet: FleetID) -> IPAddress {
        let digest = Hash.blake2b(nodeLabel + node.bytes)
        // 16 bytes make an address, and one that begins with fd is no mapped IPv4 address.
        return IPAddress(bytes: network(of: fleet) + digest.prefix(10))!
    }

    /// The first address of the fleet's /48, in which all of its nodes have theirs.
    package static func prefix6(of fleet: FleetID) -> IPAddress {
        // As above.
        IPAddress(bytes: network(of: fleet) + [UInt8](repeating: 0, count: 10))!
    }

    /// The fleet's network.
    package static func network6(of fleet: FleetID) -> IPPrefix {
        // Only the first 48 bits are set.
        IPPrefix(prefix6(of: fleet), length: 48)!
    }

    /// The six bytes that all addresses of a fleet begin with.
    private static func network(of fleet: FleetID) -> [UInt8] {
        [0xfd] + Hash.blake2b(fleetLabel + fleet.bytes).prefix(5)
    }
}

extension Certificate {
    /// `nil` where there is none.
    package var overlay4Given: IPAddress? { overlay4.isUnspecified ? nil : overlay4 }
    package var overlay6: IPAddress { OverlayAddress.v6(of: node, fleet: fleet) }

    /// The IPv6 address of the key, and the IPv4 address if there is one.
    package var overlayAddresses: [IPAddress] { (overlay4Given.map { [$0] } ?? []) + [overlay6] }
}
