import Base

/// # Whether a peer still answers
///
/// When something was last sent and received, and since when an answer is missing. Three times follow from these: when new
/// keys are tried because the peer may have lost its own, when the session ends, and when an idle peer's memory is freed.
///
/// | since the last datagram | what is kept of a peer |
/// |---|---|
/// | 0 s | everything: expanded keys, replay windows, probes, queues |
/// | 20 s | what is needed to continue: keys, counters, certificates, paths with the newest probe of each |
/// | 3 minutes | nothing: keys are too old by then, and the session is over (`MeshConfiguration.rejectAfter`) |
///
/// The first datagram in either direction wakes a resting peer, without a visible effect; only datagrams that come more than
/// 20 seconds late count as replayed.
struct Liveness {
    private(set) var lastSentAt: Instant? { didSet { isResting = false } }
    private(set) var lastReceivedAt: Instant? { didSet { isResting = false } }
    /// Since when an answer of the peer is outstanding; `nil`: none is.
    private(set) var unansweredSince: Instant?
    /// Handshakes that were made because no answer came, since the last one that helped.
    private var ineffectiveHandshakes = 0
    /// Nothing was sent or received for a while, and memory was freed.
    private(set) var isResting = false

    private static let restAfter = Interval.seconds(20)
    /// New keys have helped if the peer is still received under them after this time.
    private static let effectiveAfter = Interval.seconds(10)
    /// A healthy peer that receives packets sends something within this time.
    private static let silence = Interval.milliseconds(900)

    /// When anything was last sent or received.
    var lastActivityAt: Instant? {
        guard let sent = lastSentAt, let received = lastReceivedAt else { return lastSentAt ?? lastReceivedAt }
        return max(sent, received)
    }

    /// Something was sent or received within a minute.
    func isRecent(_ now: Instant) -> Bool { now - (lastActivityAt ?? .origin) < .minutes(1) }

    /// Something was sent or received after `time`.
    func isActive(since time: Instant) -> Bool {
        [lastReceivedAt, lastSentAt].contains { $0.map { $0 > time } ?? false }
    }

    /// How long to wait for an answer before new keys are made. New keys help a peer that has lost its own, and burden a peer
    /// with a bad connection, so the wait doubles each time that they did not help.
    var patience: Interval {
        MeshConfiguration.unansweredBeforeHandshake * Int64(1 << min(ineffectiveHandshakes, 3))
    }

    // MARK: - Events

    mutating func sent(_ now: Instant) { lastSentAt = now }

    /// What was just sent requires an answer.
    mutating func expectAnswer(_ now: Instant) { if unansweredSince == nil { unansweredSince = now } }

    /// The peer has shown that it holds this node's newest keys.
    mutating func answered() { unansweredSince = nil }

    /// An authentic datagram came. `keyAge` is the age of the keys that opened it; `nil`: the data plane opened it.
    mutating func received(_ now: Instant, keyAge: Interval? = nil) {
        lastReceivedAt = now
        unansweredSince = nil
        if ineffectiveHandshakes > 0, let keyAge, keyAge >= Liveness.effectiveAfter { ineffectiveHandshakes = 0 }
    }

    /// A handshake begins. It counts where an answer is missing.
    mutating func handshakeStarted() { if unansweredSince != nil { ineffectiveHandshakes += 1 } }

    // MARK: - The data plane's packets

    mutating func packetsSent(_ at: Instant) { lastSentAt = max(lastSentAt ?? .origin, at) }

    /// True if the peer has received nothing for so long that something is to be sent to it.
    mutating func packetsReceived(_ at: Instant) -> Bool {
        lastReceivedAt = max(lastReceivedAt ?? .origin, at)
        if let since = unansweredSince, at >= since { unansweredSince = nil }
        return at - (lastSentAt ?? .origin) >= Liveness.silence
    }

    /// Packets were sent at that time. All received packets are known: checks whether an answer is missing.
    mutating func checkAnswer(toPacketsAt at: Instant) {
        if unansweredSince == nil, at - (lastReceivedAt ?? .origin) >= Liveness.silence { unansweredSince = at }
    }

    // MARK: - Rest

    /// When the peer is to rest, if nothing is sent or received until then.
    var restAt: Instant? {
        guard !isResting, let last = lastActivityAt else { return nil }
        return last + Liveness.restAfter
    }

    mutating func rest() { isResting = true }
}
