import Base

/// # The future, in order
///
/// A binary heap of events by time; events of one instant keep the order in which they were added, so that a run has exactly
/// one order. No event is removed from the middle: an obsolete event is recognised when its time comes.
struct EventQueue {
    private struct Entry {
        var at: UInt64
        var order: UInt64
        var event: Event

        func precedes(_ other: Entry) -> Bool { at == other.at ? order < other.order : at < other.at }
    }
    private var entries: [Entry] = []
    private var pushed: UInt64 = 0

    var count: Int { entries.count }

    mutating func push(_ event: Event, at time: Instant) {
        let entry = Entry(at: time.nanoseconds, order: pushed, event: event)
        pushed += 1
        entries.append(entry)
        var hole = entries.count - 1
        while hole > 0 {
            let parent = (hole - 1) / 2
            guard entry.precedes(entries[parent]) else { break }
            entries[hole] = entries[parent]
            hole = parent
        }
        entries[hole] = entry
    }

    /// Takes the first event, if it is not later than `limit`.
    mutating func pop(notAfter limit: Instant) -> (at: Instant, event: Event)? {
        guard let first = entries.first, first.at <= limit.nanoseconds else { return nil }
        // There is one, so there is a last one.
        let last = entries.removeLast()
        if !entries.isEmpty { sink(last) }
        return (Instant(nanoseconds: first.at), first.event)
    }

    private mutating func sink(_ entry: Entry) {
        let count = entries.count
        var hole = 0
        while true {
            var child = 2 * hole + 1
            guard child < count else { break }
            if child + 1 < count, entries[child + 1].precedes(entries[child]) { child += 1 }
            guard entries[child].precedes(entry) else { break }
            entries[hole] = entries[child]
            hole = child
        }
        entries[hole] = entry
    }
}
