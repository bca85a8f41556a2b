import Base
import EventLoop
import Glibc
import Testing

extension EventLoopTests {
    @Suite struct DatagramSocketTests {
        /// Collects what a socket gets.
        final class Inbox {
            var batches: [Int] = []
            var datagrams: [[UInt8]] = []
            var remotes: [SocketAddress] = []

            func take(_ batch: inout DatagramBatch) {
                batches.append(batch.count)
                for index in 0..<batch.count {
                    datagrams.append(batch.bytes(at: index))
                    remotes.append(batch.entries[index].remote)
                }
            }
        }

        static let loopbacks = [SocketAddress(.loopback4, 0), SocketAddress(.loopback6, 0)]

        @Test(arguments: loopbacks) func `batches go out and come in whole and in order`(_ any: SocketAddress) throws {
            let loop = Loop(), inbox = Inbox()
            var options = DatagramSocket.Options()
            options.receiveBuffer = 4 << 20
            options.sendBuffer = 4 << 20
            let receiver = try DatagramSocket(on: loop, "in", bind: any, options: options) { inbox.take(&$0) }
            let sender = try DatagramSocket(on: loop, "out", bind: any, options: options) { _ in }
            let target = try #require(receiver.localAddress)
            var batch = DatagramBatch(), sent: [[UInt8]] = [], random = Random(Seed(1))
            for number in 0..<150 {
                let bytes = (0..<1 + random.index(below: 1400)).map { UInt8(truncatingIfNeeded: $0 &+ number) }
                sent.append(bytes)
                batch.append(bytes, remote: target)
            }
            sender.send(&batch)
            #expect(drive(loop) { inbox.datagrams.count == 150 })
            #expect(inbox.datagrams == sent)
            #expect(Set(inbox.remotes) == [sender.localAddress])
            #expect(inbox.batches.max() == 32)
            #expect(sender.counters.datagramsSent == 150)
            #expect(receiver.counters.datagramsReceived == 150)
            #expect(receiver.counters.bytesReceived == sender.counters.bytesSent)
            #expect(receiver.receiveBuffer > 0 && receiver.sendBuffer > 0)
        }

        @Test(arguments: [SocketAddress(.loopback4, 0): 65_507, SocketAddress(.loopback6, 0): 65_527])
        func `the longest datagram arrives whole`(_ any: SocketAddress, _ longest: Int) throws {
            let loop = Loop(), inbox = Inbox()
            var options = DatagramSocket.Options()
            options.receiveBuffer = 8 << 20
            options.sendBuffer = 8 << 20
            let receiver = try DatagramSocket(on: loop, "in", bind: any, options: options) { inbox.take(&$0) }
            let sender = try DatagramSocket(on: loop, "out", bind: any, options: options) { _ in }
            let target = try #require(receiver.localAddress)
            var batch = DatagramBatch()
            let long = (0..<longest).map { UInt8(truncatingIfNeeded: $0 / 251 ^ $0) }
            for _ in 0..<8 {
                batch.append(long, remote: target)
                batch.append([7], remote: target)
            }
            sender.send(&batch)
            #expect(drive(loop) { inbox.datagrams.count == 16 })
            for (index, datagram) in inbox.datagrams.enumerated() {
                #expect(datagram.elementsEqual(index % 2 == 0 ? long : [7]), "datagram \(index)")
            }
            #expect(receiver.counters.truncated == 0)
        }

        @Test func `a datagram above the socket's own limit is dropped and counted`() throws {
            let loop = Loop(), inbox = Inbox(), wide = Inbox(), any = SocketAddress(.loopback4, 0)
            // A second socket on the loop with a larger limit must not lift the first one's.
            let other = try DatagramSocket(on: loop, "wide", bind: any) { wide.take(&$0) }
            var options = DatagramSocket.Options()
            options.maximumDatagram = 1024
            let receiver = try DatagramSocket(on: loop, "in", bind: any, options: options) { inbox.take(&$0) }
            var batch = DatagramBatch()
            for size in [1024, 1025, 9000, 10] {
                batch.append(Array(repeating: 1, count: size), remote: try #require(receiver.localAddress))
            }
            batch.append(Array(repeating: 1, count: 9000), remote: try #require(other.localAddress))
            other.send(&batch)
            #expect(drive(loop) { inbox.datagrams.count == 2 && wide.datagrams.count == 1 })
            #expect(inbox.datagrams.map(\.count) == [1024, 10])
            #expect(receiver.counters.truncated == 2)
        }

        @Test(arguments: loopbacks) func `a port without a listener is counted and reported, once each`(
            _ any: SocketAddress
        )
            throws
        {
            let loop = Loop(), informed = Box<[SocketAddress]>([]), inbox = Inbox()
            var dead: DatagramSocket? = try DatagramSocket(on: loop, "dead", bind: any) { _ in }
            let target = try #require(dead?.localAddress)
            dead?.close()
            dead = nil
            let receiver = try DatagramSocket(on: loop, "in", bind: any) { inbox.take(&$0) }
            let sender = try DatagramSocket(on: loop, "out", bind: any) { _ in }
            sender.onUnreachable = { address, _ in informed.value.append(address) }
            for number in 0..<10 {
                var batch = DatagramBatch()
                batch.append([UInt8(number)], remote: target)
                batch.append([UInt8(number)], remote: try #require(receiver.localAddress))
                sender.send(&batch)
                #expect(drive(loop) { informed.value.count == number + 1 && inbox.datagrams.count == number + 1 })
            }
            #expect(informed.value == Array(repeating: target, count: 10))
            #expect(sender.counters.unreachable == [Errno(ECONNREFUSED): 10])
            // The error that the next send returns is that of another datagram, and this one is not lost.
            #expect(sender.counters.sendErrors.isEmpty)
            #expect(inbox.datagrams == (0..<10).map { [$0] })
        }

        @Test func `a datagram that cannot go is counted by reason and the rest goes on`() throws {
            let loop = Loop(), inbox = Inbox(), any = SocketAddress(.loopback4, 0)
            let receiver = try DatagramSocket(on: loop, "in", bind: any) { inbox.take(&$0) }
            let sender = try DatagramSocket(on: loop, "out", bind: any) { _ in }
            let target = try #require(receiver.localAddress)
            var batch = DatagramBatch()
            batch.append([1], remote: target)
            batch.append(Array(repeating: 0, count: 65_508), remote: target)
            batch.append([2], remote: target)
            batch.append([0], remote: SocketAddress(.loopback6, target.port))
            batch.append([0], remote: SocketAddress(.v4(0xffff_ffff), 9))
            batch.append([0], remote: SocketAddress(.v4(0xffff_ffff), 9))
            batch.append([3], remote: target)
            sender.send(&batch)
            #expect(drive(loop) { inbox.datagrams.count == 3 })
            #expect(inbox.datagrams == [[1], [2], [3]])
            #expect(sender.counters.sendErrors[Errno(EMSGSIZE)] == 1)
            #expect(sender.counters.sendErrors[Errno(EAFNOSUPPORT)] == 1)
            #expect(sender.counters.sendErrors.values.reduce(0, +) == 4)
            #expect(sender.counters.datagramsSent == 3)
        }

        @Test func `what the kernel cannot take waits in order, and beyond the backlog is dropped and counted`() throws
        {
            let loop = Loop(), inbox = Inbox(), ends = try socketPair(SOCK_DGRAM), nowhere = SocketAddress(.any4, 0)
            var options = DatagramSocket.Options()
            options.backlogBytes = 200 * 1024
            let sender = try DatagramSocket(
                on: loop, "out", adopting: FileDescriptor(owning: ends.0), isConnected: true, options: options
            ) { _ in }
            var batch = DatagramBatch()
            for number in 0..<1000 {
                batch.append(
                    [UInt8(number / 256), UInt8(number % 256)] + Array(repeating: 0, count: 1022), remote: nowhere)
            }
            sender.send(&batch)
            let waiting = sender.backlogCount, sent = Int(sender.counters.datagramsSent)
            #expect(sender.counters.blocked > 0)
            #expect(waiting > 0 && waiting <= 200)
            #expect(sent + waiting + Int(sender.counters.backlogDropped) == 1000)
            // Later datagrams do not overtake.
            let receiver = try DatagramSocket(
                on: loop, "in", adopting: FileDescriptor(owning: ends.1), isConnected: true
            ) { inbox.take(&$0) }
            #expect(drive(loop) { sender.backlogCount == 0 && inbox.datagrams.count == sent + waiting })
            let numbers = inbox.datagrams.map { Int($0[0]) * 256 + Int($0[1]) }
            #expect(numbers == Array(0..<sent + waiting))
            // Idle again: the writable event is not asked for without need.
            let turns = Box(0)
            let pause = Timer(on: loop, "pause") { loop.stop() }
            pause.arm(after: .milliseconds(30))
            while pause.deadline != nil {
                loop.runOnce()
                turns.value += 1
            }
            #expect(turns.value < 10)
            #expect(receiver.isOpen)
        }

        @Test func `a flood leaves the loop to others after a bounded number of batches`() throws {
            let loop = Loop(), inbox = Inbox(), any = SocketAddress(.loopback4, 0)
            var options = DatagramSocket.Options()
            options.receiveBuffer = 4 << 20
            options.roundsPerWake = 2
            let receiver = try DatagramSocket(on: loop, "in", bind: any, options: options) { inbox.take(&$0) }
            let sender = try DatagramSocket(on: loop, "out", bind: any) { _ in }
            var batch = DatagramBatch()
            for _ in 0..<300 { batch.append([1], remote: try #require(receiver.localAddress)) }
            sender.send(&batch)
            #expect(sender.counters.datagramsSent == 300)
            var rounds: [Int] = []
            while inbox.datagrams.count < 300, rounds.count < 100 {
                let before = inbox.datagrams.count
                loop.runOnce()
                rounds.append(inbox.datagrams.count - before)
            }
            #expect(inbox.datagrams.count == 300)
            // Two batches of 32 a turn.
            #expect(rounds.max() == 64)
        }

        @Test func `a socket may close itself while it receives`() throws {
            let loop = Loop(), any = SocketAddress(.loopback4, 0), holder = Box<DatagramSocket?>(nil), count = Box(0)
            holder.value = try DatagramSocket(on: loop, "in", bind: any) { _ in
                count.value += 1
                holder.value?.close()
                holder.value = nil
            }
            let sender = try DatagramSocket(on: loop, "out", bind: any) { _ in }
            sender.keepsLoopRunning = false
            var batch = DatagramBatch()
            for _ in 0..<200 { batch.append([1], remote: try #require(holder.value?.localAddress)) }
            sender.send(&batch)
            loop.run()
            #expect(count.value == 1)
        }

        @Test func `pausing leaves datagrams with the kernel`() throws {
            let loop = Loop(), inbox = Inbox(), any = SocketAddress(.loopback4, 0)
            let receiver = try DatagramSocket(on: loop, "in", bind: any) { inbox.take(&$0) }
            let sender = try DatagramSocket(on: loop, "out", bind: any) { _ in }
            receiver.pauseReceiving()
            var batch = DatagramBatch()
            batch.append([1], remote: try #require(receiver.localAddress))
            sender.send(&batch)
            for _ in 0..<5 { loop.runOnce(nonblocking: true) }
            #expect(inbox.datagrams.isEmpty)
            receiver.resumeReceiving()
            #expect(drive(loop) { inbox.datagrams == [[1]] })
        }

        @Test func `addresses survive the kernel's form`() throws {
            for text in ["192.0.2.1:4100", "[2001:db8::1:2]:65535", "[::1]:0", "0.0.0.0:1", "255.255.255.255:9"] {
                let address = try #require(SocketAddress(text))
                #expect(SocketAddress(address.storage.value) == address)
            }
            #expect(SocketAddress(sockaddr_storage()) == nil)
        }

        @Test func `an address that is taken is an error of init, and nothing leaks`() throws {
            let loop = Loop(),
                first = try DatagramSocket(on: loop, "first", bind: SocketAddress(.loopback4, 0)) { _ in }
            let taken = try #require(first.localAddress), before = descriptorCount()
            for _ in 0..<200 {
                let error = #expect(throws: Errno.self) {
                    _ = try DatagramSocket(on: loop, "second", bind: taken) { _ in }
                }
                #expect(error == Errno(EADDRINUSE))
            }
            #expect(descriptorCount() < before + 100)
        }
    }
}
