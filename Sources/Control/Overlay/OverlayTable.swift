package import Base
import OrderedCollections
import Wire

/// Why nothing can be sent to an overlay address now.
package enum OverlayFailure: Error, Hashable, Sendable, CaseIterable {
    /// No node of the fleet has it.
    case noSuchAddress
    /// There is nobody to ask: the node is in no fleet, or has had no controller for some seconds.
    case noController
    /// The controller or the address's owner was asked and did not answer, or nobody knows where the owner is.
    case noAnswer
    /// The answer does not prove what it says, the owner is not to be trusted, or it is this very node.
    case refused
    /// Too many addresses are wanted already.
    case tooMany
}

/// A member's place in the overlay.
package struct OverlayPlace: Hashable, Sendable {
    /// `nil` where the controller has given none.
    package var v4: IPAddress?
    /// Where all of the fleet's IPv4 addresses are from; `nil` where the controller has not said.
    package var network4: IPPrefix?
    package var v6: IPAddress
    package var network6: IPPrefix

    package func contains(_ address: IPAddress) -> Bool { address == v6 || address == v4 }
}

/// # Packets that wait for a session
///
/// The packet path has sessions and routes and asks nobody. Where it has a packet for an overlay address and no session, it
/// says so, and goes on to drop or keep the packet as it sees fit. From then on the address is on this board, once, however
/// many packets come, until one of two things is said of it: it can be reached, or it cannot.
///
/// ```
///  wanted ──→ asking ── a node has it ──→ connecting ── session ──→ reachable
///               │                             │
///               └── nobody, or silence ───────┴──→ unreachable; a `no` is remembered for a while
/// ```
///
/// All that is on it, remembered answers too, counts against one limit. So whoever scans the whole network from here asks
/// the controller `Limits.overlayWanted` times in `memory`, and no more.
struct OverlayBoard: Sendable {
    private enum State: Hashable {
        /// `asked` times; the next time, or the end of patience with the last one, at `next`.
        case asking(asked: Int, next: Instant)
        case connecting(NodeID)
        /// Not wanted any more: what the answer was.
        case failed(OverlayFailure)
    }
    private struct Entry: Sendable {
        var state: State
        /// When it is given up, or forgotten.
        var until: Instant
    }
    private var entries = OrderedDictionary<IPAddress, Entry>()

    /// Given up after so long, whatever it waits for.
    static let patience = Interval.seconds(12)
    /// ... and after so long if there was no controller to ask.
    static let controllerPatience = Interval.seconds(5)
    /// From one question to the next, and from the last one to the end.
    static let answerPatience: [Interval] = [.seconds(1), .seconds(2), .seconds(2)]
    /// Where the question could not be queued.
    static let queuePatience = Interval.seconds(1)
    static let memory = Interval.seconds(5)

    enum Welcome: Hashable {
        case new, known
        case failed(OverlayFailure)
    }

    var isEmpty: Bool { entries.isEmpty }
    var count: Int { entries.count }

    mutating func want(_ address: IPAddress, now: Instant) -> Welcome {
        if let entry = entries[address] {
            guard case .failed(let failure) = entry.state else { return .known }
            if entry.until > now { return .failed(failure) }
            entries.removeValue(forKey: address)
        }
        guard entries.count < Limits.overlayWanted else { return .failed(.tooMany) }
        entries[address] = Entry(state: .asking(asked: 0, next: now), until: now + OverlayBoard.controllerPatience)
        return .new
    }

    /// What is due: addresses to ask the controller for, and wishes that are over. `canAsk`: there is one.
    mutating func tick(canAsk: Bool, now: Instant) -> (ask: [IPAddress], over: [(IPAddress, OverlayFailure)]) {
        var ask: [IPAddress] = [], over: [(IPAddress, OverlayFailure)] = []
        guard let first = earliest(canAsk: canAsk), first <= now else { return (ask, over) }
        for index in entries.elements.indices {
            let (address, entry) = entries.elements[index]
            switch entry.state {
            case .asking(let asked, let next) where entry.until > now:
                guard canAsk, next <= now else { continue }
                if asked < OverlayBoard.answerPatience.count {
                    ask.append(address)
                } else {
                    over.append((address, .noAnswer))
                    entries.values[index].until = now
                }
            case .asking(let asked, _): over.append((address, asked == 0 ? .noController : .noAnswer))
            case .connecting: if entry.until <= now { over.append((address, .noAnswer)) }
            case .failed: break
            }
        }
        entries.removeAll { $0.value.until <= now }
        return (ask, over)
    }

    /// A question was put, or could not be.
    mutating func asked(_ address: IPAddress, isSent: Bool, now: Instant) {
        guard let entry = entries[address], case .asking(let asked, _) = entry.state else { return }
        guard isSent else {
            entries[address]?.state = .asking(asked: asked, next: now + OverlayBoard.queuePatience)
            return
        }
        if asked == 0 {
            // The time without a controller counts too.
            let rest = OverlayBoard.patience - OverlayBoard.controllerPatience
            entries[address]?.until = entry.until + rest
        }
        entries[address]?.state = .asking(asked: asked + 1, next: now + OverlayBoard.answerPatience[asked])
    }

    func isAsking(_ address: IPAddress) -> Bool {
        if case .asking = entries[address]?.state { true } else { false }
    }

    /// The owner is known and a session is being made.
    mutating func connecting(_ address: IPAddress, to node: NodeID) { entries[address]?.state = .connecting(node) }

    /// The addresses that wait for a session with `node`.
    func waiting(for node: NodeID) -> [IPAddress] {
        entries.elements.filter { $0.value.state == .connecting(node) }.map(\.key)
    }

    /// True if it was wanted.
    mutating func reached(_ address: IPAddress) -> Bool {
        guard let entry = entries.removeValue(forKey: address) else { return false }
        if case .failed = entry.state { return false }
        return true
    }

    /// Takes a wanted address off the board; with `isAnswer` it is remembered that it was in vain.
    mutating func failed(_ address: IPAddress, _ failure: OverlayFailure, isAnswer: Bool, now: Instant) {
        guard isAnswer else {
            entries.removeValue(forKey: address)
            return
        }
        entries[address] = Entry(state: .failed(failure), until: now + OverlayBoard.memory)
    }

    func deadline(canAsk: Bool) -> Deadline? {
        earliest(canAsk: canAsk).map { Deadline($0, "overlay address") }
    }

    private func earliest(canAsk: Bool) -> Instant? {
        var first: Instant?
        for entry in entries.values {
            var time = entry.until
            if canAsk, case .asking(_, let next) = entry.state { time = min(time, next) }
            first = first.map { min($0, time) } ?? time
        }
        return first
    }
}
