import Base
import Testing
import Wire

@testable import Mesh

/// The parts of NAT traversal, each alone.
@Suite struct TraversalTests {
    private static let now = Instant(nanoseconds: 1_000_000_000)
    private static let own = SocketAddress("192.168.1.2:7950")!, seen = SocketAddress("203.0.113.9:4000")!

    private static func node(_ number: UInt8) -> NodeID { NodeID([UInt8](repeating: number, count: 32))! }

    // MARK: - NodeLocation

    @Test func `the mapping follows from what beacons see`() {
        var location = NodeLocation()
        _ = location.setAddresses([Self.own])
        #expect(location.mapping == .unknown)
        _ = location.observe(Self.own, by: Self.node(1))
        #expect(location.mapping == .none)
        _ = location.observe(Self.seen, by: Self.node(1))
        #expect(location.mapping == .unknown, "one beacon shows nothing about other destinations")
        _ = location.observe(Self.seen, by: Self.node(2))
        #expect(location.mapping == .endpointIndependent)
        _ = location.observe(SocketAddress("203.0.113.9:4001")!, by: Self.node(3))
        #expect(location.mapping == .endpointDependent)
    }

    @Test func `a beacon that sees this node at a new address makes the reports of others stale`() {
        var location = NodeLocation()
        for number in 1...3 { _ = location.observe(Self.seen, by: Self.node(UInt8(number))) }
        let moved = SocketAddress("198.51.100.7:1")!
        guard case .moved(let others) = location.observe(moved, by: Self.node(2)) else {
            Issue.record("not moved")
            return
        }
        #expect(others == [Self.node(1), Self.node(3)])
        #expect(location.reflexive.map(\.beacon) == [Self.node(2)] && location.direct == [moved])
        guard case .known = location.observe(moved, by: Self.node(2)) else {
            Issue.record("moved again")
            return
        }
    }

    @Test func `a new interface address ends what was seen of the old one's family`() throws {
        var location = NodeLocation()
        _ = location.setAddresses([Self.own])
        _ = location.observe(Self.seen, by: Self.node(1))
        let six = SocketAddress("[2001:db8::9]:7950")!
        _ = location.observe(six, by: Self.node(1))
        let changed = location.setAddresses([SocketAddress("192.168.7.2:7950")!])
        let change = try #require(changed)
        #expect(change.gone == [Self.own] && change.beacons == [Self.node(1), Self.node(1)])
        #expect(location.reflexive.map(\.address) == [six])
        #expect(location.setAddresses([SocketAddress("192.168.7.2:7950")!]) == nil)
    }

    @Test func `each change has a number, is reported once, and makes all sites possible again`() {
        var location = NodeLocation()
        location.sites.failed("oslo", .endpointIndependent, now: Self.now)
        location.setMapped([Self.seen])
        #expect(location.number == 2 && location.sites.count == 0)
        #expect(location.takeChange() && !location.takeChange())
        location.setMapped([Self.seen])
        #expect(location.number == 2 && !location.takeChange())
    }

    // MARK: - PeerTraversal

    @Test func `candidates are offered six times at most, each time after twice as long, until they are confirmed`() {
        var peer = PeerTraversal(), now = Self.now, waits: [Int64] = []
        while peer.isOfferDue(1, now: now) {
            peer.offered(now: now)
            guard let next = peer.deadline(isPredicting: false) else { break }
            waits.append((next - now).milliseconds)
            now = next
        }
        #expect(waits == [250, 500, 1000, 2000, 4000, 8000])
        // Others than before are offered again.
        let isDue = peer.isOfferDue(2, now: now)
        #expect(isDue)
        peer.offered(now: now)
        let confirmations = [peer.confirmOffer(1), peer.confirmOffer(2), peer.confirmOffer(2)]
        #expect(confirmations == [false, true, false])
        let isDueAgain = peer.isOfferDue(2, now: now + .seconds(1))
        #expect(!isDueAgain)
    }

    @Test func `older candidates of a peer do not replace newer ones, unless it has begun again`() {
        var peer = PeerTraversal()
        #expect(
            peer.received(3, .endpointIndependent) && !peer.received(3, .endpointDependent)
                && !peer.received(2, .endpointDependent))
        #expect(peer.mapping == .endpointIndependent && peer.remoteNumber == 3)
        peer.reset()
        #expect(peer.received(1, .endpointDependent) && peer.mapping == .endpointDependent)
    }

    @Test func `a trial lasts thirteen seconds, and as long as ports are predicted`() throws {
        var peer = PeerTraversal()
        peer.beginTrial(now: Self.now)
        #expect(peer.endTrial(isDirect: false, isPredicting: false, now: Self.now + .seconds(12)) == nil)
        #expect(peer.endTrial(isDirect: false, isPredicting: true, now: Self.now + .seconds(14)) == nil)
        let ended = peer.endTrial(isDirect: false, isPredicting: false, now: Self.now + .seconds(14))
        let over = try #require(ended)
        #expect(over.hasPredicted && !peer.isTrying)
        peer.beginTrial(now: Self.now)
        let succeeded = peer.endTrial(isDirect: true, isPredicting: false, now: Self.now)
        let direct = try #require(succeeded)
        #expect(!direct.hasPredicted)
    }
}
