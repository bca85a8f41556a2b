import Base
import Noise
import Wire

/// # One encrypted session with one peer
///
/// A session is a row of *keypairs*: pairs of keys, each made by one handshake. Two are alive at a time, the current one,
/// with which this node seals, and the previous one, whose datagrams may still be in flight. A keypair of a handshake that
/// this node answered waits as *pending* until the peer has sealed something with it: only that proves that the first message
/// was no recording, and until then the session does not change.
///
/// ```
///   initiator:  first message ──→            ──→ second message received: current, the old one becomes previous
///   responder:  first message received: pending ──→ first frames under it: current, the old one becomes previous
/// ```
///
/// The session knows no addresses and no frames. It is a class because keys must not be copied and because a hundred
/// thousand sessions in one array must not be moved by a write to one.
final class Session {
    private(set) var current: Keypair?
    private(set) var previous: Keypair?
    /// Answered and not yet confirmed, the newest last. Two, because both ends may start at once while one is replayed.
    private(set) var pending: [Keypair] = []
    var initiation: Initiation?

    static let pendingLimit = 2
    /// An honest peer confirms within a round trip; this limit is generous.
    static let pendingLife = Interval.seconds(30)

    /// The keypair that an index belongs to, pending ones included.
    func keypair(of index: UInt32) -> Keypair? {
        if let current, current.localIndex == index { return current }
        if let previous, previous.localIndex == index { return previous }
        return pending.first { $0.localIndex == index }
    }

    /// All keypairs whose keys this node may open datagrams with.
    var keypairs: [Keypair] { [current, previous].compactMap { $0 } + pending }

    /// Adds an answered keypair; the indices that it displaces are to be released.
    func answer(_ keypair: Keypair) -> [UInt32] {
        var displaced: [UInt32] = []
        while pending.count >= Session.pendingLimit { displaced.append(pending.removeFirst().localIndex) }
        pending.append(keypair)
        return displaced
    }

    /// Seals with `keypair` from now on; the indices of keypairs that are too old are to be released. The peer will no longer
    /// confirm keypairs that were answered earlier. If the keypair has another association, all earlier keypairs end:
    /// otherwise a late datagram of the peer's former life would count as a current one.
    func promote(_ keypair: Keypair) -> [UInt32] {
        var displaced: [UInt32] = []
        if let position = pending.firstIndex(where: { $0 === keypair }) {
            displaced += pending[..<position].map(\.localIndex)
            pending.removeFirst(position + 1)
        }
        if let previous { displaced.append(previous.localIndex) }
        previous = current
        if let last = previous, last.hello.association != keypair.hello.association {
            displaced.append(last.localIndex)
            previous = nil
        }
        current = keypair
        return displaced
    }

    /// Drops keypairs that are older than `life`, and returns the indices to release.
    func expire(_ now: Instant, life: Interval) -> [UInt32] {
        var released: [UInt32] = []
        if let keypair = previous, now - keypair.createdAt >= life {
            released.append(keypair.localIndex)
            previous = nil
        }
        if let keypair = current, now - keypair.createdAt >= life {
            released.append(keypair.localIndex)
            current = nil
        }
        released += pending.filter { now - $0.createdAt >= Session.pendingLife }.map(\.localIndex)
        pending.removeAll { now - $0.createdAt >= Session.pendingLife }
        return released
    }

    /// Nothing was sent for a while: keeps only what is needed to continue.
    func rest() {
        for keypair in [previous, current] { keypair?.rest() }
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
