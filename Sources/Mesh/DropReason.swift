/// Why a datagram had no effect. All code that drops one counts it here, and `asterism status` shows the counts.
package enum DropReason: String, Hashable, Sendable, CaseIterable {
    /// An unknown kind, a reserved byte that is not zero, or a length that the kind cannot have.
    case malformed
    /// The kernel truncated it, because it was longer than any datagram of this protocol may be.
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
    /// A handshake message that decrypts and has an invalid payload.
    case badPayload
    /// A certificate that another fleet's authority made.
    case foreignFleet
    case badSignature
    case expiredCertificate
    /// A good certificate of another node.
    case wrongNode
    /// A node without a certificate requested a session, and this one enrols no nodes, or too many at once.
    case anonymousRefused
    case tooManySessions
    /// A second message to which there is no first.
    case unsolicitedResponse
    case badCookie
    /// Sealed with keys that this node does not have (any more).
    case unknownSession
    /// The tag is wrong: the datagram was changed in transit, or was never valid.
    case forged
    /// A counter that was seen before, or is too old to know.
    case replayed
    /// Sealed with keys that are too old.
    case expiredKeys
    /// An authentic datagram with frames that cannot be read; the session is closed.
    case badFrames
    /// To be relayed, for an allocation that does not exist, or not from the address where it is bound.
    case relayUnknownSender
    /// To be relayed to an allocation that does not exist.
    case relayUnknownAllocation
    /// To be relayed to an allocation that is not bound at present.
    case relayUnbound
    /// To be relayed, and the sender's tenant has used up its share.
    case relayOverRate
    /// To be relayed over a third relay, or to a relay over two.
    case relayTooFar
    /// A bind, or an answer to one, that was not made with the allocation's key, or that is a repetition.
    case badBind
    /// A packet, and this node has no data plane.
    case noDataPlane
    /// A message that was to be sent, and there was no session to send it in.
    case notConnected

    /// `allCases` makes a new array each time, and drops are counted in floods.
    private static let order = allCases

    /// Its position in `allCases`.
    var ordinal: Int {
        // `allCases` holds every case.
        DropReason.order.firstIndex(of: self)!
    }
}
