import Base
import Noise

/// Requests that wait for their answers. Each is sent again after 100 ms, and then after twice as long each time, until it
/// is answered or three seconds are over: five transmissions, so that almost every request is answered even if a fifth of all
/// datagrams is lost.
///
/// The schedule is quicker than RFC 8489's (500 ms first, 39.5 s in all), which is for servers that a call depends on; a
/// discovery sends many small requests, and a person waits for it.
struct STUNTransactions<Purpose: Hashable & Sendable>: ~Copyable {
    struct Pending {
        let purpose: Purpose
        let id: STUNMessage.TransactionID
        let socket: UInt16
        let remote: SocketAddress
        var isSentOnce: Bool { sends == 1 }
        fileprivate(set) var startedAt: Instant
        fileprivate var sends = 1
        fileprivate var nextAt: Instant
        fileprivate var bytes: [UInt8]
    }

    private var generator: KeyGenerator
    private(set) var pending: [Pending] = []

    /// Waits before the second send.
    static var firstWait: Interval { .milliseconds(100) }
    /// After so long without an answer the request has failed.
    static var budget: Interval { .seconds(3) }

    init(_ seed: Seed) { generator = KeyGenerator(seed) }

    var isEmpty: Bool { pending.isEmpty }
    var deadline: Instant? { pending.map { min($0.nextAt, $0.startedAt + Self.budget) }.min() }

    /// Sends a request; the answer is matched by its transaction.
    mutating func ask(
        _ purpose: Purpose, _ attributes: [STUNMessage.Attribute] = [], from socket: UInt16, to remote: SocketAddress,
        now: Instant, into out: inout DatagramBatch
    ) {
        let id = STUNMessage.TransactionID(high: generator.uint32(), low: generator.uint64())
        let bytes = STUNMessage(.request, id, attributes).encoded()
        out.append(bytes, remote: remote, socket: socket)
        pending.append(
            Pending(
                purpose: purpose, id: id, socket: socket, remote: remote, startedAt: now,
                nextAt: now + Self.firstWait, bytes: bytes))
    }

    /// The request with that transaction, which is over.
    mutating func finish(_ id: STUNMessage.TransactionID) -> Pending? {
        guard let index = pending.firstIndex(where: { $0.id == id }) else { return nil }
        return pending.remove(at: index)
    }

    /// Those that went to an address, which are over.
    mutating func finish(to remote: SocketAddress) -> [Pending] {
        let found = pending.filter { $0.remote == remote }
        pending.removeAll { $0.remote == remote }
        return found
    }

    /// Repeats requests that are due, and returns those that have failed.
    mutating func tick(now: Instant, into out: inout DatagramBatch) -> [Pending] {
        let silent = pending.filter { now - $0.startedAt >= Self.budget }
        pending.removeAll { now - $0.startedAt >= Self.budget }
        for index in pending.indices where pending[index].nextAt <= now {
            out.append(pending[index].bytes, remote: pending[index].remote, socket: pending[index].socket)
            pending[index].nextAt = now + Self.firstWait * Int64(1 << pending[index].sends)
            pending[index].sends += 1
        }
        return silent
    }
}
