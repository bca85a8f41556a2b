import Wire

/// Frames that say how things stand and are made when there is room for them, so that they are never out of date. At
/// most one of each is queued.
enum StreamControl: Hashable, Sendable {
    case reset(StreamID)
    case stop(StreamID)
    case streamWindow(StreamID)
    case streamBlocked(StreamID)
    case window
    case streams
    case blocked
    case streamsBlocked
    case ping
}

struct StreamState: Sendable {
    /// What is queued of the controls that concern this stream.
    struct Queued: OptionSet, Sendable {
        var rawValue: UInt8
        static let reset = Queued(rawValue: 1)
        static let stop = Queued(rawValue: 2)
        static let window = Queued(rawValue: 4)
        static let blocked = Queued(rawValue: 8)
    }
    let id: StreamID
    var send: SendStream
    var receive: ReceiveStream
    var queued: Queued = []
    /// It stands in the queue of those that have something to send.
    var isReady = false
    /// It stands in the queue of those that wait for the connection's limit.
    var waitsForCredit = false
    /// A write was cut short.
    var wantsWritable = false
    /// It stands in the queue of those that wait for room in the send buffer of all.
    var waitsForBuffer = false
    /// `readable` was said, and not everything has been read.
    var isReadableTold = false
}

/// The open streams: slots that are used again, found by id. Ids of one opener rise, so the index is a sorted array
/// that grows at its end; lookups are O(log n), removals move at most as many small entries as there are streams.
struct StreamTable: Sendable {
    private struct Entry: Sendable {
        var sequence: UInt64
        var slot: Int
    }
    var slots: [StreamState] = []
    private var free: [Int] = []
    private var indexes: ([Entry], [Entry]) = ([], [])
    private var recent: (id: StreamID, slot: Int)?

    var count: Int { indexes.0.count + indexes.1.count }

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
    mutating func insert(_ state: StreamState) -> Int {
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
        return slot
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
