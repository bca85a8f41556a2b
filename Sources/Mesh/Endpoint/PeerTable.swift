import Base
import Wire

/// # The peers of an endpoint
///
/// A peer has a slot for as long as it is known. Session indices, timers and the data plane refer to it by its slot, and a
/// free slot is used again. The table also holds what is due for a peer: a time (`setTimer`), or a mark, which means that the
/// next `flush` is to handle the peer. Iteration is in the order of slots.
struct PeerTable {
    private var slots: [Peer?] = []
    private var freeSlots: [Int] = []
    private var slotOfNode = Table<NodeID, Int>()
    private var timers = TimerQueue()
    /// Slots of marked peers, in the order of the marks; those before `position` have been handled.
    private var marked: [Int] = []
    private var position = 0

    /// `nil` for a slot that is free, or was never used.
    subscript(slot: Int) -> Peer? { slot < slots.count ? slots[slot] : nil }
    subscript(node: NodeID) -> Peer? { slotOfNode[node].flatMap { slots[$0] } }

    var isFull: Bool { slots.count - freeSlots.count >= Limits.sessions }

    /// Adds the peer that `make` returns for a free slot.
    mutating func insert(_ make: (Int) -> Peer) -> Peer {
        let slot = freeSlots.popLast() ?? slots.count
        if slot == slots.count { slots.append(nil) }
        let peer = make(slot)
        slots[slot] = peer
        slotOfNode[peer.node] = slot
        return peer
    }

    mutating func remove(_ peer: Peer) {
        timers.set(peer.slot, at: nil)
        slots[peer.slot] = nil
        slotOfNode.remove(peer.node)
        freeSlots.append(peer.slot)
    }

    // MARK: - What is due

    /// Sets the time of the peer's next work, in place of the one before.
    mutating func setTimer(of peer: Peer, at time: Instant?) { timers.set(peer.slot, at: time) }

    /// The earliest timer.
    mutating func earliest() -> Instant? { timers.earliest() }

    /// The next peer whose time has come.
    mutating func popDue(_ now: Instant) -> Peer? {
        while let slot = timers.popDue(now) {
            if let peer = slots[slot] { return peer }
        }
        return nil
    }

    /// Requests that the next `flush` handles the peer.
    mutating func mark(_ peer: Peer) {
        guard !peer.isMarked else { return }
        peer.isMarked = true
        marked.append(peer.slot)
    }

    /// Clears the next mark. Peers that are marked meanwhile come after those that were marked before.
    mutating func popMarked() -> Peer? {
        while position < marked.count {
            // The slot may belong to another peer by now.
            let peer = slots[marked[position]]
            position += 1
            guard let peer, peer.isMarked else { continue }
            peer.isMarked = false
            return peer
        }
        marked.removeAll(keepingCapacity: true)
        position = 0
        return nil
    }

    // MARK: - For people

    /// The peer whose path that is now.
    func peer(at path: PathAddress) -> Peer? { first { $0.paths.addresses.contains(path) } }

    /// The peer whose certificate has that overlay address.
    func peer(withOverlay address: IPAddress) -> Peer? {
        first { $0.certificate?.overlayAddresses.contains(address) ?? false }
    }
}

extension PeerTable: Sequence {
    struct Iterator: IteratorProtocol {
        private var slots: IndexingIterator<[Peer?]>

        fileprivate init(_ slots: [Peer?]) { self.slots = slots.makeIterator() }

        mutating func next() -> Peer? {
            while let slot = slots.next() {
                if let peer = slot { return peer }
            }
            return nil
        }
    }

    /// Peers that are added or removed during the iteration do not change it.
    func makeIterator() -> Iterator { Iterator(slots) }
}
