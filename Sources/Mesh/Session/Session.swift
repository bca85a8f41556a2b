import Base
import Noise
import Wire

/// # One encrypted session with one peer
///
/// A session is a row of *epochs*: pairs of keys, each made by one handshake. Two are alive at a time, the current one,
/// with which this node seals, and the one before, whose datagrams may still be on their way. An epoch of a handshake
/// that this node answered waits as *pending* until the peer has sealed something with it: only that proves that the
/// first message was no recording, and until then nothing of the session has changed.
///
/// ```
///   initiator:  first message ──→            ──→ second message received: current, the old one becomes previous
///   responder:  first message received: pending ──→ first frames under it: current, the old one becomes previous
/// ```
///
/// The session knows no addresses and no frames. It is a class because keys must not be copied and because a hundred
/// thousand sessions in one array must not be moved by a write to one.
final class Session {
    private(set) var current: Epoch?
    private(set) var previous: Epoch?
    /// Answered and not yet confirmed, the newest last. Two, because both ends may start at once while one is replayed.
    private(set) var pending: [Epoch] = []
    var initiation: Initiation?

    static let pendingLimit = 2
    /// A peer that means it confirms within a round trip; this is a patient one.
    static let pendingLife = Interval.seconds(30)

    /// The epoch that an index belongs to, pending ones included.
    func epoch(of index: UInt32) -> Epoch? {
        if let current, current.localIndex == index { return current }
        if let previous, previous.localIndex == index { return previous }
        return pending.first { $0.localIndex == index }
    }

    /// All epochs whose keys this node may open datagrams with.
    var epochs: [Epoch] { [current, previous].compactMap { $0 } + pending }

    /// Adds an answered epoch; the indices that it displaces are to be released.
    func answer(_ epoch: Epoch) -> [UInt32] {
        var displaced: [UInt32] = []
        while pending.count >= Session.pendingLimit { displaced.append(pending.removeFirst().localIndex) }
        pending.append(epoch)
        return displaced
    }

    /// Seals with `epoch` from here on; the indices of epochs that are too old are to be released. What was answered
    /// before it the peer will not confirm any more. And where it is of another association, all before it is over: a
    /// late datagram of the peer's former life would be taken for one of the present.
    func promote(_ epoch: Epoch) -> [UInt32] {
        var displaced: [UInt32] = []
        if let position = pending.firstIndex(where: { $0 === epoch }) {
            displaced += pending[..<position].map(\.localIndex)
            pending.removeFirst(position + 1)
        }
        if let previous { displaced.append(previous.localIndex) }
        previous = current
        if let last = previous, last.hello.association != epoch.hello.association {
            displaced.append(last.localIndex)
            previous = nil
        }
        current = epoch
        return displaced
    }

    /// Drops what is older than `life`, and gives back the indices to release.
    func expire(_ now: Instant, life: Interval) -> [UInt32] {
        var released: [UInt32] = []
        if let epoch = previous, now - epoch.createdAt >= life {
            released.append(epoch.localIndex)
            previous = nil
        }
        if let epoch = current, now - epoch.createdAt >= life {
            released.append(epoch.localIndex)
            current = nil
        }
        released += pending.filter { now - $0.createdAt >= Session.pendingLife }.map(\.localIndex)
        pending.removeAll { now - $0.createdAt >= Session.pendingLife }
        return released
    }

    /// Nothing is said for a while: keeps what it takes to go on, and little else.
    func rest() {
        for epoch in [previous, current] { epoch?.rest() }
    }

    /// All indices, when the session ends.
    var indices: [UInt32] {
        var all = pending.map(\.localIndex)
        if let current { all.append(current.localIndex) }
        if let previous { all.append(previous.localIndex) }
        if let initiation { all.append(initiation.index) }
        return all
    }

    /// When `expire` has something to do next.
    func expiry(life: Interval) -> Instant? {
        [
            previous.map { $0.createdAt + life }, current.map { $0.createdAt + life },
            pending.first.map { $0.createdAt + Session.pendingLife },
        ].compactMap { $0 }.min()
    }
}

/// The keys of one handshake.
final class Epoch {
    let localIndex: UInt32
    let remoteIndex: UInt32
    let createdAt: Instant
    /// The initiator makes new keys when these are old; the responder only if nobody else does.
    let isInitiator: Bool
    let handshakeHash: [UInt8]
    /// What the peer said of itself in this handshake.
    let hello: PeerHello
    var keys: TransportKeys
    /// The data plane's keys of the same handshake, until they are given to it.
    var dataKeys: CipherStates?
    /// The data plane's counter of the packet by which the peer was seen to have moved last.
    var movedAt: UInt64 = 0
    private var window = ReplayWindow()
    private(set) var highest: UInt64 = 0

    enum Opened {
        /// `isNewest`: no datagram with a higher counter came before, so its source is where the peer is.
        case fresh(isNewest: Bool)
        case forged
        case replayed
    }

    init(
        localIndex: UInt32, remoteIndex: UInt32, isInitiator: Bool, handshakeHash: [UInt8], hello: PeerHello,
        keys: consuming TransportKeys, createdAt: Instant
    ) {
        self.localIndex = localIndex
        self.remoteIndex = remoteIndex
        self.isInitiator = isInitiator
        self.handshakeHash = handshakeHash
        self.hello = hello
        self.keys = keys
        self.createdAt = createdAt
    }

    fileprivate func rest() {
        keys.rest()
        window.rest()
    }

    /// Opens `sealed`, ciphertext and tag, in place.
    func open(_ sealed: UnsafeMutableRawBufferPointer, counter: UInt64, header: UnsafeRawBufferPointer) -> Opened {
        // The window says no before the cipher is asked, and learns the counter only after it said yes.
        guard window.wouldAccept(counter) else { return .replayed }
        guard keys.open(sealed, counter: counter, aad: header) else { return .forged }
        keys.wake()
        guard window.accept(counter) else { return .replayed }
        let isNewest = counter >= highest
        highest = max(highest, counter)
        return .fresh(isNewest: isNewest)
    }
}

/// What a handshake told of the peer.
struct PeerHello {
    var association: UInt64
    /// `nil`: the peer has none yet.
    var certificate: Certificate?
}

/// A handshake that this node has begun and that was not answered yet.
final class Initiation {
    let index: UInt32
    let startedAt: Instant
    var attempts = 0
    var nextAt: Instant
    /// First messages that may still be answered, the newest last. On a path whose round trip is longer than the wait for
    /// an answer, the answer is to an earlier one than the last.
    private var waiting: [Attempt] = []

    private static let waitingLimit = 4

    /// One first message.
    final class Attempt {
        let sentAt: Instant
        /// Taken while an answer is read, which consumes it.
        var state: HandshakeState?

        init(_ state: consuming HandshakeState, sentAt: Instant) {
            self.state = consume state
            self.sentAt = sentAt
        }
    }

    init(index: UInt32, now: Instant) {
        self.index = index
        startedAt = now
        nextAt = now
    }

    func sent(_ state: consuming HandshakeState, now: Instant) {
        if waiting.count == Initiation.waitingLimit { waiting.removeFirst() }
        waiting.append(Attempt(state, sentAt: now))
    }

    /// Lets `read` try the attempts, the newest first, until it takes one.
    func answer<Result>(_ read: (Attempt) -> Result?) -> Result? {
        for attempt in waiting.reversed() {
            if let result = read(attempt) { return result }
        }
        return nil
    }

    var isUnsent: Bool { waiting.isEmpty }
}
