import Foundation
import Testing

/// A datagram socket of 127.0.0.1.
final class DatagramEnd: @unchecked Sendable {
    let descriptor: Int32
    let port: UInt16

    /// `to`: only with that port; datagrams of others are not seen.
    init(port: UInt16 = 0, to remote: UInt16? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        try #require(descriptor >= 0)
        var own = sockaddr_in.loopback(port)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = descriptor
        let isBound = withUnsafeMutablePointer(to: &own) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        try #require(isBound, "port \(port) cannot be bound")
        self.port = UInt16(bigEndian: own.sin_port)
        var room: Int32 = 4 << 20
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &room, socklen_t(MemoryLayout<Int32>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &room, socklen_t(MemoryLayout<Int32>.size))
        if let remote {
            let result = withUnsafeBytes(of: sockaddr_in.loopback(remote)) {
                connect(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
            }
            try #require(result == 0)
        }
    }

    deinit { close(descriptor) }

    /// To the port that this end is connected to.
    func send(_ bytes: [UInt8]) {
        _ = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, 0) }
    }

    func send(_ bytes: [UInt8], to port: UInt16) {
        _ = bytes.withUnsafeBytes { bytes in
            withUnsafeBytes(of: sockaddr_in.loopback(port)) {
                sendto(
                    descriptor, bytes.baseAddress, bytes.count, 0,
                    $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
            }
        }
    }

    /// What waits, without waiting for it.
    func receive() -> (bytes: [UInt8], from: UInt16)? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let count = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                recvfrom(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT), $0, &size)
            }
        }
        guard count >= 0 else { return nil }
        return (Array(buffer[..<count]), UInt16(bigEndian: address.sin_port))
    }
}

/// Stands between agents and a controller and keeps a copy of every datagram: a capture that needs no privileges.
final class Relay: @unchecked Sendable {
    struct Datagram {
        var isUp: Bool
        /// The agent's port.
        var agent: UInt16
        var bytes: [UInt8]
    }

    let port: UInt16
    private let front: DatagramEnd
    private let controller: UInt16
    private let lock = NSLock()
    private var copies: [Datagram] = []
    private var isClosed = false
    private let done = DispatchSemaphore(value: 0)

    init(to controller: UInt16) throws {
        port = try Ports.take(SOCK_DGRAM)
        front = try DatagramEnd(port: port)
        self.controller = controller
        Thread.detachNewThread { self.carry() }
    }

    var capture: [Datagram] { lock.withLock { copies } }
    func forget() { lock.withLock { copies = [] } }

    func close() {
        lock.withLock { isClosed = true }
        done.wait()
    }

    private func keep(_ datagram: Datagram) {
        lock.withLock {
            // Far more than any test sends.
            if copies.count < 200_000 { copies.append(datagram) }
        }
    }

    private func carry() {
        var backs: [(agent: UInt16, end: DatagramEnd)] = []
        while !lock.withLock({ isClosed }) {
            var waits = ([front.descriptor] + backs.map(\.end.descriptor)).map {
                pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
            }
            guard poll(&waits, nfds_t(waits.count), 50) > 0 else { continue }
            while let (bytes, agent) = front.receive() {
                if !backs.contains(where: { $0.agent == agent }), let end = try? DatagramEnd(to: controller) {
                    backs.append((agent, end))
                }
                keep(Datagram(isUp: true, agent: agent, bytes: bytes))
                backs.first { $0.agent == agent }?.end.send(bytes)
            }
            for (agent, end) in backs {
                while let (bytes, _) = end.receive() {
                    keep(Datagram(isUp: false, agent: agent, bytes: bytes))
                    front.send(bytes, to: agent)
                }
            }
        }
        done.signal()
    }
}
