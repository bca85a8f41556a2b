import Base
import Noise
import Wire

/// A node's end of one allocation: asks for it, binds it, and keeps it bound.
///
/// ```
///   connecting ─ session → asking ── allocation ──→ binding ── bound ──→ bound ──┐ a third of the bind's life, another address,
///     ↑                      │ refused          ↑                         │ an unsolicited challenge
///     └── session lost ──────┴──────────────────┴─────────────────────────┘
/// ```
struct RelayClient {
    enum State: Hashable {
        case connecting(again: Instant)
        case asking(again: Instant)
        case refused(until: Instant)
        case binding(again: Instant, attempts: Int)
        case bound(until: Instant)
    }

    let relay: NodeID
    private(set) var state: State
    /// Where the relay is tried.
    private(set) var location: ControllerAddress
    /// Kept for this node itself; else only as long as a peer is reached through it.
    private(set) var isHome: Bool
    /// Failed attempts at a session, in a row.
    private(set) var attempts = 0
    private(set) var allocation: UInt32?
    /// The allocation has not been bound yet at the node's current address; a renewed bind does not set this.
    private(set) var isNew = false
    /// Peers know of this allocation.
    private(set) var isAnnounced = false
    /// The path of the session: how the relay is reached.
    private(set) var path: PathAddress?
    /// The former path, until the allocation is bound at the node's current address.
    private(set) var leaving: PathAddress?
    /// When to ask where the relay has allocations itself, if it has not answered by then; and when that was asked last.
    private(set) var relayChainAt: Instant?
    private(set) var relayChainedAt: Instant?
    private var key: BindKey?
    private var challenge = BindMessage.none
    private var number: UInt64 = 0

    private static let patience = Interval.milliseconds(250)
    private static let askAgain = Interval.milliseconds(500)
    private static let patienceMax = Interval.seconds(5)
    private static let reconnectAfter = Interval.seconds(1)
    private static let refusedWait = Interval.seconds(60)
    static let renewAfter = Relay.bindLife / 3
    private static let relayChainAfter = Interval.milliseconds(300)
    private static let relayChainRetry = Interval.seconds(3)

    init(_ place: ControllerAddress, isHome: Bool, now: Instant) {
        relay = place.node
        location = place
        self.isHome = isHome
        state = .connecting(again: now)
    }

    var isBound: Bool { if case .bound = state { true } else { false } }

    /// The allocation that is announced to peers. It stays while the allocation is bound again, which takes one round trip. A
    /// node that reaches the relay only by TCP announces the relay's address for others. An allocation at a relay that is
    /// behind another one is not announced: a peer that used it would need both hops.
    var place: RelayedAddress? {
        guard isAnnounced, let allocation, let path, !path.isRelayed else { return nil }
        guard let address = path.isTCP ? location.addresses.first : path.remote else { return nil }
        return RelayedAddress(relay: relay, address: address, allocation: allocation)
    }

    var deadline: Instant {
        switch state {
        case .connecting(let again): min(again, relayChainAt ?? again)
        case .asking(let again), .binding(let again, _): again
        case .refused(let until), .bound(let until): until
        }
    }

    // MARK: - What happens

    /// The relay has another address.
    mutating func relocated(to place: ControllerAddress) { location = place }

    /// True if the role has changed.
    mutating func setHome(_ isHome: Bool) -> Bool {
        defer { self.isHome = isHome }
        return isHome != self.isHome
    }

    /// True the first time that the allocation is bound at the node's current address.
    mutating func openedPath() -> Bool {
        defer { isNew = false }
        return isNew
    }

    /// True the first time that the allocation is bound in this session: it may be announced to peers.
    mutating func announced() -> Bool {
        defer { isAnnounced = true }
        return !isAnnounced
    }

    /// Returns, once, the longer path by which the relay was reached until now.
    mutating func takeLeaving() -> PathAddress? {
        defer { leaving = nil }
        return leaving
    }

    /// The longer path stays in use until the allocation is bound to the new one.
    mutating func keep(_ path: PathAddress) { leaving = path }

    /// There is a session (again).
    mutating func connected(at path: PathAddress, now: Instant) {
        self.path = path
        leaving = nil
        isNew = true
        attempts = 0
        (relayChainAt, relayChainedAt) = (nil, nil)
        allocation = nil
        key = nil
        isAnnounced = false
        state = .asking(again: now)
    }

    mutating func disconnected(now: Instant) {
        state = .connecting(again: now + RelayClient.reconnectAfter)
        allocation = nil
        key = nil
        path = nil
        leaving = nil
        isAnnounced = false
    }

    /// A peer can be reached only through it.
    mutating func missed(now: Instant) {
        guard case .connecting = state, relayChainAt == nil, attempts > 0 else { return }
        relayChainAt = max(now, relayChainedAt.map { $0 + RelayClient.relayChainRetry } ?? now)
    }

    /// The relay is tried through other relays from now on.
    mutating func isRelayChained(now: Instant) {
        relayChainedAt = now
        relayChainAt = now + RelayClient.relayChainRetry
    }

    mutating func granted(_ allocation: UInt32, key bytes: [UInt8], challenge: [UInt8], now: Instant) {
        guard case .asking = state, let key = BindKey(bytes) else { return }
        self.allocation = allocation
        self.key = key
        self.challenge = challenge
        number = 0
        state = .binding(again: now, attempts: 0)
    }

    mutating func refused(now: Instant) {
        guard case .asking = state else { return }
        state = .refused(until: now + RelayClient.refusedWait)
    }

    /// A datagram of kind 9. Whether the allocation is bound by it; `nil` if it is no answer to this node.
    mutating func answered(_ datagram: [UInt8], now: Instant) -> Bool? {
        guard let answer = BindMessage(datagram), answer.allocation == allocation, let key, key.isValid(datagram) else {
            return nil
        }
        if answer.challenge != BindMessage.none {
            // A challenge: for this node's bind, or because the relay sees this node at another address.
            guard answer.number == 0 || answer.number == number else { return nil }
            challenge = answer.challenge
            state = .binding(again: now, attempts: 0)
            return false
        }
        guard case .binding = state, answer.number == number else { return nil }
        state = .bound(until: now + RelayClient.renewAfter)
        return true
    }

    /// The session with the relay has another path. The allocation is bound again there.
    mutating func rerouted(to path: PathAddress, now: Instant) {
        self.path = path
        leaving = nil
        moved(now: now)
    }

    /// The node is seen at another address.
    mutating func moved(now: Instant) {
        isNew = true
        if case .bound = state { state = .binding(again: now, attempts: 0) }
    }

    enum Work: Hashable {
        case connect
        /// It does not answer: checks whether it can be reached over another relay.
        case relayChain
        /// A request in the session.
        case ask
        /// A datagram to the relay's address.
        case bind([UInt8])
    }

    /// What is due, if anything is.
    mutating func due(now: Instant) -> Work? {
        guard deadline <= now else { return nil }
        switch state {
        case .connecting(let again):
            if again > now {
                relayChainAt = nil
                return .relayChain
            }
            state = .connecting(again: now + .seconds(10))
            attempts += 1
            relayChainAt = relayChainAt ?? now + RelayClient.relayChainAfter
            return .connect
        case .refused, .asking:
            state = .asking(again: now + RelayClient.askAgain)
            return .ask
        case .bound:
            state = .binding(again: now, attempts: 0)
            return due(now: now)
        case .binding(_, let attempts):
            guard let allocation, let key else { return nil }
            // The relay may have lost this node's allocation: its session would report that, or a new allocation helps.
            guard attempts < 8 else {
                state = .asking(again: now)
                return due(now: now)
            }
            number += 1
            let doubled = RelayClient.patience * Int64(1 << min(attempts, 5))
            state = .binding(again: now + min(doubled, RelayClient.patienceMax), attempts: attempts + 1)
            return .bind(
                BindMessage(allocation: allocation, number: number, challenge: challenge).encoded(.bind, key: key))
        }
    }
}
