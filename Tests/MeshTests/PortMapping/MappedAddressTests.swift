import Base
import Testing
import Wire

@testable import Mesh

/// How an endpoint uses a port that its gateway maps.
@Suite struct MappedAddressTests {
    private static let own = SocketAddress("192.168.1.2:7950")!, mapped = SocketAddress("203.0.113.9:7951")!

    @Test func `a mapped address stands behind the node's own, and goes when the mapping does`() {
        let pair = TestPair.members()
        pair.a.endpoint.listens(at: [Self.own], now: pair.now)
        pair.a.endpoint.mapped([Self.mapped])
        #expect(pair.a.endpoint.candidates == [.direct(Self.own), .direct(Self.mapped)])
        let number = pair.a.endpoint.traversal.location.number
        pair.a.endpoint.mapped([Self.mapped])
        #expect(pair.a.endpoint.traversal.location.number == number)
        pair.a.endpoint.mapped([])
        #expect(
            pair.a.endpoint.candidates == [.direct(Self.own)] && pair.a.endpoint.traversal.location.number == number + 1
        )
    }

    @Test func `peers and the layer above are informed of it while the session lasts`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.seconds(1))
        pair.a.endpoint.mapped([Self.mapped])
        pair.drain(pair.a)
        pair.run(.seconds(1))
        #expect(pair.a.events.contains(.candidatesChanged))
        let paths = pair.b.endpoint.report(on: pair.a.node, now: pair.now)?.paths ?? []
        #expect(paths.contains { $0.address.remote == Self.mapped })
    }
}
