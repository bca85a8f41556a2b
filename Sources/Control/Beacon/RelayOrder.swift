package import Base
package import Wire

/// # Which relays a node keeps
///
/// Each node has an order of its own for the fleet's relays, by rendezvous hashing (Thaler and Ravishankar, 1998): relays
/// share the load, and one that comes or goes changes the order of the others for nobody. A node keeps the first two, and
/// what takes the one with it should leave the other: so the second is the first of those that are in another *failure
/// domain* than the best one, wherever there is such. The rest follow in the order of before.
///
/// A domain is a site, as beacons' certificates have it. Beacons of no site are taken for neighbours of each other, since
/// nothing reports that they are not. The controller is a domain of its own.
package struct RelayOrder: Sendable {
    package enum Domain: Hashable, Sendable {
        case controller
        case site(String)
    }

    private var ranked: [(place: ControllerAddress, domain: Domain, rank: UInt64)] = []
    private let node: NodeID

    /// Of the relays that `node` may use.
    package init(for node: NodeID) { self.node = node }

    /// A node is no relay of its own.
    package mutating func add(_ place: ControllerAddress, in domain: Domain) {
        guard place.node != node else { return }
        var print = Fingerprint()
        print.combine(place.node.bytes)
        print.combine(node.bytes)
        ranked.append((place, domain, print.value))
    }

    /// The first `count`, best first.
    package func first(_ count: Int) -> [ControllerAddress] {
        var order = ranked.sorted { ($0.rank, $0.place.node) < ($1.rank, $1.place.node) }
        if let best = order.first, let second = order.firstIndex(where: { $0.domain != best.domain }) {
            order.insert(order.remove(at: second), at: 1)
        }
        return order.prefix(count).map(\.place)
    }
}
