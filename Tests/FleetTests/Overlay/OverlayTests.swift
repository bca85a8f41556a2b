import Base
import Control
import Foundation
import Testing

/// # The overlay, from a socket on one machine to a socket on another
///
/// A real controller and real agents in network namespaces: this tests the kernel's part of the path, which the data plane's
/// own tests cannot cover. One after the other, since each needs the machine for itself.
@Suite(.serialized, .enabled(if: Namespace.isPossible, "needs root, iproute2, /dev/net/tun and network namespaces"))
struct OverlayTests {
    /// Release programs are given: more is asked of them.
    static let isRelease = ProcessInfo.processInfo.environment["ASTERISM_PROGRAMS"] != nil
    static let bytes = isRelease ? 300_000_000 : 20_000_000

    /// Around the payloads of a full packet, with and without the datagram header, and their multiples.
    static let sizes: [Int] = {
        if isRelease { return Array(1...9000) }
        let edges = [1, 2, 7, 8, 64, 576, 1200, 1232, 1280, 1392, 1400, 1420, 1452, 1472, 1500]
        let multiples = (2...6).flatMap { [1372 * $0, 1392 * $0, 1396 * $0, 1420 * $0, 1472 * $0] }
        return (edges + multiples + [8999, 9000]).flatMap { [$0 - 1, $0, $0 + 1] }.filter { (1...9000).contains($0) }
    }()

    /// Prints what was measured.
    static func notify(_ what: String) { print("overlay: \(what)") }

    /// TCP both ways at once, and datagrams of all sizes, over IPv4 and IPv6.
    static func passEverything(
        _ overlay: Overlay, _ name: String, bytes: Int = bytes, sizes: [Int] = sizes
    ) throws {
        for isIPv4 in [true, false] {
            let family = isIPv4 ? "IPv4" : "IPv6"
            let (near, far) = try Socket.connection(from: overlay.a, to: overlay.b, isIPv4: isIPv4)
            let exchange = try Exchange.run(near, far, .bytes(bytes / 2))
            #expect(exchange.received == bytes / 2 * 2)
            notify("\(name), \(family): \(exchange)")
            let again = try Echo(from: overlay.a, to: overlay.b, isIPv4: isIPv4).run(sizes: sizes)
            notify("\(name), \(family): datagrams of \(sizes.count) sizes, \(again) of them sent again")
        }
    }

    @Test(arguments: Overlay.Underlay.allCases)
    func `TCP in both directions and datagrams of all sizes arrive as they were sent`(
        underlay: Overlay.Underlay
    ) throws {
        try Overlay.with(underlay: underlay) { overlay in
            try Self.passEverything(overlay, "over \(underlay)")
            #expect(try overlay.a.counter("overlay.writeErrors") == 0)
            #expect(try overlay.b.counter("overlay.dropped.forged") == 0)
        }
    }

    @Test func `hundreds of connections, one after the other and at once`() throws {
        try Overlay.with { overlay in
            let began = monotonicSeconds()
            let pairs = try (0..<200).map { number in
                try Socket.connection(
                    from: overlay.a, to: overlay.b, isIPv4: number % 2 == 0, port: UInt16(9200 + number))
            }
            Self.notify(String(format: "200 connections: %.0f ms", (monotonicSeconds() - began) * 1000))
            let loads = try pairs.map { near, far in try Background { try Exchange.run(near, far, .bytes(100_003)) } }
            let received = try loads.reduce(0) { try $0 + $1.value().received }
            #expect(received == 200 * 2 * 100_003)
        }
    }

    /// Many datagrams in one call, which the kernel hands over as one packet to be cut (UDP_SEGMENT, udp(7)).
    @Test func `datagrams that are sent together arrive one by one`() throws {
        try Overlay.with { overlay in
            for isIPv4 in [true, false] {
                let echo = try Echo(from: overlay.a, to: overlay.b, isIPv4: isIPv4)
                #expect(try echo.exchange([1], milliseconds: 5000))
                for size in [1, 7, 20, 47, 48, 49, 100, 1000, 1200, 1371, 1372] {
                    echo.client.set(Int32(IPPROTO_UDP), 103, Int32(size))
                    let count = min(60, 60_000 / size)
                    let bytes = Exchange.sample(count * size - size / 3, at: size)
                    #expect(echo.client.send(bytes))
                    let datagrams = try echo.server.datagrams(count, milliseconds: 2000)
                    #expect(datagrams.count == count, "\(count) datagrams of \(size) bytes")
                    #expect(datagrams.flatMap { $0 } == bytes, "\(count) datagrams of \(size) bytes")
                }
            }
        }
    }

    @Test(arguments: [true, false])
    func `what one end leaves to the kernel, the other need not`(isFirstOff: Bool) throws {
        let off = ["--overlay-offload", "off"]
        try Overlay.with(a: isFirstOff ? off : [], b: isFirstOff ? [] : off) { overlay in
            #expect(overlay.a.agent.text.contains("offload=none") == isFirstOff)
            try Self.passEverything(
                overlay, "offload off at \(isFirstOff ? "the first" : "the second")", bytes: Self.bytes / 4)
        }
    }

    @Test func `the first packet to a node begins a session`() throws {
        try Overlay.with { overlay in
            #expect(try overlay.a.peers().allSatisfy { $0.name != "b" })
            let began = monotonicSeconds()
            let echo = try Echo(from: overlay.a, to: overlay.b, isIPv4: true)
            // The packet waits for the session; it need not be sent again.
            #expect(try echo.exchange([1, 2, 3], milliseconds: 5000))
            Self.notify(String(format: "first answer without a session: %.0f ms", (monotonicSeconds() - began) * 1000))
            #expect(try overlay.a.peers().contains { $0.overlay4 == overlay.b.v4 && $0.isConnected })
        }
    }

    @Test func `an unused address is unreachable, and its senders are informed`() throws {
        try Overlay.with { overlay in
            let nobody4 = try #require(IPAddress("100.64.200.200"))
            var bytes = overlay.a.v6.bytes
            bytes[15] ^= 0x55
            bytes[14] ^= 0xaa
            let nobody6 = try #require(IPAddress(bytes: bytes))
            for address in [nobody4, nobody6] {
                let began = monotonicSeconds()
                let datagrams = try Socket.datagram(in: overlay.a.namespace, to: address, 9)
                let stream = try Socket.connecting(in: overlay.a.namespace, to: address, 9)
                // Without it, only final errors reach a UDP socket.
                datagrams.set(address.isIPv4 ? Int32(IPPROTO_IP) : Int32(IPPROTO_IPV6), address.isIPv4 ? 11 : 25, 1)
                #expect(datagrams.send([1]))
                #expect(datagrams.wait(POLLIN, milliseconds: 8000))
                #expect(datagrams.takeError() == EHOSTUNREACH, "\(address)")
                #expect(stream.wait(POLLOUT, milliseconds: 8000))
                #expect(stream.takeError() == EHOSTUNREACH, "\(address)")
                Self.notify(String(format: "\(address) unreachable: %.0f ms", (monotonicSeconds() - began) * 1000))
            }
        }
    }
}
