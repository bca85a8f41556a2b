import Base
import Synchronization
import Wire

/// # Flows that this node has begun
///
/// A bounded table of conversations with peers that may not begin one themselves. Each hash has eight places, and the one
/// that was unused longest is replaced. The table is used only where no rule allows a packet, and costs nothing where
/// everything is allowed. Data planes of several threads share one, because one may get the answer to what another has sent.
package final class FlowTable: Sendable {
    private let table = Mutex(Conversations())

    package init() {}

    func note(outward packet: UnsafeRawPointer, count: Int, _ inner: InnerPacket, now: Instant) {
        guard let ports = PeerPolicy.ports(packet, count: count, inner) else { return }
        let talk = Conversations.talk(inner.transport, local: ports.source, remote: ports.destination)
        table.withLock { $0.note(inner.destination, talk, now: now) }
    }

    func knows(inward packet: UnsafeRawPointer, count: Int, _ inner: InnerPacket, now: Instant) -> Bool {
        guard let ports = PeerPolicy.ports(packet, count: count, inner) else { return false }
        let talk = Conversations.talk(inner.transport, local: ports.destination, remote: ports.source)
        let life = inner.transport == InnerPacket.tcp ? FlowTable.lifeTCP : FlowTable.life
        return table.withLock { $0.knows(inner.source, talk, life, now: now) }
    }

    /// Unused for so long, a conversation is over (RFC 5382, REQ-5, would have TCP wait 2 h; an hour is enough for those that
    /// send keepalives).
    private static let lifeTCP = Interval.minutes(60)
    private static let life = Interval.minutes(3)
}

private struct Conversations: ~Copyable, @unchecked Sendable {
    private struct Place {
        /// The destination's address, so that a later owner of the slot inherits nothing.
        private(set) var peer = OverlayKey(high: 0, low: 0)
        /// Protocol and ports; 0 where free, since no protocol that is tracked has that number.
        private(set) var talk: UInt64 = 0
        var usedAt = Instant.origin
    }
    private static let sets = Limits.overlayFlows / 8
    /// Made with the first conversation.
    private var places: UnsafeMutablePointer<Place>?

    init() {}
    deinit { places?.deallocate() }

    static func talk(_ transport: UInt8, local: UInt16, remote: UInt16) -> UInt64 {
        UInt64(transport) << 32 | UInt64(local) << 16 | UInt64(remote)
    }

    private static func set(_ peer: OverlayKey, _ talk: UInt64) -> Int {
        let mixed = (peer.high ^ peer.low &* 0x9e37_79b9_7f4a_7c15 ^ talk) &* 0xff51_afd7_ed55_8ccd
        return Int(truncatingIfNeeded: mixed >> 40) % Conversations.sets * 8
    }

    mutating func note(_ peer: OverlayKey, _ talk: UInt64, now: Instant) {
        let all = ensure(), first = Conversations.set(peer, talk)
        var oldest = first
        for index in first..<first + 8 {
            if all[index].talk == talk, all[index].peer == peer {
                all[index].usedAt = now
                return
            }
            if all[index].usedAt < all[oldest].usedAt { oldest = index }
        }
        all[oldest] = Place(peer: peer, talk: talk, usedAt: now)
    }

    mutating func knows(_ peer: OverlayKey, _ talk: UInt64, _ life: Interval, now: Instant) -> Bool {
        guard let all = places else { return false }
        let first = Conversations.set(peer, talk)
        for index in first..<first + 8 where all[index].talk == talk && all[index].peer == peer {
            guard now - all[index].usedAt < life else { return false }
            all[index].usedAt = now
            return true
        }
        return false
    }

    private mutating func ensure() -> UnsafeMutablePointer<Place> {
        if let places { return places }
        let new = UnsafeMutablePointer<Place>.allocate(capacity: Conversations.sets * 8)
        new.initialize(repeating: Place(), count: Conversations.sets * 8)
        places = new
        return new
    }
}
