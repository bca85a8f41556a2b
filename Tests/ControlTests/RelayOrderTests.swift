import Base
import Control
import Testing
import Wire

/// Which relays nodes get, and in which order.
@Suite struct RelayOrderTests {
    private static func nodes(_ count: Int, seed: UInt64) -> [NodeID] {
        var random = Random(Seed(seed))
        return (0..<count).map { _ in
            NodeID((0..<4).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } })!
        }
    }

    /// A relay, its domain.
    private struct Relay {
        var place: ControllerAddress
        var domain: RelayOrder.Domain
        var node: NodeID { place.node }
    }

    /// The controller, and a beacon in each of these sites.
    private static func fleet(_ sites: [String], seed: UInt64 = 1) -> [Relay] {
        let ids = nodes(sites.count + 1, seed: seed)
        let domains = [RelayOrder.Domain.controller] + sites.map { .site($0) }
        return zip(ids, domains).enumerated().map { index, pair in
            let address = SocketAddress(.v4(0x0a00_0001 + UInt32(index)), 7950)
            return Relay(place: ControllerAddress(node: pair.0, addresses: [address]), domain: pair.1)
        }
    }

    private static func order(_ relays: [Relay], for node: NodeID, _ count: Int = 4) -> [NodeID] {
        var order = RelayOrder(for: node)
        for relay in relays { order.add(relay.place, in: relay.domain) }
        return order.first(count).map(\.node)
    }

    private static func domain(_ node: NodeID, _ relays: [Relay]) -> RelayOrder.Domain {
        relays.first { $0.node == node }!.domain
    }

    @Test(arguments: [["a", "a", "b"], ["a", "a"], ["", "", "a"], ["a"], ["a", "a", "a", "a", "b"]])
    func `the first two are in different domains wherever there are such`(sites: [String]) {
        let relays = Self.fleet(sites)
        for node in Self.nodes(500, seed: 2) {
            let order = Self.order(relays, for: node)
            #expect(order.count == min(4, relays.count) && Set(order).count == order.count)
            #expect(Self.domain(order[0], relays) != Self.domain(order[1], relays))
        }
    }

    /// As seen by the controller's neighbours of one site, were there no controller.
    @Test(arguments: ["a", ""])
    func `where there is one domain alone, two of it are taken`(site: String) {
        let relays = Array(Self.fleet([site, site, site]).dropFirst())
        for node in Self.nodes(100, seed: 3) {
            #expect(Self.order(relays, for: node).count == 3)
        }
    }

    @Test func `a beacon is no relay of its own, and its first two are in different domains`() {
        let relays = Self.fleet(["a", "a", "b", "b"])
        for beacon in relays.dropFirst() {
            let order = Self.order(relays, for: beacon.node)
            #expect(order.count == 4 && !order.contains(beacon.node))
            #expect(Self.domain(order[0], relays) != Self.domain(order[1], relays))
        }
    }

    @Test func `the order does not depend on the order in which relays are known`() {
        let relays = Self.fleet(["a", "b", "a", "c", ""])
        for node in Self.nodes(200, seed: 4) {
            #expect(Self.order(relays, for: node) == Self.order(relays.reversed(), for: node))
        }
    }

    /// A node that does not keep the relay is not affected when it goes.
    @Test func `a relay that goes changes nothing for those that did not keep it`() {
        let relays = Self.fleet(["a", "a", "b", "c", "c"])
        for gone in relays.indices {
            let rest = relays.filter { $0.node != relays[gone].node }
            for node in Self.nodes(300, seed: 5) {
                let before = Self.order(relays, for: node, 2)
                guard !before.contains(relays[gone].node) else { continue }
                #expect(Self.order(rest, for: node, 2) == before)
            }
        }
    }

    @Test(arguments: [["a", "a", "b"], ["a", "a", "b", "b"], ["a", "b", "c"], ["a", "a", "b", "b", "c", "c"]])
    func `a thousand nodes burden no relay by more than a quarter above or below the others`(sites: [String]) {
        let relays = Self.fleet(sites)
        var load = [Int](repeating: 0, count: relays.count)
        for node in Self.nodes(1000, seed: 6) {
            for kept in Self.order(relays, for: node, 2) { load[relays.firstIndex { $0.node == kept }!] += 1 }
        }
        let even = 2000 / relays.count
        print("\(sites): \(load), even \(even)")
        for count in load { #expect(abs(count - even) * 4 <= even) }
    }
}
