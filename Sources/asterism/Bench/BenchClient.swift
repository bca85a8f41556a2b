import Base
import Control
import Foundation
import Synchronization

/// # The near end of a measurement
///
/// It measures UDP round trips at a hundred a second. It does so first on the idle path, then under TCP load in one
/// direction, then in the other. Loads and round trips run in separate threads, so that neither waits for the other.
struct BenchClient {
    let server: BenchView
    let token: [UInt8]
    let streams: Int
    let udpBytes: Int
    /// For each direction.
    let seconds: Double
    /// Called with the name of the measurement and a text: for each second of a load, and at its end.
    let progress: (_ what: String, _ text: String) -> Void

    static let tripsEvery = 0.01
    /// The idle time before the load.
    static func idleSeconds(_ seconds: Double) -> Double { min(2, seconds) }
    /// How long the server is to run.
    static func serverSeconds(_ seconds: Double) -> Int64 {
        Int64((idleSeconds(seconds) + 2 * seconds + 3 * BenchTrips.patience).rounded(.up)) + 8
    }

    func run() throws(BenchFault) -> BenchReport {
        let control = try connect(.control)
        control.setTimeout(seconds: 5)
        guard control.receive(1) != nil else { throw BenchFault("the server does not accept the token", EACCES) }
        let idle = try trips(for: BenchClient.idleSeconds(seconds)).join()
        progress("idle", idle.text)
        let there = try there()
        progress("there", there.text)
        let back = try back(control)
        progress("back", back.text)
        return BenchReport(
            node: server.node, name: server.name, address: server.address, streams: streams, udpBytes: udpBytes,
            idle: idle, there: there, back: back)
    }

    private func connect(_ kind: BenchSocket.Kind, milliseconds: Int = 0) throws(BenchFault) -> BenchSocket {
        let socket = try BenchSocket.open(SOCK_STREAM, for: server.address)
        try socket.connect(to: server.address, port: server.tcpPort)
        try socket.sendAll(BenchSocket.hello(token, kind, milliseconds: milliseconds))
        return socket
    }

    private func connectAll(_ kind: BenchSocket.Kind, milliseconds: Int = 0) throws(BenchFault) -> [BenchSocket] {
        var sockets: [BenchSocket] = []
        for _ in 0..<streams { sockets.append(try connect(kind, milliseconds: milliseconds)) }
        return sockets
    }

    private func trips(for seconds: Double) throws(BenchFault) -> Background<BenchReport.Trips> {
        let socket = try BenchSocket.open(SOCK_DGRAM, for: server.address)
        try socket.connect(to: server.address, port: server.udpPort)
        let trips = BenchTrips(socket: socket, token: token, bytes: udpBytes)
        return Background { trips.run(for: seconds) }
    }

    private func there() throws(BenchFault) -> BenchReport.Way {
        let sockets = try connectAll(.there)
        let start = monotonicSeconds(), end = start + seconds
        let trips = try trips(for: seconds)
        let loads = sockets.map { socket in
            socket.setTimeout(seconds: 0.2)
            return Background { socket.flood { monotonicSeconds() < end } }
        }
        let bytes = { sockets.reduce(0) { $0 + $1.tcpInfo.acknowledged } }
        watch("there", from: start, bytes)
        let count = bytes(), time = monotonicSeconds() - start
        let retransmits = sockets.reduce(0) { $0 + $1.tcpInfo.retransmits }
        for load in loads { load.join() }
        for socket in sockets { socket.abandon() }
        return BenchReport.Way(bytes: count, seconds: time, retransmits: retransmits, trips: trips.join())
    }

    private func back(_ control: BenchSocket) throws(BenchFault) -> BenchReport.Way {
        // A little longer than the measurement, so that it does not end early.
        let sockets = try connectAll(.back, milliseconds: Int(seconds * 1000) + 500)
        let start = monotonicSeconds(), end = start + seconds
        let trips = try trips(for: seconds)
        let sum = SharedCount()
        let loads = sockets.map { socket in
            socket.setTimeout(seconds: 0.2)
            return Background {
                socket.drain { count in
                    sum.add(count)
                    return monotonicSeconds() < end
                }
                socket.abandon()
                shutdown(socket.raw, Int32(SHUT_RDWR))
            }
        }
        watch("back", from: start) { sum.value }
        let count = sum.value, time = monotonicSeconds() - start
        for load in loads { load.join() }
        let result = trips.join()
        try control.sendAll([1])
        guard let answer = control.receive(8) else { throw BenchFault("the server has ended early", ECONNRESET) }
        let retransmits = answer.reduce(0) { $0 << 8 | UInt64($1) }
        return BenchReport.Way(bytes: count, seconds: time, retransmits: Int(clamping: retransmits), trips: result)
    }

    /// Waits until the end of a direction, and reports each second.
    private func watch(_ name: String, from start: Double, _ bytes: () -> Int) {
        var last = (time: start, bytes: bytes())
        for second in 1...max(1, Int(seconds.rounded(.up))) {
            let until = min(start + Double(second), start + seconds)
            usleep(UInt32(max(0, until - monotonicSeconds()) * 1e6))
            let now = (time: monotonicSeconds(), bytes: bytes())
            let rate = Double(now.bytes - last.bytes) * 8 / max(1e-6, now.time - last.time)
            progress(name, "\(second)s  \(Units.rate(bitsPerSecond: rate))")
            last = now
        }
    }
}

/// Round trips of UDP at a steady pace.
struct BenchTrips {
    let socket: BenchSocket
    let token: [UInt8]
    let bytes: Int

    /// The token and a number.
    static let leastBytes = BenchSocket.tokenCount + 8
    /// How long an answer may take.
    static let patience = 1.0

    func run(for seconds: Double) -> BenchReport.Trips {
        let start = monotonicSeconds(), end = start + seconds
        // When each was sent; `nil` once it has come back. Of a returned datagram only its number is used.
        var sentAt: [Double?] = []
        var times: [Int64] = []
        var buffer = [UInt8](repeating: 0, count: 9000)
        while true {
            let now = monotonicSeconds()
            let next = start + Double(sentAt.count) * BenchClient.tripsEvery
            if next < end, next <= now {
                sentAt.append(monotonicSeconds())
                send(number: sentAt.count - 1)
                continue
            }
            let isLast = next >= end
            if isLast, times.count == sentAt.count || now >= end + BenchTrips.patience { break }
            guard let number = receive(into: &buffer, until: isLast ? end + BenchTrips.patience : next) else {
                continue
            }
            let arrival = monotonicSeconds()
            guard number < sentAt.count, let time = sentAt[number] else { continue }
            sentAt[number] = nil
            times.append(Int64((arrival - time) * 1e6))
        }
        return BenchReport.Trips(sent: sentAt.count, microseconds: times)
    }

    private func send(number: Int) {
        var datagram = token + (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - $0 * 8)) }
        datagram += [UInt8](repeating: 0, count: max(0, bytes - datagram.count))
        // A datagram that the kernel refuses counts as lost.
        _ = Foundation.send(socket.raw, datagram, datagram.count, Int32(MSG_NOSIGNAL))
    }

    private func receive(into buffer: inout [UInt8], until: Double) -> Int? {
        var wait = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
        // Rounded up: a datagram that leaves a millisecond late is better than a loop that spins.
        let left = Int32(max(0, until - monotonicSeconds()) * 1000) + 1
        guard poll(&wait, 1, left) > 0 else { return nil }
        let count = recv(socket.raw, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        guard count >= BenchTrips.leastBytes, buffer.starts(with: token) else { return nil }
        let number = buffer[BenchSocket.tokenCount..<BenchTrips.leastBytes].reduce(0) { $0 << 8 | UInt64($1) }
        return Int(clamping: number)
    }
}

/// A thread and its result.
final class Background<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    private let done = DispatchSemaphore(value: 0)

    init(_ body: @escaping @Sendable () -> Value) {
        Thread.detachNewThread {
            let result = body()
            self.value.withLock { $0 = result }
            self.done.signal()
        }
    }

    /// To be called once.
    @discardableResult
    func join() -> Value {
        done.wait()
        // Signalled after it was set.
        return value.withLock { $0 }!
    }
}

/// A sum that several threads add to.
final class SharedCount: Sendable {
    private let count = Atomic(0)

    var value: Int { count.load(ordering: .relaxed) }
    func add(_ more: Int) { count.add(more, ordering: .relaxed) }
}
