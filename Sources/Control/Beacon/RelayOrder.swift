package import Base
package import Wire

/// # Which relays a node keeps
///
/// Each node orders the fleet's relays by rendezvous hashing (Thaler and Ravishankar, 1998). So relays share the load,
/// and a relay that is added or removed does not change the order of the others. A node keeps the first two. One failure
/// should not affect both. So the second is the first of those in another *failure domain* than the best one, if there is
/// one. The rest keep their order.
///
/// A domain is a site, as beacons' certificates have it. Beacons without a site count as one domain, since nothing shows
/// that they are not. The controller is a separate domain.
package struct RelayOrder: Sendable {
    package enum Domain: Hashable, Sendable {
        case controller
        case site(String)
    }

    private var ranked: [(place: ControllerAddress, domain: Domain, rank: UInt64)] = []
    private let node: NodeID

    /// Of the relays that `node` may use.
    package init(for node: NodeID) { self.node = node }

    /// A node is not its own relay.
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
