import Base
import Daemon
import EventLoop
import Glibc
import Testing
import Wire

/// Datagrams over real TCP connections on loopback.
@Suite struct StreamPortTests {
    /// Runs a loop until a condition holds, or a second is over.
    private static func run(_ loop: Loop, until isDone: @escaping () -> Bool, within limit: Interval = .seconds(5)) {
        let end = loop.now + limit
        let timer = Timer(on: loop, "test") { if isDone() || loop.now >= end { loop.stop() } }
        timer.arm(every: .milliseconds(2))
        if !isDone() { loop.run() }
        timer.close()
    }

    private final class Received {
        var datagrams: [(bytes: [UInt8], remote: SocketAddress, socket: UInt16)] = []
        var lost: [SocketAddress] = []

        func take(_ batch: inout DatagramBatch) {
            for position in 0..<batch.count {
                let entry = batch.entries[position]
                datagrams.append((batch.bytes(at: position), entry.remote, entry.socket))
            }
        }
    }

    private static func send(_ bytes: [UInt8], _ port: StreamPort, _ remote: SocketAddress, _ socket: UInt16) {
        bytes.withUnsafeBytes { port.send($0, to: remote, socket: socket) }
    }
    private static func count(_ port: StreamPort, _ name: String) -> Int {
        port.counters.first { $0.name == name }!.count
    }

    @Test func `datagrams pass in both directions, in order, and the first opens the connection`() throws {
        let loop = Loop(), near = Received(), far = Received()
        let server = try StreamPort(
            on: loop, listen: [SocketAddress(.loopback4, 0)], onReceive: far.take, onLost: { far.lost.append($0) })
        let client = try StreamPort(on: loop, listen: [], onReceive: near.take, onLost: { near.lost.append($0) })
        let address = try #require(server.localAddresses.first)
        let sent = (1...50).map { [UInt8](repeating: UInt8($0), count: $0 * 29) }
        for bytes in sent { Self.send(bytes, client, address, PathAddress.tcpOut) }
        Self.run(loop) { far.datagrams.count == sent.count }
        #expect(far.datagrams.map(\.bytes) == sent)
        #expect(far.datagrams.allSatisfy { $0.socket == PathAddress.tcpIn })
        #expect(Self.count(client, "tcp.made") == 1 && Self.count(server, "tcp.accepted") == 1)
        // Answers use the connection; a server does not connect to a client.
        let remote = try #require(far.datagrams.first?.remote)
        Self.send([1, 2, 3], server, remote, PathAddress.tcpIn)
        Self.send([4], server, SocketAddress(.loopback4, 9), PathAddress.tcpIn)
        Self.run(loop) { near.datagrams.count == 1 }
        #expect(near.datagrams.first?.bytes == [1, 2, 3] && near.datagrams.first?.socket == PathAddress.tcpOut)
        #expect(Self.count(server, "tcp.unroutable") == 1)
        // When the server goes, the client's side reports it, and the server's side reports nothing.
        server.close()
        Self.run(loop) { near.lost.count == 1 }
        #expect(near.lost == [address] && far.lost.isEmpty && Self.count(client, "tcp.connections") == 0)
        client.close()
        Self.run(loop, until: { true })
    }

    @Test func `an absent server is reported, and not tried again at once`() throws {
        let loop = Loop(), near = Received()
        let client = try StreamPort(on: loop, listen: [], onReceive: near.take, onLost: { near.lost.append($0) })
        // A port that was just released.
        let probe = try StreamPort(
            on: loop, listen: [SocketAddress(.loopback4, 0)], onReceive: { _ in }, onLost: { _ in })
        let address = try #require(probe.localAddresses.first)
        probe.close()
        Self.run(loop, until: { true })
        Self.send([1], client, address, PathAddress.tcpOut)
        Self.run(loop) { near.lost.count == 1 }
        #expect(near.lost == [address] && Self.count(client, "tcp.failed") == 1)
        Self.send([1], client, address, PathAddress.tcpOut)
        #expect(Self.count(client, "tcp.unroutable") == 1 && Self.count(client, "tcp.connections") == 0)
        client.close()
        Self.run(loop, until: { true })
    }

    @Test func `a browser at the wrong port is disconnected`() throws {
        let loop = Loop(), far = Received()
        let server = try StreamPort(
            on: loop, listen: [SocketAddress(.loopback4, 0)], onReceive: far.take, onLost: { _ in })
        let address = try #require(server.localAddresses.first)
        var isOver = false
        let browser = try ByteStream(on: loop, "browser", to: .tcp(address)) { _ in }
        browser.start(onRead: { _ in }, onEnd: { _ in isOver = true })
        browser.write(Array("GET / HTTP/1.1\r\nHost: node\r\n\r\n".utf8))
        Self.run(loop) { isOver }
        #expect(isOver && far.datagrams.isEmpty && Self.count(server, "tcp.unauthenticated") == 1)
        browser.close()
        server.close()
        Self.run(loop, until: { true })
    }

    /// A server that does not read: what is sent waits in a short queue, and the rest is dropped, not kept.
    @Test func `a slow connection drops rather than grow without end`() throws {
        let loop = Loop()
        var held: ByteStream?
        let listener = try Listener(on: loop, "slow", tcp: SocketAddress(.loopback4, 0)) { held = $0 }
        let address = try #require(listener.localAddress)
        let client = try StreamPort(on: loop, listen: [], onReceive: { _ in }, onLost: { _ in })
        let bytes = [UInt8](repeating: 7, count: 1400)
        Self.send(bytes, client, address, PathAddress.tcpOut)
        Self.run(loop) { held != nil }
        for _ in 0..<20_000 { Self.send(bytes, client, address, PathAddress.tcpOut) }
        #expect(Self.count(client, "tcp.waiting") <= 256)
        #expect(Self.count(client, "tcp.full") > 10_000)
        held?.close()
        listener.close()
        client.close()
        Self.run(loop, until: { true })
    }
}
