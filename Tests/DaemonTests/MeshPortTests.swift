import Base
import EventLoop
import Testing

@testable import Daemon

/// A node's port whose sockets are opened again.
@Suite(.serialized) struct MeshPortTests {
    private static let here = SocketAddress(.loopback4, 0)

    /// A port on its own loop, and a socket that sends to it.
    private final class Bench {
        let loop: Loop
        var port: MeshPort!
        var other: DatagramSocket!
        /// What the port and the other one got, each with its sender.
        var got: [(bytes: [UInt8], from: SocketAddress)] = []
        var answered: [(bytes: [UInt8], from: SocketAddress)] = []

        init(takesMessages: Bool = false) throws {
            loop = Loop()
            port = try MeshPort(on: loop, bind: MeshPortTests.here, joinsDatagrams: takesMessages) { [unowned self] in
                for index in 0..<$0.count { got.append(($0.bytes(at: index), $0.entries[index].remote)) }
            }
            if takesMessages {
                port.attach(
                    PortReceiver(
                        message: { [unowned self] bytes, _, _, remote, _ in got.append(([UInt8](bytes), remote)) },
                        round: {}, writable: {}, tooLarge: { _ in }))
            }
            other = try DatagramSocket(on: loop, "other", bind: MeshPortTests.here) { [unowned self] in
                for index in 0..<$0.count { answered.append(($0.bytes(at: index), $0.entries[index].remote)) }
            }
        }

        func close() {
            port.close()
            other.close()
        }

        func notify(_ bytes: [UInt8], at address: SocketAddress?) {
            var batch = DatagramBatch()
            batch.append(bytes, remote: address!)
            other.send(&batch)
        }

        func answer(_ bytes: [UInt8], socket: UInt16 = 0) {
            var batch = DatagramBatch()
            batch.append(bytes, remote: other.localAddress!, socket: socket)
            port.send(&batch)
        }

        func wait(_ done: () -> Bool) -> Bool {
            let tick = Timer(on: loop, "test limit") {}
            tick.arm(every: .milliseconds(5))
            defer { tick.close() }
            for _ in 0..<2000 {
                if done() { return true }
                loop.runOnce()
            }
            return done()
        }
    }

    @Test(arguments: [false, true])
    func `after it another port sends and receives, and the figures go on`(takesMessages: Bool) throws {
        let bench = try Bench(takesMessages: takesMessages)
        defer { bench.close() }
        let before = try #require(bench.port.localAddress)
        bench.notify([1], at: before)
        #expect(bench.wait { bench.got.count == 1 })
        bench.answer([2], socket: 3)
        #expect(bench.wait { bench.answered.count == 1 })
        let third = try #require(bench.port.localPort(of: 3))
        #expect(bench.answered[0].from.port == third)
        try bench.port.rebind(to: 0)
        let now = try #require(bench.port.localAddress)
        #expect(now.port != before.port && now.ip == before.ip)
        let moved = try #require(bench.port.localPort(of: 3))
        #expect(moved != third)
        bench.notify([4], at: now)
        bench.notify([5], at: SocketAddress(now.ip, moved))
        #expect(bench.wait { bench.got.count == 3 })
        bench.answer([6])
        #expect(bench.wait { bench.answered.count == 2 })
        #expect(bench.answered[1].from == now)
        let received = bench.port.counters.first { $0.name == "socket.received" }?.count
        #expect(received == 2)
    }

    @Test func `a port that is taken leaves all as it was`() throws {
        let bench = try Bench()
        defer { bench.close() }
        let before = try #require(bench.port.localAddress), taken = try #require(bench.other.localAddress)
        #expect(throws: Errno.self) { try bench.port.rebind(to: taken.port) }
        #expect(bench.port.localAddress == before)
        bench.notify([1], at: before)
        #expect(bench.wait { bench.got.count == 1 })
    }

    /// As the threads of the overlay have it, two pairs of them; here all are on one loop.
    @Test func `all that share a port go on with the new sockets`() throws {
        let bench = try Bench(takesMessages: true)
        defer { bench.close() }
        var arrived: [Int: Int] = [:]
        let shards = try bench.port.shares(pairs: 2).enumerated().map { index, share in
            let shard = try MeshPort(on: bench.loop, adopting: share, receives: index % 2 == 1) { _ in }
            shard.attach(
                PortReceiver(
                    message: { _, _, _, _, _ in arrived[index, default: 0] += 1 }, round: {}, writable: {},
                    tooLarge: { _ in }))
            return shard
        }
        defer { for shard in shards { shard.close() } }
        bench.port.stopReceiving()
        let before = try #require(bench.port.localAddress)
        let shares = try bench.port.rebind(to: 0, pairs: 2)
        for (shard, share) in zip(shards, shares) { try shard.adopt(share, on: bench.loop) }
        let now = try #require(bench.port.localAddress)
        #expect(now.port != before.port && shards.allSatisfy { $0.localAddress == now })
        // The old sockets are closed by all.
        let again = try DatagramSocket(on: bench.loop, "the old place", bind: before) { _ in }
        again.close()
        // So many that both of those that receive get some: the kernel deals them out by their senders.
        let senders = try (0..<32).map { _ in
            try DatagramSocket(on: bench.loop, "sender", bind: Self.here) { _ in }
        }
        defer { for sender in senders { sender.close() } }
        for sender in senders {
            var batch = DatagramBatch()
            batch.append([1], remote: now)
            sender.send(&batch)
        }
        #expect(bench.wait { arrived.values.reduce(0, +) == senders.count })
        #expect(Set(arrived.keys) == [1, 3] && bench.got.isEmpty)
        for shard in shards {
            var batch = DatagramBatch()
            batch.append([2], remote: bench.other.localAddress!)
            shard.send(&batch)
        }
        #expect(bench.wait { bench.answered.count == shards.count })
        #expect(bench.answered.allSatisfy { $0.from == now })
    }
}
