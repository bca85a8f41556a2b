import HeapModule

/// A queue of deadlines that gives the earliest one. An entry is never removed from the middle. Setting a key's time
/// again leaves the old entry in the queue, and it is discarded when its time comes. Keys are small integers (slots of
/// an array).
package struct TimerQueue: Sendable {
    private struct Entry: Comparable {
        var at: Instant
        var key: Int
        static func < (a: Entry, b: Entry) -> Bool { a.at == b.at ? a.key < b.key : a.at < b.at }
    }
    private var heap = Heap<Entry>()
    private var times: [Instant?] = []

    package init() {}

    /// Sets, moves or (with `nil`) clears the time of `key`.
    package mutating func set(_ key: Int, at time: Instant?) {
        while times.count <= key { times.append(nil) }
        guard times[key] != time else { return }
        times[key] = time
        if let time { heap.insert(Entry(at: time, key: key)) }
        // When keys move often, old entries may outnumber valid ones. Then the queue is built again.
        if heap.count > 64, heap.count > times.count * 4 { rebuild() }
    }

    /// The earliest time of any key.
    package mutating func earliest() -> Instant? {
        dropStale()
        return heap.min?.at
    }

    /// Takes the next key whose time has come.
    package mutating func popDue(_ now: Instant) -> Int? {
        dropStale()
        guard let first = heap.min, first.at <= now else { return nil }
        heap.removeMin()
        times[first.key] = nil
        return first.key
    }

    private mutating func dropStale() {
        while let first = heap.min, times[first.key] != first.at { heap.removeMin() }
    }
    private mutating func rebuild() {
        heap = Heap(times.enumerated().compactMap { key, at in at.map { Entry(at: $0, key: key) } })
    }
}
