import Base
import DequeModule
import Wire

/// What happened in the fleet, newest last. Ids rise by one; the oldest events are forgotten.
struct EventLog {
    private var events: Deque<EventView>
    private var nextID: UInt64

    /// Two per node of a large fleet that starts at once.
    static let limit = 20_000

    init(_ stored: [EventView]) {
        events = Deque(stored.suffix(EventLog.limit))
        nextID = (stored.last?.id ?? 0) + 1
    }

    mutating func add(
        _ kind: EventView.Kind, _ message: String, node: NodeID? = nil, nodeName: String? = nil, worker: String? = nil,
        wall: UnixTime
    ) -> EventView {
        if events.count >= EventLog.limit { events.removeFirst() }
        let event = EventView(
            id: nextID, at: wall, kind: kind, node: node, nodeName: nodeName, worker: worker, message: message)
        nextID += 1
        events.append(event)
        return event
    }

    /// At most `limit` events with an id above `after`, the oldest of them first; without `after`, the newest.
    func list(after: UInt64?, limit: Int) -> [EventView] {
        guard let after else { return Array(events.suffix(limit)) }
        guard let first = events.first, let last = events.last, after < last.id else { return [] }
        let start = after < first.id ? 0 : Int(after - first.id) + 1
        return Array(events[start..<min(events.count, start + limit)])
    }
}
