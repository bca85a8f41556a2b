package import Base
import OrderedCollections
import Wire

/// # The checks of a first message before a Diffie-Hellman
///
/// Answering a first message takes four scalar multiplications, some 150 us; an unauthenticated peer can send a thousand in the
/// time of one. So, as WireGuard does: while few arrive, all are answered; above `Limits.handshakesUnloaded` per second, a
/// source must first send back a cookie, which proves that it receives what is sent to its address, and then gets 20 answers
/// a second with a burst of 5. And a first message is answered once: its ephemeral key is remembered, so a recorded one that
/// is played again is dropped before any arithmetic.
package struct HandshakeGate: Sendable {
    package enum Verdict: Hashable, Sendable {
        case admit, demandCookie, rateLimited
    }

    private var windowStart = Instant.origin
    private var inWindow: UInt64 = 0
    private var inLastWindow: UInt64 = 0
    private var buckets = OrderedDictionary<IPAddress, TokenBucket>()
    /// Ephemeral keys of authentic first messages, oldest overwritten first.
    private var seen = Table<NodeID, Bool>()
    private var ring: [NodeID] = []
    private var ringNext = 0
    private let memory: Int

    /// `memory`: how many ephemeral keys are remembered.
    package init(memory: Int = 8192) { self.memory = memory }

    /// Counts an arrival and returns whether to process it.
    package mutating func admit(from source: IPAddress, hasCookie: Bool, now: Instant) -> Verdict {
        count(now)
        guard inWindow > Limits.handshakesUnloaded || inLastWindow > Limits.handshakesUnloaded else { return .admit }
        guard hasCookie else { return .demandCookie }
        return take(source, now) ? .admit : .rateLimited
    }

    package func hasSeen(_ ephemeral: NodeID) -> Bool { seen[ephemeral] != nil }

    /// Remembers the ephemeral key of an authentic first message.
    package mutating func remember(_ ephemeral: NodeID) {
        guard seen[ephemeral] == nil else { return }
        if ring.count < memory {
            ring.append(ephemeral)
        } else {
            seen.remove(ring[ringNext])
            ring[ringNext] = ephemeral
            ringNext = (ringNext + 1) % memory
        }
        seen[ephemeral] = true
    }

    private mutating func count(_ now: Instant) {
        let age = now - windowStart
        if age >= .seconds(1) {
            inLastWindow = age >= .seconds(2) ? 0 : inWindow
            inWindow = 0
            windowStart = now
        }
        inWindow += 1
    }

    private mutating func take(_ source: IPAddress, _ now: Instant) -> Bool {
        var bucket =
            buckets[source]
            ?? TokenBucket(
                perSecond: Int64(Limits.handshakesPerSecond), burst: Int64(Limits.handshakeBurst), now: now)
        let admitted = bucket.take(now: now)
        if buckets[source] == nil, buckets.count >= Limits.handshakeSources { forgetFull(now) }
        buckets[source] = bucket
        return admitted
    }

    /// Buckets that are full again hold no information and are removed; if there are none, all are removed.
    private mutating func forgetFull(_ now: Instant) {
        buckets.removeAll { entry in
            var bucket = entry.value
            return bucket.isFull(now)
        }
        if buckets.count >= Limits.handshakeSources { buckets.removeAll() }
    }
}
