import DequeModule
import Wire

/// Controls that wait for room in a packet, in order. `StreamState` knows whether controls of one stream are queued; this
/// queue knows it for limits of the connection.
struct StreamControlQueue: Sendable {
    private var queue: Deque<StreamControl> = []
    private var isWindowQueued = false
    private var isStreamsQueued = false

    var isEmpty: Bool { queue.isEmpty }

    mutating func append(_ control: StreamControl) {
        switch control {
        case .window:
            guard !isWindowQueued else { return }
            isWindowQueued = true
        case .streams:
            guard !isStreamsQueued else { return }
            isStreamsQueued = true
        case .reset, .stop, .streamWindow, .streamBlocked, .blocked, .streamsBlocked, .ping: break
        }
        queue.append(control)
    }

    mutating func popFirst() -> StreamControl? {
        guard let first = queue.popFirst() else { return nil }
        if first == .window { isWindowQueued = false }
        if first == .streams { isStreamsQueued = false }
        return first
    }

    /// Frees the memory of an empty queue.
    mutating func rest() { if queue.isEmpty { queue = [] } }
}
