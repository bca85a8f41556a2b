package import Base
package import Noise

/// Times and permissions of an endpoint. The times are WireGuard's where nothing else is stated (Donenfeld, "WireGuard:
/// Next Generation Kernel Network Tunnel", section 6).
package struct MeshConfiguration: Sendable {
    /// Whether nodes without a certificate may open a session, to enrol. Only a controller needs that.
    package var acceptsAnonymous = false
    /// Authorities trusted before this node has credentials: those that its token names.
    package var authorities: [VerifyingKey] = []
    /// Keys older than this are replaced.
    package var rekeyAfter = Interval.seconds(120)
    /// How long an answer may be missing before the session is over.
    package var unansweredBeforeTimeout = Interval.seconds(15)
    /// Whether the driver has a data plane, for which keys and routes are then made.
    package var hasDataPlane = false
    /// What peers of other applications may reach on this node.
    package var policy: [PolicyRule] = []

    /// Keys older than this are not used any more.
    static let rejectAfter = Interval.seconds(180)
    /// First wait for a second message; it doubles up to the next value, and each wait varies by up to 10 %.
    static let handshakeRetry = Interval.milliseconds(250)
    static let handshakeRetryMax = Interval.seconds(5)
    /// `connect` fails after so long without an answer.
    static let connectTimeout = Interval.seconds(10)
    /// How long an answer may be missing before new keys are made, because the peer may have lost its own. Five heartbeats
    /// would be too long, one too short.
    static let unansweredBeforeHandshake = Interval.milliseconds(2500)
    /// Slack for clocks that differ, when a certificate's validity is checked.
    static let clockSlack = Interval.minutes(10)
    /// How much this node, where it is a beacon, relays for the nodes of one application, in bytes per second.
    static let relayBytesPerSecond: Int64 = 125_000_000
    /// The maximum of path probes per second, over all peers; the same number again may measure datagram sizes.
    static let probesPerSecond: Int64 = 200

    package init() {}
}
