import Wire

/// Maps a receiver index to its session: a flat array, so that a datagram finds its keys with one lookup. An index is a slot
/// in the low 18 bits and a random tag above, drawn again at each use of the slot. So an unauthenticated peer cannot predict
/// one, and an old datagram does not reach a new session.
package struct SessionIndex: Sendable {
    private struct Slot {
        private(set) var tag: UInt32
        /// The peer's slot, or -1 where free.
        var peer: Int
    }
    private var slots: [Slot] = []
    private var free: [UInt32] = []

    package init() {}

    package var count: Int { slots.count - free.count }

    /// A new index for `peer`; `nil` when all 262,144 are taken. `random` supplies the tag.
    package mutating func allocate(for peer: Int, random: UInt32) -> UInt32? {
        let tag = random >> Limits.sessionSlotBits
        let slot: UInt32
        if let reused = free.popLast() {
            slot = reused
        } else {
            guard slots.count < 1 << Limits.sessionSlotBits else { return nil }
            slot = UInt32(slots.count)
            slots.append(Slot(tag: 0, peer: -1))
        }
        slots[Int(slot)] = Slot(tag: tag, peer: peer)
        return tag << Limits.sessionSlotBits | slot
    }

    /// The peer whose session has the index; `nil` for an index that is not (or no longer) given out.
    package func peer(of index: UInt32) -> Int? {
        let slot = Int(index & Limits.sessionSlotMask)
        guard slot < slots.count, slots[slot].peer >= 0, slots[slot].tag == index >> Limits.sessionSlotBits else {
            return nil
        }
        return slots[slot].peer
    }

    package mutating func release(_ index: UInt32) {
        guard peer(of: index) != nil else { return }
        let slot = index & Limits.sessionSlotMask
        slots[Int(slot)].peer = -1
        free.append(slot)
    }
}
