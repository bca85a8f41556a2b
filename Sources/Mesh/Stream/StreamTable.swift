import Wire

/// The open streams: reused slots, found by id. Ids of one opener rise, so the index is a sorted array that grows at its end;
/// lookups are O(log n), removals move at most as many small entries as there are streams.
struct StreamTable: Sendable {
    private struct Entry: Sendable {
        let sequence: UInt64
        let slot: Int
    }
    private var slots: [StreamState] = []
    private var free: [Int] = []
    private var indexes: ([Entry], [Entry]) = ([], [])
    private var recent: (id: StreamID, slot: Int)?

    var count: Int { indexes.0.count + indexes.1.count }

    // `get`, not `_read`: a `_read` of this type returns wrong values in code that is not optimised (Swift 6.3).
    subscript(slot: Int) -> StreamState {
        get { slots[slot] }
        _modify { yield &slots[slot] }
    }

    mutating func find(_ id: StreamID) -> Int? {
        if let recent, recent.id == id { return recent.slot }
        guard let slot = lookUp(id) else { return nil }
        recent = (id, slot)
        return slot
    }

    func lookUp(_ id: StreamID) -> Int? {
        if id.opener == 0 { return StreamTable.search(indexes.0, id.sequence).slot }
        return StreamTable.search(indexes.1, id.sequence).slot
    }

    /// Adds a stream whose sequence is above all others of its opener.
    mutating func insert(_ state: StreamState) {
        let slot: Int
        if let reused = free.popLast() {
            slot = reused
            slots[slot] = state
        } else {
            slot = slots.count
            slots.append(state)
        }
        let entry = Entry(sequence: state.id.sequence, slot: slot)
        if state.id.opener == 0 { indexes.0.append(entry) } else { indexes.1.append(entry) }
    }

    mutating func remove(_ id: StreamID) {
        let found =
            id.opener == 0 ? StreamTable.search(indexes.0, id.sequence) : StreamTable.search(indexes.1, id.sequence)
        guard let slot = found.slot else { return }
        if id.opener == 0 { indexes.0.remove(at: found.index) } else { indexes.1.remove(at: found.index) }
        free.append(slot)
        recent = nil
    }

    private static func search(_ entries: [Entry], _ sequence: UInt64) -> (index: Int, slot: Int?) {
        var low = 0, high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].sequence < sequence { low = middle + 1 } else { high = middle }
        }
        let isFound = low < entries.count && entries[low].sequence == sequence
        return (low, isFound ? entries[low].slot : nil)
    }
}
