import Base
import Control
import Foundation
import Testing

extension OverlayTests.SitesTests {
    /// As when a lease runs out, or a machine is carried to another network: first nothing, then another address.
    private static func readdress(_ node: Sites.Node, to address: String, gateway: String) throws {
        try node.namespace.ip("addr flush dev eth0")
        try node.namespace.ip("addr add \(address)/24 dev eth0")
        try node.namespace.ip("route add default via \(gateway)")
    }

    private static func listening(_ node: Sites.Node) throws -> [SocketAddress] {
        let view: NetcheckView = try ask(node.socket, AgentRequest.netcheck)
        return view.listening
    }

    @Test func `a transfer goes on when its node gets another address, and the peer's path follows`() throws {
        try Sites.with(.masquerade, .masquerade) { sites in
            _ = try sites.waitForPath(.direct)
            let before = try sites.a.counter("sessionsEstablished")
            let old = try #require(try sites.b.why(sites.a).paths.first(where: \.isPrimary)?.address)
            let (near, far) = try sites.connection()
            let done = Flag()
            let load = try Background { try Exchange.run(near, far, .until(done)) }
            sleep(1)
            var elapsed: Double?
            let change = Result {
                try Self.readdress(sites.a, to: "192.168.1.77", gateway: "192.168.1.1")
                let changed = monotonicSeconds()
                try eventually("the agent knows its new address") {
                    try Self.listening(sites.a).map { "\($0)" } == ["192.168.1.77:7950"]
                }
                elapsed = monotonicSeconds() - changed
            }
            sleep(3)
            done.raise()
            let exchange = try load.value()
            try change.get()
            print("another address under load: known after \(elapsed ?? -1) s, \(exchange)")
            #expect(exchange.longestGap < 2 && exchange.received > 1_000_000)
            _ = try sites.waitForPath(.direct)
            // The router's old entry holds the old port.
            let new = try #require(try sites.b.why(sites.a).paths.first(where: \.isPrimary)?.address)
            #expect(new != old && new.ip == old.ip)
            #expect(try sites.a.counter("sessionsEstablished") == before)
        }
    }
}
