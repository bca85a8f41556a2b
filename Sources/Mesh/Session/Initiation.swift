import Base
import Noise

/// A handshake that this node has begun and that was not answered yet.
final class Initiation {
    let index: UInt32
    let startedAt: Instant
    var attempts = 0
    var nextAt: Instant
    /// First messages that may still be answered, the newest last. On a path whose round trip is longer than the wait for
    /// an answer, the answer belongs to an earlier one than the last.
    private var waiting: [Attempt] = []

    private static let waitingLimit = 4

    /// One first message.
    final class Attempt {
        let sentAt: Instant
        /// Taken while an answer is read, which consumes it.
        var state: HandshakeState?

        init(_ state: consuming HandshakeState, sentAt: Instant) {
            self.state = consume state
            self.sentAt = sentAt
        }
    }

    init(index: UInt32, now: Instant) {
        self.index = index
        startedAt = now
        nextAt = now
    }

    func sent(_ state: consuming HandshakeState, now: Instant) {
        if waiting.count == Initiation.waitingLimit { waiting.removeFirst() }
        waiting.append(Attempt(state, sentAt: now))
    }

    /// Lets `read` try the attempts, the newest first, until it accepts one.
    func answer<Result>(_ read: (Attempt) -> Result?) -> Result? {
        for attempt in waiting.reversed() {
            if let result = read(attempt) { return result }
        }
        return nil
    }

    var isUnsent: Bool { waiting.isEmpty }
}
