package import Base
import Noise

/// # How long a mapping lives
///
/// Each of several sockets makes a mapping at the same moment and then sends nothing. After 20, 45, 90, 170 and 290
/// seconds another socket asks the server to answer to the outside port of one of them (RFC 5780, section 4.6): if the
/// answer arrives, the mapping was there. A mapping cannot be tested twice, since the answer itself may refresh it. With one
/// socket for each wait, the whole test lasts as long as the longest wait, or until the first that fails.
///
/// ```
///  socket 1..5 ─ who am I? ─→ S          mapped to p1 .. p5
///  socket 0 ── answer to port p2! ──→ S ──→ p2 ──→ socket 2?          at 45 s
/// ```
///
/// Before silence counts as a result, a sixth socket's mapping is tried at once. So a server that does not answer to other
/// ports, and a NAT with several outside addresses, are not mistaken for a short lifetime. With each trial a plain request is
/// sent too, so that a dead connection is not mistaken for one either.
package struct LifetimeDiscovery: ~Copyable {
    /// The common lifetimes of NATs (30 and 180 s in Linux, 60, 120 and 300 s in others) lie between these.
    package static let waits: [Interval] = [20, 45, 90, 170, 290].map { .seconds($0) }
    /// Sockets that the driver opens, numbered from 0.
    package static let sockets = waits.count + 2
    private static let trialSocket = UInt16(waits.count + 1)

    private enum Purpose: Hashable {
        case open(UInt16)
        /// The answer goes to that socket.
        case reach(UInt16)
        /// A plain request, sent with the trial of that socket.
        case plain(UInt16)
    }

    private enum Outcome: Hashable {
        case waiting, open, answered, silent
    }

    private var transactions: STUNTransactions<Purpose>
    private let server: SocketAddress
    /// By socket.
    private var mapped: [SocketAddress?] = Array(repeating: nil, count: sockets)
    private var outcomes: [Outcome] = Array(repeating: .waiting, count: sockets)
    private var plainReceived: [Bool] = Array(repeating: false, count: sockets)
    private let startedAt: Instant
    private var nextWait = 0
    /// The result; `nil` while it runs.
    package private(set) var result: NATFinding<NATLifetime>?

    /// Begins at once. `server` is one that answered a NAT discovery.
    package init(server: SocketAddress, seed: Seed, now: Instant, into out: inout DatagramBatch) {
        self.server = server
        startedAt = now
        transactions = STUNTransactions(seed)
        for socket in 1..<UInt16(LifetimeDiscovery.sockets) {
            transactions.ask(.open(socket), from: socket, to: server, now: now, into: &out)
        }
    }

    package var deadline: Deadline? {
        guard result == nil else { return nil }
        var times = [transactions.deadline].compactMap { $0 }
        if isTried, nextWait < LifetimeDiscovery.waits.count {
            times.append(startedAt + LifetimeDiscovery.waits[nextWait])
        }
        return times.min().map { Deadline($0, "NAT discovery: the life of a mapping") }
    }

    /// The server answers to other ports, and the NAT lets it.
    private var isTried: Bool { outcomes[Int(LifetimeDiscovery.trialSocket)] == .answered }

    package mutating func received(_ batch: inout DatagramBatch, now: Instant, into out: inout DatagramBatch) {
        for index in 0..<batch.count where result == nil {
            let entry = batch.entries[index]
            take(batch.bytes(at: index), on: entry.socket, from: entry.remote, now: now, into: &out)
        }
    }

    package mutating func tick(now: Instant, into out: inout DatagramBatch) {
        guard result == nil else { return }
        for question in transactions.tick(now: now, into: &out) {
            switch question.purpose {
            case .open(let socket):
                if socket == LifetimeDiscovery.trialSocket { result = .unknown(.noAnswer) }
            case .reach(let socket): outcomes[Int(socket)] = .silent
            case .plain: break
            }
        }
        conclude()
        guard result == nil, isTried else { return }
        while nextWait < LifetimeDiscovery.waits.count, startedAt + LifetimeDiscovery.waits[nextWait] <= now {
            reach(UInt16(nextWait + 1), now: now, into: &out)
            nextWait += 1
        }
        conclude()
    }

    private mutating func take(
        _ bytes: [UInt8], on socket: UInt16, from remote: SocketAddress, now: Instant, into out: inout DatagramBatch
    ) {
        guard let message = try? STUNMessage(decoding: bytes), message.messageClass != .request,
            let question = transactions.pending.first(where: { $0.id == message.transaction }), remote == server
        else { return }
        switch question.purpose {
        case .open(let opened):
            guard socket == opened, let address = message.mapped else { return }
            mapped[Int(opened)] = address
            outcomes[Int(opened)] = .open
            if opened == LifetimeDiscovery.trialSocket { reach(opened, now: now, into: &out) }
        case .reach(let target):
            // To the socket that asked: the server does not support the request, or reports that.
            guard socket == target else {
                result = .unknown(.notServed)
                return
            }
            outcomes[Int(target)] = .answered
        case .plain(let target):
            guard socket == 0 else { return }
            plainReceived[Int(target)] = true
        }
        _ = transactions.finish(message.transaction)
        conclude()
    }

    private mutating func reach(_ socket: UInt16, now: Instant, into out: inout DatagramBatch) {
        // A mapping whose creation was not confirmed shows nothing.
        guard let port = mapped[Int(socket)]?.port else { return }
        transactions.ask(.reach(socket), [.responsePort(port)], from: 0, to: server, now: now, into: &out)
        transactions.ask(.plain(socket), from: 0, to: server, now: now, into: &out)
    }

    private mutating func conclude() {
        guard result == nil else { return }
        let trial = Int(LifetimeDiscovery.trialSocket)
        if outcomes[trial] == .silent {
            result = .unknown(plainReceived[trial] ? .notServed : .noAnswer)
            return
        }
        var longest: Interval?
        for (place, wait) in LifetimeDiscovery.waits.enumerated() {
            switch outcomes[place + 1] {
            case .answered: longest = wait
            case .silent:
                // The connection was dead meanwhile; the earlier waits still count.
                result =
                    plainReceived[place + 1]
                    ? .known(NATLifetime(atLeast: longest ?? .zero, below: wait)) : LifetimeDiscovery.atLeast(longest)
                return
            // The creation of its mapping was not confirmed.
            case .waiting where place < nextWait: continue
            case .open, .waiting: return
            }
        }
        result = LifetimeDiscovery.atLeast(longest)
    }

    private static func atLeast(_ wait: Interval?) -> NATFinding<NATLifetime> {
        wait.map { .known(NATLifetime(atLeast: $0, below: nil)) } ?? .unknown(.noAnswer)
    }
}
