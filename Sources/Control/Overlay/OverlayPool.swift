package import Base

/// # Who has which IPv4 address
///
/// A fleet has one network for the IPv4 addresses of its overlay. The controller has the first address, and nodes get the
/// next ones as they enrol. No address is ever given to a second node. A node's address is in its certificate and in
/// every later one, and the number of the next address only rises. The network's own address and the last one (broadcast)
/// are not given.
///
/// When all addresses are given, nodes still enrol, without an IPv4 address: IPv6 addresses follow from keys and do not
/// run out. A network does not change once an address was given from it, since that address identifies its owner.
package struct OverlayPool: Sendable {
    package let network: IPPrefix

    /// Shared address space (RFC 6598): private networks are used by the machines already.
    package static let defaultNetwork = IPPrefix(.v4(0x6440_0000), length: 10)!
    package static let lengths = 8...28
    /// The number of the first node's address.
    package static let firstOfNodes: UInt64 = 2

    /// Why a controller cannot use a configured network.
    package enum Fault: Error, Hashable, Sendable {
        case notIPv4(IPPrefix)
        case length(IPPrefix)
        /// Addresses were given from another.
        case changed(from: IPPrefix, to: IPPrefix)
    }

    /// The network to give addresses from: what is asked for, else the one in use, else the default.
    package static func network(asked: IPPrefix?, kept: StoredCounters) throws(Fault) -> IPPrefix {
        // Until a node has an address, the network may change.
        let inUse = kept.overlay > firstOfNodes ? kept.overlayNetwork : nil
        guard let asked else { return inUse ?? defaultNetwork }
        guard asked.address.isIPv4 else { throw .notIPv4(asked) }
        guard lengths.contains(asked.length) else { throw .length(asked) }
        if let inUse, inUse != asked { throw .changed(from: inUse, to: asked) }
        return asked
    }

    package init(_ network: IPPrefix) {
        precondition(network.address.isIPv4 && OverlayPool.lengths.contains(network.length), "a pool of \(network)")
        self.network = network
    }

    /// Nodes that the network has addresses for.
    package var capacity: UInt64 { (1 << UInt64(32 - network.length)) - 1 - OverlayPool.firstOfNodes }

    /// `nil` beyond the last one.
    func address(_ number: UInt64) -> IPAddress? {
        guard case .v4(let base) = network.address, number > 0, number < OverlayPool.firstOfNodes + capacity else {
            return nil
        }
        return .v4(base + UInt32(number))
    }

    /// The controller's own.
    package var controller: IPAddress {
        // The smallest network has 14 addresses.
        address(1)!
    }
}

extension OverlayPool.Fault: CustomStringConvertible {
    package var description: String {
        switch self {
        case .notIPv4(let network): "\(network) is no IPv4 network; IPv6 addresses follow from keys"
        case .length(let network):
            "\(network) has a length of \(network.length), and must have one of "
                + "\(OverlayPool.lengths.lowerBound) to \(OverlayPool.lengths.upperBound)"
        case .changed(let from, let to):
            "nodes of this fleet have addresses from \(from), so it cannot be \(to); leave the option out, or name "
                + "\(from)"
        }
    }
}
