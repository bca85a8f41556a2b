import Wire

/// Frames that state the current state and are made when there is room for them, so that they are never out of date. At
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
