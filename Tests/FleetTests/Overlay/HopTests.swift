import Base
import Control
import Foundation
import Testing

extension OverlayTests {
    /// Real programs at two sites that share no relay.
    @Suite(.enabled(if: Sites.isPossible, "needs root, iproute2, iptables, TUN and network namespaces"))
    struct HopTests {
        private static func relays(_ sites: Sites) throws -> [String?] {
            try [sites.a.why(sites.b), sites.b.why(sites.a)].map { $0.paths.first(where: \.isPrimary)?.relay }
        }

        @Test func `two sites with one beacon each communicate over both, and over one as soon as they can`() throws {
            try Sites.with(.masquerade, .masquerade, isApart: true) { sites in
                let start = Date()
                _ = try sites.waitForPath(.relayed)
                let relays = try Self.relays(sites)
                print("relayed in \(Date().timeIntervalSince(start)) s: \(relays)")
                // The left one has asked; the right one need not know of the left one's relay.
                #expect(relays == ["beacon, then beacon-2", "beacon-2"])
                let (near, far) = try sites.connection()
                let exchange = try Exchange.run(near, far, .bytes(4 << 20), within: 20)
                print("over two relays: \(exchange)")
                #expect(exchange.received == 8 << 20)
                #expect(try sites.a.ping(sites.b, count: 5, interval: 20).roundTripsMicroseconds.count == 5)

                try sites.reconnect(sites.a, with: 3)
                let end = Date() + 40
                while Date() < end, try Self.relays(sites) != ["beacon-2", "beacon-2"] {
                    let answers = try sites.a.ping(sites.b, count: 4, interval: 50).roundTripsMicroseconds
                    #expect(answers.count == 4, "a ping was lost on the way to a shorter path")
                }
                #expect(try Self.relays(sites) == ["beacon-2", "beacon-2"])
            }
        }

        @Test func `two offices without UDP that reach a beacon each talk over both`() throws {
            try Sites.with(.only443, .only443, isApart: true) { sites in
                let path = try sites.waitForPath(.relayed)
                #expect(path.reason == .ownUDPBlocked)
                #expect(try Self.relays(sites) == ["beacon, then beacon-2", "beacon-2"])
                let (near, far) = try sites.connection()
                let exchange = try Exchange.run(near, far, .bytes(2 << 20), within: 20)
                print("over two relays, TCP to each: \(exchange)")
                #expect(exchange.received == 4 << 20)
            }
        }
    }
}
