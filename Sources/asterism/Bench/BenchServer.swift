import Base
import Foundation
import Synchronization

/// # The far end of a measurement
///
/// Listens at one address of the overlay, on a port of each transport, for a peer that shows the token. It is a separate
/// process, which an agent starts for one measurement. It ends by itself when the peer's control connection ends, when no
/// peer connects, or when its time is over. It also ends when its standard input ends, since the agent has then ended.
final class BenchServer: Sendable {
    private struct State {
        var connections = 0
        var hasControl = false
        var sending = 0
        var retransmits = 0
    }
    private let token: [UInt8]
    private let end: Double
    private let tcp: BenchSocket
    private let udp: BenchSocket
    private let state = Mutex(State())

    private static let connectionLimit = 64
    private static let helloPatience = 3.0
    private static let controlPatience = 10.0

    init(at address: IPAddress, token: [UInt8], seconds: Double) throws(BenchFault) {
        self.token = token
        end = monotonicSeconds() + seconds
        tcp = try BenchSocket.open(SOCK_STREAM, for: address)
        udp = try BenchSocket.open(SOCK_DGRAM, for: address)
        try tcp.bind(to: address)
        try udp.bind(to: address)
        guard listen(tcp.raw, 32) == 0 else { throw BenchFault("listen", errno) }
    }

    var ports: (tcp: UInt16, udp: UInt16) { (tcp.port, udp.port) }

    /// Serves until there is a reason to end.
    func run() {
        Thread.detachNewThread { self.echo() }
        let controlBy = monotonicSeconds() + BenchServer.controlPatience
        while true {
            let now = monotonicSeconds()
            let limit = state.withLock { $0.hasControl } ? end : min(end, controlBy)
            guard now < limit else { return }
            var waits = [
                pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
                pollfd(fd: tcp.raw, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&waits, 2, Int32(min(limit - now, 1) * 1000) + 1) > 0 else { continue }
            if waits[0].revents != 0 {
                var byte: UInt8 = 0
                if read(STDIN_FILENO, &byte, 1) <= 0 { return }
            }
            if waits[1].revents != 0, let connection = tcp.accept() { welcome(connection) }
        }
    }

    private func welcome(_ connection: BenchSocket) {
        let isTaken = state.withLock { state in
            guard state.connections < BenchServer.connectionLimit else { return false }
            state.connections += 1
            return true
        }
        guard isTaken else { return }
        Thread.detachNewThread {
            self.serve(connection)
            self.state.withLock { $0.connections -= 1 }
        }
    }

    private func serve(_ connection: BenchSocket) {
        connection.setTimeout(seconds: BenchServer.helloPatience)
        guard let hello = connection.receive(BenchSocket.helloCount), matches(hello[..<BenchSocket.tokenCount]),
            let kind = BenchSocket.Kind(rawValue: hello[BenchSocket.tokenCount])
        else { return }
        let milliseconds = hello.suffix(4).reduce(0) { $0 << 8 | Int($1) }
        switch kind {
        case .control: control(connection)
        case .there: connection.drain { _ in true }
        case .back:
            state.withLock { $0.sending += 1 }
            connection.setTimeout(seconds: 0.2)
            let end = min(end, monotonicSeconds() + Double(milliseconds) / 1000)
            connection.flood { monotonicSeconds() < end }
            let retransmits = connection.tcpInfo.retransmits
            connection.abandon()
            state.withLock { state in
                state.sending -= 1
                state.retransmits += retransmits
            }
        }
    }

    /// Compares in constant time, so that the time does not reveal the place of a difference.
    private func matches(_ shown: some Collection<UInt8>) -> Bool {
        shown.count == token.count && zip(shown, token).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }

    private func control(_ connection: BenchSocket) {
        state.withLock { $0.hasControl = true }
        connection.setTimeout(seconds: max(1, end - monotonicSeconds()))
        guard (try? connection.sendAll([1])) != nil else { exit(0) }
        while connection.receive(1) != nil {
            // The last connections of a direction end a moment later.
            for _ in 0..<100 where state.withLock({ $0.sending > 0 }) { usleep(10_000) }
            let count = UInt64(state.withLock { $0.retransmits })
            let bytes = (0..<8).map { UInt8(truncatingIfNeeded: count >> (56 - $0 * 8)) }
            guard (try? connection.sendAll(bytes)) != nil else { break }
        }
        exit(0)
    }

    /// A datagram with the token is returned unchanged.
    private func echo() {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while true {
            var sender = sockaddr_storage()
            var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
            withUnsafeMutableBytes(of: &sender) { sender in
                let address = sender.baseAddress!.assumingMemoryBound(to: sockaddr.self)
                let count = recvfrom(udp.raw, &bytes, bytes.count, 0, address, &size)
                guard count >= BenchSocket.tokenCount, matches(bytes[..<BenchSocket.tokenCount]) else { return }
                sendto(udp.raw, bytes, count, 0, address, size)
            }
        }
    }
}
