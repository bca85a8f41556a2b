import Base
import EventLoop
import Foundation
import Testing

extension EventLoopTests {
    @Suite struct ByteStreamTests {
        /// Both ends of a connection through a listener.
        static func connection(
            _ loop: Loop, _ body: (_ client: ByteStream, _ server: ByteStream) throws -> Void
        ) throws {
            let server = Box<ByteStream?>(nil)
            let listener = try Listener(on: loop, "listener", tcp: SocketAddress(.loopback4, 0)) { server.value = $0 }
            let target = try #require(listener.localAddress)
            let client = try ByteStream(on: loop, "client", to: .tcp(target)) { #expect($0 == nil) }
            try #require(drive(loop) { server.value != nil })
            try body(client, #require(server.value))
        }

        @Test func `megabytes come back as they went, over TCP and over a path`() throws {
            try withTemporaryDirectory { folder in
                let loop = Loop(), accepted = Box<[ByteStream]>([])
                func echo(_ stream: ByteStream) {
                    accepted.value.append(stream)
                    stream.start(
                        onRead: { [unowned stream] in stream.write($0) },
                        onEnd: { [unowned stream] _ in stream.shutdown() })
                }
                let tcp = try Listener(on: loop, "tcp", tcp: SocketAddress(.loopback6, 0), onConnection: echo)
                let unix = try Listener(on: loop, "unix", unix: "\(folder)/socket", onConnection: echo)
                for target in [ByteStream.Target.tcp(try #require(tcp.localAddress)), .unix("\(folder)/socket")] {
                    let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 ^ $0 >> 8 ^ $0 >> 16) }
                    let back = Box<[UInt8]>([]), end = Box<ByteStream.End?>(nil), isDrained = Box(false)
                    let client = try ByteStream(on: loop, "client", to: target) { #expect($0 == nil) }
                    client.onDrained = { isDrained.value = true }
                    // Both are allowed before the connection stands.
                    #expect(client.write(bytes))
                    client.shutdown()
                    #expect(!client.write([1]))
                    client.start(onRead: { back.value += $0 }, onEnd: { end.value = $0 })
                    #expect(drive(loop) { end.value != nil })
                    #expect(end.value == .endOfStream)
                    #expect(back.value.elementsEqual(bytes))
                    #expect(isDrained.value && client.pendingBytes == 0)
                    #expect(client.isOpen && client.end == .endOfStream)
                }
                #expect(unix.isOpen)
            }
        }

        @Test func `a reader that stops makes the writer wait, and the limit refuses whole writes`() throws {
            let loop = Loop()
            try EventLoopTests.ByteStreamTests.connection(loop) { client, server in
                let total = Box(0), drained = Box(0)
                client.pendingLimit = 8 << 20
                client.onDrained = { drained.value += 1 }
                server.start(onRead: { total.value += $0.count }, onEnd: { _ in })
                server.pauseReading()
                var accepted = 0
                let block = Array(repeating: UInt8(1), count: 1 << 20)
                while accepted < 64 << 20, client.write(block) { accepted += block.count }
                #expect(accepted < 64 << 20)
                #expect(client.pendingBytes > 0 && client.pendingBytes <= 8 << 20)
                for _ in 0..<5 { loop.runOnce(nonblocking: true) }
                #expect(total.value == 0 && drained.value == 0)
                server.resumeReading()
                #expect(drive(loop) { total.value == accepted })
                #expect(drained.value == 1)
                #expect(client.pendingBytes == 0)
            }
        }

        @Test func `each direction ends by itself`() throws {
            let loop = Loop()
            try EventLoopTests.ByteStreamTests.connection(loop) { client, server in
                let arrived = Box<[UInt8]>([]), end = Box<ByteStream.End?>(nil), serverEnd = Box<ByteStream.End?>(nil)
                client.start(onRead: { arrived.value += $0 }, onEnd: { end.value = $0 })
                server.start(onRead: { _ in }, onEnd: { serverEnd.value = $0 })
                client.shutdown()
                #expect(drive(loop) { serverEnd.value == .endOfStream })
                #expect(server.write([1, 2, 3]))
                #expect(drive(loop) { arrived.value == [1, 2, 3] })
                #expect(end.value == nil)
                server.close()
                #expect(drive(loop) { end.value == .endOfStream })
            }
        }

        @Test func `a peer that resets is an end with its reason, reported once`() throws {
            let loop = Loop()
            try EventLoopTests.ByteStreamTests.connection(loop) { client, server in
                let ends = Box<[ByteStream.End]>([])
                client.start(onRead: { _ in }, onEnd: { ends.value.append($0) })
                // Closing with bytes unread makes TCP reset.
                client.write([1])
                #expect(drive(loop, for: .milliseconds(20)) { false } == false)
                server.close()
                #expect(drive(loop) { !ends.value.isEmpty })
                #expect(ends.value == [.failed(Errno(ECONNRESET))])
                #expect(!client.isOpen && !client.write([1]))
                #expect(client.end == .failed(Errno(ECONNRESET)))
            }
        }

        @Test func `writing to a peer that hung up fails without a signal`() throws {
            let loop = Loop(), pair = try socketPair(SOCK_STREAM), ends = Box<[ByteStream.End]>([])
            let stream = try ByteStream(on: loop, "stream", adopting: FileDescriptor(owning: pair.0))
            stream.start(onRead: { _ in }, onEnd: { ends.value.append($0) })
            stream.pauseReading()
            close(pair.1)
            stream.write([1])
            #expect(drive(loop) { !ends.value.isEmpty })
            #expect(ends.value == [.failed(Errno(EPIPE))])
        }

        @Test func `a connection that cannot be made is reported once and closes`() throws {
            try withTemporaryDirectory { folder in
                let loop = Loop(), results = Box<[Errno?]>([])
                let dead = try Listener(on: loop, "dead", tcp: SocketAddress(.loopback4, 0)) { _ in }
                let address = try #require(dead.localAddress)
                dead.close()
                loop.runOnce(nonblocking: true)
                let tcp = try ByteStream(on: loop, "tcp", to: .tcp(address)) { results.value.append($0) }
                tcp.write([1])
                #expect(drive(loop) { results.value.count == 1 })
                let unix = try ByteStream(on: loop, "unix", to: .unix("\(folder)/none")) { results.value.append($0) }
                unix.write([1])
                #expect(drive(loop) { results.value.count == 2 })
                #expect(results.value == [Errno(ECONNREFUSED), Errno(ENOENT)])
                #expect(!tcp.isOpen && !unix.isOpen)
                let long = String(repeating: "x", count: 108)
                let error = #expect(throws: Errno.self) { _ = try ByteStream(on: loop, "", to: .unix(long)) { _ in } }
                #expect(error == Errno(ENAMETOOLONG))
                // A closed stream does not call back.
                var forgotten: ByteStream? = try ByteStream(on: loop, "", to: .tcp(address)) {
                    results.value.append($0)
                }
                forgotten?.write([1])
                forgotten = nil
                loop.run()
                #expect(results.value.count == 2)
            }
        }

        @Test func `closing in the own callback is the end of callbacks`() throws {
            let loop = Loop()
            try EventLoopTests.ByteStreamTests.connection(loop) { client, server in
                let reads = Box(0), ends = Box(0)
                server.start(
                    onRead: { [unowned server] _ in
                        reads.value += 1
                        server.write(Array(repeating: 1, count: 1 << 20))
                        server.close()
                        server.close()
                    }, onEnd: { _ in ends.value += 1 })
                client.write(Array(repeating: 1, count: 200_000))
                #expect(drive(loop) { reads.value == 1 })
                #expect(drive(loop, for: .milliseconds(30)) { false } == false)
                #expect(reads.value == 1 && ends.value == 0)
                #expect(server.pendingBytes == 0)
            }
        }

        @Test func `thousands of connections leave no descriptor`() throws {
            let loop = Loop(), before = descriptorCount(), open = Box<[ByteStream]>([]), done = Box(0)
            let listener = try Listener(on: loop, "listener", tcp: SocketAddress(.loopback4, 0)) { stream in
                stream.start(onRead: { _ in }, onEnd: { [unowned stream] _ in stream.close() })
                open.value.append(stream)
            }
            let target = try #require(listener.localAddress)
            for round in 0..<40 {
                var clients: [ByteStream] = []
                for _ in 0..<50 {
                    clients.append(
                        try ByteStream(on: loop, "client", to: .tcp(target)) { error in
                            #expect(error == nil)
                            done.value += 1
                        })
                }
                #expect(drive(loop) { done.value == (round + 1) * 50 && Int(listener.accepted) == done.value })
                for client in clients { client.write([1, 2, 3]) }
                clients = []
                #expect(drive(loop) { listener.openConnections == 0 })
                open.value = []
            }
            #expect(descriptorCount() < before + 200)
        }
    }

    @Suite struct ListenerTests {
        @Test func `a stale socket file is replaced, a live one and other files are not`() throws {
            try withTemporaryDirectory { folder in
                let loop = Loop(), path = "\(folder)/socket"
                // What a program leaves that was killed.
                let left = FileDescriptor(owning: socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
                var address = sockaddr_un()
                address.sun_family = sa_family_t(AF_UNIX)
                withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
                let status = withUnsafeBytes(of: &address) {
                    bind(left.raw, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
                }
                try #require(status == 0)
                try left.close()

                let accepted = Box<ByteStream?>(nil)
                let first = try Listener(on: loop, "first", unix: path) { accepted.value = $0 }
                let error = #expect(throws: Errno.self) { _ = try Listener(on: loop, "second", unix: path) { _ in } }
                #expect(error == Errno(EADDRINUSE))
                let client = try ByteStream(on: loop, "client", to: .unix(path)) { #expect($0 == nil) }
                client.write([1])
                #expect(drive(loop) { first.accepted >= 2 })

                let file = "\(folder)/file"
                try FileDescriptor.open(file, O_CREAT | O_WRONLY).writeAll([1])
                let other = #expect(throws: Errno.self) { _ = try Listener(on: loop, "file", unix: file) { _ in } }
                #expect(other == Errno(EADDRINUSE))
                #expect(try FileDescriptor.open(file, O_RDONLY).readAll(limit: 10) == [1])
            }
        }

        @Test func `listeners that start at once in one folder take turns`() throws {
            try withTemporaryDirectory { folder in
                let turn = try FileDescriptor.open(folder, O_RDONLY | O_DIRECTORY)
                try #require(flock(turn.raw, LOCK_EX | LOCK_NB) == 0)
                let other = turn.release()
                Thread.detachNewThread {
                    usleep(100_000)
                    close(other)
                }
                let listener = try Listener(on: Loop(), "second", unix: "\(folder)/socket") { _ in }
                listener.close()
            }
        }

        @Test func `the file has its mode at once and goes with the listener, unless it is another's by then`() throws {
            try withTemporaryDirectory { folder in
                let loop = Loop(), path = "\(folder)/socket"
                var status = stat()
                let first = try Listener(on: loop, "first", unix: path) { _ in }
                #expect(stat(path, &status) == 0)
                #expect(status.st_mode & 0o777 == 0o600)
                first.close()
                #expect(stat(path, &status) == -1)
                let second = try Listener(on: loop, "second", unix: path, mode: 0o666) { _ in }
                let mask = umask(0)
                umask(mask)
                #expect(stat(path, &status) == 0)
                #expect(status.st_mode & 0o777 == 0o666 & ~mask)
                unlink(path)
                let third = try Listener(on: loop, "third", unix: path) { _ in }
                second.close()
                #expect(stat(path, &status) == 0)
                #expect(third.isOpen)
            }
        }

        @Test func `the far end of a unix socket is known by process and user`() throws {
            try withTemporaryDirectory { folder in
                let loop = Loop(), path = "\(folder)/socket", server = Box<ByteStream?>(nil)
                let listener = try Listener(on: loop, "listener", unix: path) { server.value = $0 }
                let client = try ByteStream(on: loop, "client", to: .unix(path)) { _ in }
                #expect(drive(loop) { server.value != nil })
                let expected = ByteStream.Credentials(pid: getpid(), uid: getuid(), gid: getgid())
                #expect(server.value?.peerCredentials == expected)
                #expect(client.peerCredentials == expected)
                #expect(listener.isOpen)
            }
        }

        @Test func `connections beyond the limit are closed at once and counted`() throws {
            let loop = Loop(), streams = Box<[ByteStream]>([])
            let listener = try Listener(on: loop, "listener", tcp: SocketAddress(.loopback4, 0)) {
                streams.value.append($0)
            }
            listener.connectionLimit = 3
            let target = try #require(listener.localAddress), ended = Box(0)
            var clients: [ByteStream] = []
            for _ in 0..<5 {
                let client = try ByteStream(on: loop, "client", to: .tcp(target)) { _ in }
                client.start(onRead: { _ in }, onEnd: { _ in ended.value += 1 })
                clients.append(client)
            }
            #expect(drive(loop) { ended.value == 2 })
            #expect(listener.refused == 2 && listener.accepted == 3 && listener.openConnections == 3)
            streams.value.removeLast()
            #expect(listener.openConnections == 2)
            let another = try ByteStream(on: loop, "client", to: .tcp(target)) { _ in }
            #expect(drive(loop) { listener.accepted == 4 })
            #expect(another.isOpen)
            #expect(try #require(streams.value.last).remoteAddress == another.localAddress)
        }

        @Test func `an address that is taken is an error of init`() throws {
            let loop = Loop(), first = try Listener(on: loop, "first", tcp: SocketAddress(.loopback4, 0)) { _ in }
            let taken = try #require(first.localAddress)
            let error = #expect(throws: Errno.self) { _ = try Listener(on: loop, "second", tcp: taken) { _ in } }
            #expect(error == Errno(EADDRINUSE))
        }
    }
}
