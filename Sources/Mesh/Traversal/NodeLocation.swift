import Base
import Wire

/// # Where this node is in the network
///
/// The addresses of its own interfaces, those that gateways have mapped for it, and those that beacons see (reflexive
/// addresses). Each change gets a number, so that peers can distinguish new candidates from old ones. Knowledge about other
/// sites is valid for one location only, so it is dropped with each change.
struct NodeLocation {
    /// Where a beacon sees this node's datagrams come from.
    struct Reflexive {
        let beacon: NodeID
        fileprivate(set) var address: SocketAddress
    }

    /// The addresses of this node's interfaces, with the port on which it listens.
    private(set) var addresses: [SocketAddress] = []
    private(set) var reflexive: [Reflexive] = []
    /// Addresses at gateways that lead to this node.
    private(set) var mapped: [SocketAddress] = []
    /// The number of the current candidates.
    private(set) var number: UInt64 = 1
    private var hasChanged = false
    /// Sites to which no direct path was found.
    var sites = SiteMemo()

    private static let mappedLimit = 2
    /// Four beacons' reports, of both families.
    private static let reflexiveLimit = 8

    /// All addresses by which this node may be reached directly, best first, each once.
    var direct: [SocketAddress] {
        var direct: [SocketAddress] = []
        for address in addresses + mapped + reflexive.map(\.address) where !direct.contains(address) {
            direct.append(address)
        }
        return direct
    }

    /// The behaviour of the NAT in front of this node, as beacons see it over IPv4.
    var mapping: NATMapping {
        let seen = reflexive.map(\.address).filter(\.ip.isIPv4)
        guard let first = seen.first else { return .unknown }
        if seen.allSatisfy({ addresses.contains($0) }) { return .none }
        guard seen.count > 1 else { return .unknown }
        return seen.allSatisfy { $0 == first } ? .endpointIndependent : .endpointDependent
    }

    /// The candidates have changed.
    mutating func candidatesChanged() {
        number += 1
        hasChanged = true
        sites.forget()
    }

    /// Whether the candidates have changed since the last call.
    mutating func takeChange() -> Bool {
        defer { hasChanged = false }
        return hasChanged
    }

    // MARK: - Events

    /// The node's own addresses. Returns those that are gone, and the beacons that are to be asked how they see this node
    /// now; `nil` if nothing has changed. `candidatesChanged` is to follow.
    mutating func setAddresses(_ new: [SocketAddress]) -> (gone: [SocketAddress], beacons: [NodeID])? {
        guard new != addresses else { return nil }
        let gone = addresses.filter { !new.contains($0) }
        addresses = new
        let beacons = reflexive.map(\.beacon)
        reflexive.removeAll { seen in gone.contains { $0.ip.isIPv4 == seen.address.ip.isIPv4 } }
        return (gone, beacons)
    }

    mutating func setMapped(_ addresses: [SocketAddress]) {
        let few = Array(addresses.prefix(NodeLocation.mappedLimit))
        guard few != mapped else { return }
        mapped = few
        candidatesChanged()
    }

    enum Observation {
        case known
        case new
        /// This node has moved. These beacons saw it where it was before, and are to be asked again.
        case moved(others: [NodeID])
    }

    /// A beacon sees this node at that address. Datagrams of IPv4 come from one address and those of IPv6 from another.
    mutating func observe(_ address: SocketAddress, by beacon: NodeID) -> Observation {
        let known = reflexive.firstIndex { $0.beacon == beacon && $0.address.ip.isIPv4 == address.ip.isIPv4 }
        guard let known else {
            guard reflexive.count < NodeLocation.reflexiveLimit else { return .known }
            reflexive.append(Reflexive(beacon: beacon, address: address))
            return .new
        }
        let before = reflexive[known].address
        guard before != address else { return .known }
        reflexive[known].address = address
        // A beacon that saw the same address as this one did now sees another one as well, if it still sees this node.
        let others = reflexive.filter { $0.address == before }.map(\.beacon)
        reflexive.removeAll { $0.address == before }
        return .moved(others: others)
    }

    /// Forgets the address that this beacon saw.
    mutating func forget(_ beacon: NodeID) { reflexive.removeAll { $0.beacon == beacon } }
}
