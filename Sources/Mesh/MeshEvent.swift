package import Base
package import Wire

/// What the layer above the mesh gets to know.
package enum MeshEvent: Hashable, Sendable {
    /// A session is there, and both ends have shown that they hold its keys. Comes again, after a `disconnected`, when
    /// the peer has forgotten the session and made a new one.
    case connected(NodeID, PeerSession)
    case disconnected(NodeID, DisconnectReason)
    /// `connect` was given up; what was queued for the peer is gone.
    case connectFailed(NodeID, ConnectFailure)
    /// An unreliable message; at most once, in any order.
    case message(NodeID, [UInt8])
    case stream(NodeID, StreamEvent)
    /// The answer to a ping came that way.
    case pong(NodeID, token: UInt64, roundTrip: Interval, by: PathAddress)
    /// Where this node can be reached is not what it was: see `Endpoint.candidates`.
    case candidatesChanged
    /// A relay that a peer is reached through does not answer: where it has allocations itself is desired (`Endpoint.relay
    /// chain`).
    case relayUnreached(NodeID)
}

/// Whom a session is with.
package struct PeerSession: Hashable, Sendable {
    /// `nil`: a node that has none yet and may do nothing but enrol.
    package let certificate: Certificate?
    /// The same 64 bytes at both ends, different for each handshake: what a proof is bound to.
    package let handshakeHash: [UInt8]
    package let address: SocketAddress
}

package enum DisconnectReason: Hashable, Sendable {
    /// This end asked for it.
    case local
    case closedByPeer(CloseCode)
    /// The peer has forgotten the session: it was restarted, or gave us up.
    case peerForgot
    /// Sent much, received nothing.
    case timeout
    /// Nothing was reported for so long that the keys are too old.
    case idle
    /// The peer broke the rules of streams.
    case protocolViolation
    /// New keys were to be made, and the peer showed a certificate that is not to be trusted.
    case certificate(CertificateFault)
    /// A peer without a certificate has used up its time.
    case anonymousExpired
}

package enum ConnectFailure: Hashable, Sendable {
    /// Nobody answered at any of the addresses.
    case timeout
    /// Somebody answered with a certificate that is not to be trusted.
    case certificate(CertificateFault)
    case tooManySessions
}
