package import Base

/// # Who has which IPv4 address
///
/// A fleet has one network for the IPv4 addresses of its overlay. The controller takes the first address, nodes take the
/// next ones as they enrol, and nobody's address is ever given to another: a node's address stands in its certificate,
/// and from there in every certificate that follows, and the number of the next one only rises. The network's own address
/// and the last one (broadcast) are nobody's.
///
/// When all addresses are given, nodes enrol all the same and have none: IPv6 addresses follow from keys and do not run
/// out. A network that addresses were given from does not change: their owners are known by them.
package struct OverlayPool: Sendable {
    package let network: IPPrefix

    /// Shared address space (RFC 6598): private networks are used by the machines already.
    package static let defaultNetwork = IPPrefix(.v4(0x6440_0000), length: 10)!
    package static let lengths = 8...28
    /// The number of the first node's address.
    package static let firstOfNodes: UInt64 = 2

    /// A controller's choice of network, as its user reports it and as its store has it.
    package enum Fault: Error, Hashable, Sendable {
        case notIPv4(IPPrefix)
        case length(IPPrefix)
        /// Addresses were given from another.
        case changed(from: IPPrefix, to: IPPrefix)
    }

    /// The network to give addresses from: what is asked for, else the one in use, else the default.
    package static func network(asked: IPPrefix?, kept: StoredCounters) throws(Fault) -> IPPrefix {
        // Until a node has an address nothing is lost with the network.
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
