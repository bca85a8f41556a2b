import Base

/// # Whether a peer still answers
///
/// When something was last sent and received, and since when an answer is missing. From these follow three times: new keys
/// are tried because the peer may have lost its own, the session ends, and an idle peer gives memory back.
///
/// | since the last datagram | what is kept of a peer |
/// |---|---|
/// | 0 s | everything: keys made ready for their cipher, windows against replay, probes, queues |
/// | 20 s | what it takes to go on: keys as they are, counters, certificates, paths with the newest probe of each |
/// | 3 minutes | nothing: keys are too old by then, and the session is over (`MeshConfiguration.rejectAfter`) |
///
/// A resting peer is woken by the first datagram in either direction, and nobody notices; only datagrams that come more than
/// 20 seconds late are taken for repeated ones.
struct Liveness {
    private(set) var lastSentAt: Instant? { didSet { isResting = false } }
    private(set) var lastReceivedAt: Instant? { didSet { isResting = false } }
    /// Since when something is under way that the peer should answer; `nil`: nothing is.
    private(set) var unansweredSince: Instant?
    /// Handshakes that were made because no answer came, since one last helped.
    private var ineffectiveHandshakes = 0
    /// Nothing was sent or received for a while, and memory was given back.
    private(set) var isResting = false

    private static let restAfter = Interval.seconds(20)
    /// Keys under which a peer is still received after so long have helped.
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

    /// How long to wait for an answer before new keys are made. New keys help a peer that has lost its own, and burden a
    /// peer that receives badly, so the wait doubles each time that they did not help.
    var patience: Interval {
        MeshConfiguration.unansweredBeforeHandshake * Int64(1 << min(ineffectiveHandshakes, 3))
    }

    // MARK: - Events

    mutating func sent(_ now: Instant) { lastSentAt = now }

    /// What was sent just now asks for an answer.
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

    /// Packets went out at that time. All that was received is known: see whether an answer is missing.
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
