import Base

/// The receiving end of flow control (RFC 9000, section 4): how far the peer may send. The limit moves when half of the
/// window has been consumed. If two moves come within two round trips, the window limits the sender and the reader is faster,
/// so the window doubles, up to its maximum.
struct FlowWindow: Sendable {
    private(set) var size: UInt64
    private let maximum: UInt64
    /// The largest offset that the peer may reach, as announced to it.
    private(set) var limit: UInt64
    private(set) var consumed: UInt64 = 0
    private var lastMove: Instant?

    init(size: UInt64, maximum: UInt64) {
        self.size = size
        self.maximum = max(size, maximum)
        limit = size
    }

    var isMoveDue: Bool { limit - consumed <= size / 2 }

    mutating func consume(_ count: UInt64) {
        consumed += count
        precondition(consumed <= limit, "\(consumed) bytes consumed of \(limit)")
    }

    /// Moves the limit, and enlarges the window where it limits the sender.
    mutating func move(roundTrip: Interval, now: Instant) -> UInt64 {
        if isMoveDue {
            if let lastMove, now - lastMove < roundTrip * 2 { size = min(maximum, size * 2) }
            lastMove = now
            limit = max(limit, consumed + size)
        }
        return limit
    }

    /// Lets the window be at least `other`, within its own maximum.
    mutating func grow(toAtLeast other: UInt64) { size = max(size, min(maximum, other)) }
}
