import Base
import Foundation

/// A socket, in the namespace that it was opened in. Never blocks.
final class Socket {
    let descriptor: Int32

    fileprivate init(owning descriptor: Int32) { self.descriptor = descriptor }

    fileprivate init(_ type: __socket_type, isIPv4: Bool) throws {
        let kind = Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        descriptor = socket(isIPv4 ? AF_INET : AF_INET6, kind, 0)
        guard descriptor >= 0 else { throw Fault.last("socket") }
        if type == SOCK_STREAM { set(SOL_SOCKET, SO_REUSEADDR, 1) }
    }

    deinit { close(descriptor) }

    func set(_ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Waits for one of `events`; false where the time is over.
    @discardableResult
    func wait(_ events: Int32, milliseconds: Int32) -> Bool {
        var wait = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        return poll(&wait, 1, milliseconds) > 0
    }

    /// What has happened to the socket: 0, or an errno.
    func takeError() -> Int32 {
        var value: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &value, &size)
        return value
    }

    func send(_ bytes: [UInt8]) -> Bool {
        Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
    }

    /// What arrives, until there are so many, or nothing comes for so long.
    func datagrams(_ count: Int, milliseconds: Int32) throws -> [[UInt8]] {
        var found: [[UInt8]] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while found.count < count, wait(POLLIN, milliseconds: milliseconds) {
            let length = recv(descriptor, &buffer, buffer.count, 0)
            guard length >= 0 else { throw Fault.last("receive") }
            found.append(Array(buffer[..<length]))
        }
        return found
    }

    // MARK: - Opening

    /// A datagram socket with an address of its own.
    static func datagram(in namespace: Namespace, at address: IPAddress, _ port: UInt16) throws -> Socket {
        try namespace.enter {
            let socket = try Socket(SOCK_DGRAM, isIPv4: address.isIPv4)
            try socket.bind(address, port)
            socket.set(SOL_SOCKET, SO_RCVBUF, 4 << 20)
            return socket
        }
    }

    /// A datagram socket that sends to one address.
    static func datagram(in namespace: Namespace, to address: IPAddress, _ port: UInt16) throws -> Socket {
        try namespace.enter {
            let socket = try Socket(SOCK_DGRAM, isIPv4: address.isIPv4)
            guard socket.connect(address, port) == 0 else { throw Fault.last("connect \(address)") }
            socket.set(SOL_SOCKET, SO_RCVBUF, 4 << 20)
            return socket
        }
    }

    /// Begins to connect; `wait` and `takeError` show how it ends.
    static func connecting(in namespace: Namespace, to address: IPAddress, _ port: UInt16) throws -> Socket {
        try namespace.enter {
            let socket = try Socket(SOCK_STREAM, isIPv4: address.isIPv4)
            guard socket.connect(address, port) == 0 || errno == EINPROGRESS else { throw Fault.last("\(address)") }
            return socket
        }
    }

    static func listening(in namespace: Namespace, at address: IPAddress, _ port: UInt16) throws -> Socket {
        try namespace.enter {
            let socket = try Socket(SOCK_STREAM, isIPv4: address.isIPv4)
            try socket.bind(address, port)
            guard listen(socket.descriptor, 8) == 0 else { throw Fault.last("listen") }
            return socket
        }
    }

    func accepted(within seconds: Double = 10) throws -> Socket {
        guard wait(POLLIN, milliseconds: Int32(seconds * 1000)) else { throw Fault("nobody connects") }
        let descriptor = accept(self.descriptor, nil, nil)
        guard descriptor >= 0 else { throw Fault.last("accept") }
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return Socket(owning: descriptor)
    }

    /// Both ends of a TCP connection from one node to another.
    static func connection(
        from client: Overlay.Node, to server: Overlay.Node, isIPv4: Bool, port: UInt16 = 9000
    ) throws -> (Socket, Socket) {
        let address = isIPv4 ? server.v4 : server.v6
        let listener = try Socket.listening(in: server.namespace, at: address, port)
        let near = try Socket.connecting(in: client.namespace, to: address, port)
        let far = try listener.accepted()
        return (near, far)
    }

    private func bind(_ address: IPAddress, _ port: UInt16) throws {
        guard Socket.with(address, port, { Glibc.bind(descriptor, $0, $1) }) == 0 else {
            throw Fault.last("bind \(address)")
        }
    }
    private func connect(_ address: IPAddress, _ port: UInt16) -> Int32 {
        Socket.with(address, port) { Glibc.connect(descriptor, $0, $1) }
    }

    static func with<Value>(
        _ address: IPAddress, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Value
    ) -> Value {
        func call(_ storage: UnsafeRawBufferPointer) -> Value {
            body(storage.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(storage.count))
        }
        let bytes = address.bytes
        if address.isIPv4 {
            var storage = sockaddr_in()
            storage.sin_family = sa_family_t(AF_INET)
            storage.sin_port = port.bigEndian
            withUnsafeMutableBytes(of: &storage.sin_addr) { $0.copyBytes(from: bytes) }
            return withUnsafeBytes(of: storage, call)
        }
        var storage = sockaddr_in6()
        storage.sin6_family = sa_family_t(AF_INET6)
        storage.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &storage.sin6_addr) { $0.copyBytes(from: bytes) }
        return withUnsafeBytes(of: storage, call)
    }
}

/// # Bytes through a connection, in both directions at once
///
/// What is sent is a block of chance repeated, of a length that no packet's size divides, and what arrives is compared
/// with it byte for byte: what is lost, doubled, changed or out of order differs.
struct Exchange: CustomStringConvertible {
    enum Amount {
        case bytes(Int)
        /// Until it is set.
        case until(Flag)
    }

    private(set) var received = 0
    private(set) var seconds = 0.0
    /// The longest time in which neither end received anything.
    private(set) var longestGap = 0.0

    var description: String {
        let rate = Double(received) / max(seconds, 1e-9) / 1e6
        return String(
            format: "%.1f MB in %.2f s, %.0f MB/s, longest gap %.0f ms", Double(received) / 1e6, seconds, rate,
            longestGap * 1000)
    }

    private static let block: [UInt8] = {
        var random = SystemRandomNumberGenerator()
        let words = (0...1_048_573 / 8).map { _ in random.next() as UInt64 }
        return words.withUnsafeBytes { Array($0.prefix(1_048_573)) }
    }()

    static func sample(_ count: Int, at offset: Int) -> [UInt8] { Array(block[offset..<offset + count]) }

    private struct End {
        let socket: Socket
        var sent = 0
        var received = 0
        var isShut = false
        var hasEnded = false
    }

    /// `within`: the longest time that nothing may happen.
    static func run(_ near: Socket, _ far: Socket, _ amount: Amount, within patience: Double = 30) throws -> Exchange {
        // Made before the time is taken.
        _ = block.count
        var exchange = Exchange()
        var ends = [End(socket: near), End(socket: far)]
        var buffer = [UInt8](repeating: 0, count: 256 << 10)
        let began = monotonicSeconds()
        var last = began
        while !ends.allSatisfy({ $0.isShut && $0.hasEnded }) {
            var waits = ends.map { end in
                // A finished one would wake this loop forever.
                pollfd(
                    fd: end.isShut && end.hasEnded ? -1 : end.socket.descriptor,
                    events: Int16((end.hasEnded ? 0 : POLLIN) | (end.isShut ? 0 : POLLOUT)), revents: 0)
            }
            poll(&waits, 2, 100)
            let before = exchange.received
            for index in ends.indices where waits[index].revents != 0 {
                if waits[index].revents & Int16(POLLOUT) != 0 { try send(&ends[index], amount) }
                if waits[index].revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 {
                    exchange.received += try receive(&ends[index], &buffer)
                }
            }
            let now = monotonicSeconds()
            exchange.longestGap = max(exchange.longestGap, now - last)
            if exchange.received > before { last = now }
            guard now - last < patience else { throw Fault("nothing for \(patience) s after \(exchange)") }
            exchange.seconds = now - began
        }
        for (one, other) in [(0, 1), (1, 0)] where ends[one].sent != ends[other].received {
            throw Fault("\(ends[one].sent) bytes were sent, and \(ends[other].received) received")
        }
        return exchange
    }

    private static func send(_ end: inout End, _ amount: Amount) throws {
        guard !end.isShut else { return }
        var left = Int.max
        switch amount {
        case .bytes(let bytes): left = bytes - end.sent
        case .until(let flag): left = flag.isRaised ? 0 : left
        }
        let offset = end.sent % block.count
        let length = min(block.count - offset, left, 256 << 10)
        if length == 0 {
            shutdown(end.socket.descriptor, Int32(SHUT_WR))
            end.isShut = true
            return
        }
        let count = block.withUnsafeBytes {
            Glibc.send(end.socket.descriptor, $0.baseAddress! + offset, length, Int32(MSG_NOSIGNAL))
        }
        if count > 0 { end.sent += count } else if errno != EAGAIN { throw Fault.last("send after \(end.sent) bytes") }
    }

    private static func receive(_ end: inout End, _ buffer: inout [UInt8]) throws -> Int {
        guard !end.hasEnded else { return 0 }
        let offset = end.received % block.count
        let count = recv(end.socket.descriptor, &buffer, min(buffer.count, block.count - offset), 0)
        if count < 0 {
            if errno == EAGAIN { return 0 }
            throw Fault.last("receive after \(end.received) bytes")
        }
        if count == 0 { end.hasEnded = true }
        let isEqual = block.withUnsafeBytes { memcmp($0.baseAddress! + offset, buffer, count) == 0 }
        guard isEqual else { throw Fault("the bytes behind \(end.received) are not those that were sent") }
        end.received += count
        return count
    }
}

/// A flag that one thread sets for another.
final class Flag: @unchecked Sendable {
    private let lock = NSLock()
    private var value = false

    var isRaised: Bool { lock.withLock { value } }
    func raise() { lock.withLock { value = true } }
}

/// Datagrams there and back, each compared with what was sent.
struct Echo {
    let client: Socket
    let server: Socket

    init(from one: Overlay.Node, to other: Overlay.Node, isIPv4: Bool, port: UInt16 = 9001) throws {
        let address = isIPv4 ? other.v4 : other.v6
        server = try Socket.datagram(in: other.namespace, at: address, port)
        client = try Socket.datagram(in: one.namespace, to: address, port)
    }

    /// How many had to be sent again. Throws where one does not come back, or changed.
    func run(sizes: some Sequence<Int>, tries: Int = 15) throws -> Int {
        var again = 0
        for size in sizes {
            let bytes = Exchange.sample(size, at: size)
            var left = tries
            while try !exchange(bytes, milliseconds: 200) {
                left -= 1
                again += 1
                guard left > 0 else { throw Fault("a datagram of \(size) bytes does not come back") }
            }
        }
        return again
    }

    /// False where it did not come back in time.
    func exchange(_ bytes: [UInt8], milliseconds: Int32) throws -> Bool {
        // What is too large for the path as known so far is refused once, and then cut.
        _ = client.send(bytes)
        guard try pass(bytes, at: server, milliseconds, answers: true) else { return false }
        return try pass(bytes, at: client, milliseconds, answers: false)
    }

    private func pass(_ bytes: [UInt8], at socket: Socket, _ milliseconds: Int32, answers: Bool) throws -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let end = monotonicSeconds() + Double(milliseconds) / 1000
        while true {
            let left = end - monotonicSeconds()
            guard left > 0, socket.wait(POLLIN, milliseconds: Int32(left * 1000) + 1) else { return false }
            var remote = sockaddr_storage()
            var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let count = withUnsafeMutablePointer(to: &remote) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(socket.descriptor, &buffer, buffer.count, 0, $0, &size)
                }
            }
            // A late one of an earlier try has another size.
            if count != bytes.count { continue }
            guard memcmp(buffer, bytes, count) == 0 else {
                throw Fault("a datagram of \(bytes.count) bytes is not what was sent")
            }
            guard answers else { return true }
            _ = withUnsafePointer(to: &remote) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    sendto(socket.descriptor, buffer, count, 0, $0, size)
                }
            }
            return true
        }
    }
}
