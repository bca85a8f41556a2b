import Base
import Control
import Foundation
import Testing

extension OverlayTests {
    /// Real kernels between two nodes: which of their NATs can be traversed, and what happens when a path fails.
    @Suite(.enabled(if: Sites.isPossible, "needs root, iproute2, iptables, TUN and network namespaces"))
    struct SitesTests {
        @Test func `two masquerading routers are passed directly`() throws {
            try Sites.with(.masquerade, .masquerade) { sites in
                let path = try sites.waitForPath(.direct)
                #expect(
                    path.reason == nil && path.ownMapping == .endpointIndependent
                        && path.peerMapping == .endpointIndependent)
                #expect(path.paths.first(where: \.isPrimary)?.address == SocketAddress("198.51.100.12:7950"))
            }
        }

        @Test func `a router of random ports and a full cone are passed by plain probes`() throws {
            try Sites.with(.random, .fullCone) { sites in
                let path = try sites.waitForPath(.direct)
                #expect(path.ownMapping == .endpointDependent && path.peerMapping == .endpointIndependent)
                #expect(try sites.a.counter("predictions") == 0)
            }
        }

        /// By sockets other than the first, which belong to the agent's loop, whatever thread carries packets.
        @Test(arguments: [1, 2, 4])
        func `a router of random ports and a masquerading one are passed by port prediction`(threads: Int) throws {
            try Sites.with(.random, .masquerade, threads: threads) { sites in
                let start = Date()
                _ = try sites.waitForPath(.direct)
                print("predicted in \(Date().timeIntervalSince(start)) s")
                #expect(try sites.a.counter("predictions") == 1 && sites.b.counter("predictions") == 1)
                // Data goes that way too, and comes back.
                #expect(try sites.a.ping(sites.b, count: 5, interval: 20).roundTripsMicroseconds.count == 5)
                let (near, far) = try sites.connection()
                let exchange = try Exchange.run(near, far, .bytes(4 << 20), within: 20)
                print("over a predicted port, \(threads) threads: \(exchange)")
                #expect(exchange.received == 8 << 20)
                #expect(try sites.a.why(sites.b).path == .direct && sites.b.why(sites.a).path == .direct)
                // Threads report their counts to the agent once a second.
                try eventually("both have counted") {
                    try sites.a.counter("overlay.packetsReceived") > 1000
                        && sites.b.counter("overlay.packetsReceived") > 1000
                }
            }
        }

        @Test func `two routers of random ports are bridged by a relay, and the reason is reported`() throws {
            try Sites.with(.random, .random) { sites in
                let path = try sites.waitForPath(.relayed)
                #expect(path.reason == .bothMappingsDependent)
                // An impossible path is not tried forever.
                #expect(try sites.a.ping(sites.b, count: 5, interval: 20).roundTripsMicroseconds.count == 5)
                #expect(try sites.a.counter("predictions") == 0)
            }
        }

        @Test func `a node behind its provider's router is passed directly too`() throws {
            try Sites.with(.double, .masquerade) { sites in
                let path = try sites.waitForPath(.direct)
                #expect(path.ownMapping == .endpointIndependent && path.reason == nil)
            }
        }

        /// It joins, finds relays, carries packets over TCP alone, and shows that.
        @Test(arguments: [1, 2, 4])
        func `an office that lets out nothing but TCP to port 443 is reached over a relay`(threads: Int) throws {
            try Sites.with(.only443, .masquerade, threads: threads) { sites in
                let path = try sites.waitForPath(.relayed)
                #expect(path.reason == .ownUDPBlocked && path.ownMapping == .blocked)
                let other = try sites.b.why(sites.a)
                #expect(other.reason == .peerUDPBlocked && other.peerMapping == .blocked)
                let (near, far) = try sites.connection()
                let exchange = try Exchange.run(near, far, .bytes(4 << 20), within: 20)
                print("over TCP 443, \(threads) threads: \(exchange)")
                #expect(exchange.received == 8 << 20)
                #expect(try sites.a.counter("tcp.made") >= 2 && sites.b.counter("tcp.made") == 0)
                // Connections that break are made again, and the session goes on.
                let before = try sites.a.counter("sessionsEstablished"), made = try sites.a.counter("tcp.made")
                try sites.breakStreams(of: sites.a)
                try eventually("pings come back") {
                    try sites.a.ping(sites.b, count: 2, interval: 50).roundTripsMicroseconds.count == 2
                }
                #expect(try sites.a.counter("tcp.made") > made)
                #expect(try sites.a.counter("sessionsEstablished") == before)
            }
        }

        @Test func `two offices without UDP communicate`() throws {
            try Sites.with(.only443, .only443) { sites in
                let path = try sites.waitForPath(.relayed)
                #expect(path.reason == .ownUDPBlocked)
                #expect(try sites.a.ping(sites.b, count: 5, interval: 20).roundTripsMicroseconds.count == 5)
            }
        }

        /// Such as a node of Kubernetes before its pods.
        @Test(arguments: [true, false])
        func `a router without a firewall is passed although probes spoil its port`(isFirst: Bool) throws {
            let first = isFirst ? Sites.NAT.withoutFirewall : .masquerade
            try Sites.with(first, isFirst ? .masquerade : .withoutFirewall) { sites in
                _ = try sites.waitForPath(.direct, within: 20)
            }
        }

        @Test(arguments: [1280, 1124])
        func `a megabyte passes a line that drops larger packets without an error`(mtu: Int) throws {
            try Sites.with(.masquerade, .masquerade) { sites in
                try sites.narrow(sites.a, mtu)
                _ = try sites.waitForPath(.direct)
                let (near, far) = try sites.connection()
                let exchange = try Exchange.run(near, far, .bytes(1 << 20), within: 10)
                print("line of \(mtu) bytes: \(exchange)")
                #expect(exchange.received == 2 << 20)
                try eventually("the size is known") { try sites.a.why(sites.b).datagramBytes == mtu - 28 }
            }
        }

        @Test func `a line that becomes narrow under load holds nothing up for long`() throws {
            try Sites.with(.masquerade, .masquerade) { sites in
                _ = try sites.waitForPath(.direct)
                let (near, far) = try sites.connection()
                let done = Flag()
                let load = try Background { try Exchange.run(near, far, .until(done)) }
                sleep(1)
                let change = Result { try sites.narrow(sites.a, 1280) }
                sleep(4)
                done.raise()
                let exchange = try load.value()
                try change.get()
                print("narrowed under load: \(exchange)")
                #expect(exchange.longestGap < 2.5)
                #expect(try sites.a.why(sites.b).datagramBytes == 1252)
            }
        }

        @Test func `a transfer goes on when its direct path becomes a black hole, and hardly notices`() throws {
            try Sites.with(.masquerade, .masquerade) { sites in
                _ = try sites.waitForPath(.direct)
                let before = try sites.a.counter("sessionsEstablished")
                let (near, far) = try sites.connection()
                let done = Flag()
                let load = try Background { try Exchange.run(near, far, .until(done)) }
                sleep(1)
                let hole = Result {
                    try sites.filter(sites.a.router, "-I FORWARD -p udp -d 198.51.100.12 -j DROP")
                    try sites.filter(sites.a.router, "-I FORWARD -p udp -s 198.51.100.12 -j DROP")
                }
                sleep(3)
                done.raise()
                let exchange = try load.value()
                try hole.get()
                print("black hole under load: \(exchange)")
                #expect(exchange.longestGap < 2 && exchange.received > 1_000_000)
                let path = try sites.waitForPath(.relayed)
                #expect(path.reason == .failed)
                #expect(path.transitions.last?.cause == .silent)
                #expect(try sites.a.counter("sessionsEstablished") == before)
            }
        }
    }
}
