/// Why a datagram had no effect. Whatever drops says so here, and `asterism status` shows it.
package enum DropReason: String, Hashable, Sendable, CaseIterable {
    /// No kind of ours, a reserved byte that is not zero, or a length that the kind cannot have.
    case malformed
    /// The kernel cut it, because it was longer than any datagram of ours may be.
    case oversized
    /// A first message that was not made for this node's key.
    case badMAC1
    /// Under load, and without proof that the source address is real: a cookie was sent instead of an answer.
    case cookieDemanded
    case rateLimited
    /// A first message whose ephemeral key was seen before.
    case replayedHandshake
    /// A handshake message that does not decrypt, or whose key is of low order.
    case handshakeFailed
    /// A handshake message that decrypts and says nonsense.
    case badPayload
    /// A certificate that another fleet's authority made.
    case foreignFleet
    case badSignature
    case expiredCertificate
    /// A good certificate of another node.
    case wrongNode
    /// A node without a certificate asked for a session, and this one enrols nobody, or too many at once.
    case anonymousRefused
    case tooManySessions
    /// A second message to which there is no first.
    case unsolicitedResponse
    case badCookie
    /// Sealed with keys that this node does not have (any more).
    case unknownSession
    /// The tag is wrong: changed on the way, or never ours.
    case forged
    /// A counter that was seen before, or is too old to know.
    case replayed
    /// Sealed with keys that are too old.
    case expiredKeys
    /// An authentic datagram with frames that cannot be read; the session is closed.
    case badFrames
    /// To be carried, for a leg that is not given out, or from elsewhere than where it is bound.
    case relayUnknownSender
    /// To be carried to a leg that is not given out.
    case relayUnknownLeg
    /// ... or that is not bound at present.
    case relayUnbound
    /// To be carried, and the sender's tenant has used up its share.
    case relayOverRate
    /// To be carried over a third relay, or to a relay over two.
    case relayTooFar
    /// A bind, or an answer to one, that was not made with the leg's key, or that came before.
    case badBind
    /// A packet, and this node has no data plane.
    case noDataPlane
    /// A message that was to be sent, and there was no session to send it in.
    case notConnected

    /// `allCases` makes a new array each time, and drops are counted in floods.
    private static let order = allCases

    fileprivate var ordinal: Int {
        // `allCases` holds every case.
        DropReason.order.firstIndex(of: self)!
    }
}

/// What an endpoint counts. Numbers only grow, from the start of the process.
package struct MeshCounters: Sendable {
    package var datagramsReceived = 0
    package var datagramsSent = 0
    package var bytesReceived = 0
    package var bytesSent = 0
    package var handshakesStarted = 0
    package var handshakesAnswered = 0
    package var sessionsEstablished = 0
    package var rekeys = 0
    package var probesSent = 0
    /// Peers whose ports were guessed, and datagrams that went out for it.
    package var guesses = 0
    package var guessesSent = 0
    package internal(set) var paths = PathMetrics()
    /// Changes of the path that data takes, by their cause.
    private var switches = [Int](repeating: 0, count: PathSet.Cause.allCases.count)
    private var drops = [Int](repeating: 0, count: DropReason.allCases.count)

    package init() {}

    package func switches(_ cause: PathSet.Cause) -> Int { switches[PathSet.Cause.allCases.firstIndex(of: cause)!] }
    mutating func switched(_ change: PathSet.Transition) {
        switches[PathSet.Cause.allCases.firstIndex(of: change.cause)!] += 1
        if let took = change.took { paths.failedOver(took) }
    }

    package subscript(reason: DropReason) -> Int { drops[reason.ordinal] }
    package mutating func drop(_ reason: DropReason, count: Int = 1) { drops[reason.ordinal] += count }

    /// All figures with their names, in a fixed order; drops are named `dropped.<reason>`.
    package var all: [(name: String, count: Int)] {
        [
            ("datagramsReceived", datagramsReceived), ("datagramsSent", datagramsSent),
            ("bytesReceived", bytesReceived), ("bytesSent", bytesSent), ("handshakesStarted", handshakesStarted),
            ("handshakesAnswered", handshakesAnswered), ("sessionsEstablished", sessionsEstablished),
            ("rekeys", rekeys), ("probesSent", probesSent),
            ("guesses", guesses), ("guessesSent", guessesSent),
        ] + PathSet.Cause.allCases.map { ("pathSwitches.\($0.rawValue)", switches($0)) }
            + paths.all + DropReason.allCases.map { ("dropped.\($0.rawValue)", self[$0]) }
    }
}
