import Base
import Control
import Foundation
import Testing

/// Faults of networks and machines during a transfer.
extension OverlayTests {
    @Test func `a narrow underlay makes packets smaller, and loses none for good`() throws {
        try Overlay.with { overlay in
            for node in [overlay.a, overlay.b] { try node.namespace.ip("link set cable mtu 1280") }
            try Self.passEverything(overlay, "underlay of 1280 bytes", bytes: Self.bytes / 4)
        }
    }

    @Test func `an underlay that becomes narrow under load holds nothing up for long`() throws {
        try Self.underLoad { overlay in
            for node in [overlay.a, overlay.b] { try node.namespace.ip("link set cable mtu 1280") }
            sleep(2)
            return "underlay narrowed"
        }
    }

    @Test(.enabled(if: access("/usr/sbin/iptables", X_OK) == 0, "needs iptables"))
    func `one datagram lost in a hundred`() throws {
        try Overlay.with { overlay in
            for node in [overlay.a, overlay.b] {
                // Each datagram by itself, not trains of them.
                try node.namespace.ip("link set cable gso_max_segs 1")
                try node.namespace.run(
                    "/usr/sbin/iptables",
                    "-A INPUT -i cable -p udp --dport 7950 -m statistic --mode random --probability 0.01 -j DROP")
            }
            try Self.passEverything(
                overlay, "1 % loss", bytes: Self.bytes / 4,
                sizes: Self.isRelease ? Array(stride(from: 31, to: 9000, by: 31)) : Self.sizes)
        }
    }

    @Test(arguments: [1, 4])
    func `datagrams that overtake each other, are lost and come twice`(threads: Int) throws {
        let disorder = try Disorder()
        defer { disorder.close() }
        let words = ["--data-plane-threads", "\(threads)"]
        try Overlay.with(a: words, b: words, through: disorder) { overlay in
            try Self.passEverything(
                overlay, "disorder, threads: \(threads)", bytes: Self.bytes / 4, sizes: [64, 1392, 5000, 9000])
            let (passed, held, lost) = disorder.figures
            #expect(held > 100 && lost > 30)
            Self.notify("disorder: of \(passed + lost) frames \(held) were overtaken and \(lost) lost")
        }
    }

    /// Runs a transfer in both directions, and `body` meanwhile.
    static func underLoad(a: [String] = [], b: [String] = [], _ body: (Overlay) throws -> String) throws {
        try Overlay.with(a: a, b: b) { overlay in
            let (near, far) = try Socket.connection(from: overlay.a, to: overlay.b, isIPv4: true)
            let done = Flag()
            let load = try Background { try Exchange.run(near, far, .until(done)) }
            usleep(300_000)
            let what = Result { try body(overlay) }
            done.raise()
            let exchange = Result { try load.value() }
            let name = try what.get()
            #expect(try exchange.get().received > 1_000_000)
            notify("\(name): \(try exchange.get())")
        }
    }

    @Test func `new keys every two seconds`() throws {
        let rekey = ["--debug-rekey-seconds", "2"]
        try Self.underLoad(a: rekey, b: rekey) { overlay in
            sleep(7)
            #expect(try overlay.a.counter("rekeys") + overlay.b.counter("rekeys") >= 3)
            return "\(try overlay.a.counter("rekeys")) and \(try overlay.b.counter("rekeys")) new keys"
        }
    }

    static func moveTwice(_ overlay: Overlay) throws {
        // A longer prefix each time, or the new address would go with the old one.
        for (last, old, new) in [(3, 24, 25), (4, 25, 26)] {
            let before = overlay.a.address
            overlay.a.address = try #require(IPAddress("10.99.0.\(last)"))
            try overlay.a.namespace.ip("addr add \(overlay.a.address)/\(new) dev cable")
            try overlay.a.namespace.ip("addr del \(before)/\(old) dev cable")
            sleep(2)
        }
        try eventually("the other knows the new address") {
            try overlay.b.peers().contains { $0.overlay4 == overlay.a.v4 && $0.address?.ip == overlay.a.address }
        }
    }

    @Test func `a node that changes its address keeps its connections`() throws {
        try Self.underLoad { overlay in
            try Self.moveTwice(overlay)
            #expect(try overlay.b.counter("pathSwitches.moved") >= 2)
            return "two changes of address"
        }
    }

    @Test func `traffic between nodes needs no controller`() throws {
        let rekey = ["--debug-rekey-seconds", "2"]
        try Self.underLoad(a: rekey, b: rekey) { overlay in
            overlay.endController()
            sleep(5)
            let rekeys = try overlay.a.counter("rekeys") + overlay.b.counter("rekeys")
            #expect(rekeys >= 2)
            return "without a controller"
        }
    }

    @Test(arguments: [true, false])
    func `a connection outlives the agent that carries it`(isFirst: Bool) throws {
        try Self.underLoad { overlay in
            let node = isFirst ? overlay.a : overlay.b
            try node.restart()
            try overlay.waitUntilOnline()
            sleep(4)
            return "restart of \(node.name), which \(isFirst ? "began" : "accepted") the connection"
        }
    }
}
