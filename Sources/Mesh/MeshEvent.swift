package import Base
package import Wire

/// What the mesh reports to the layer above.
package enum MeshEvent: Hashable, Sendable {
    /// A session is established, and both ends have shown that they hold its keys. Comes again, after a `disconnected`, when
    /// the peer has lost the session and made a new one.
    case connected(NodeID, PeerSession)
    case disconnected(NodeID, DisconnectReason)
    /// `connect` was given up; what was queued for the peer is gone.
    case connectFailed(NodeID, ConnectFailure)
    /// An unreliable message; at most once, in any order.
    case message(NodeID, [UInt8])
    case stream(NodeID, StreamEvent)
    /// The answer to a ping came by that path.
    case pong(NodeID, token: UInt64, roundTrip: Interval, by: PathAddress)
    /// The addresses where this node can be reached have changed: see `Endpoint.candidates`.
    case candidatesChanged
    /// A relay that a peer is reached through does not answer: its own allocations are requested (`Endpoint.relayChain`).
    case relayUnreached(NodeID)
}

/// The peer of a session.
package struct PeerSession: Hashable, Sendable {
    /// `nil`: a node that has none yet and may do nothing but enrol.
    package let certificate: Certificate?
    /// The same 64 bytes at both ends, different for each handshake: what a proof is bound to.
    package let handshakeHash: [UInt8]
    package let address: SocketAddress
}

package enum DisconnectReason: Hashable, Sendable {
    /// This end requested it.
    case local
    case closedByPeer(CloseCode)
    /// The peer has lost the session: it was restarted, or closed it.
    case peerForgot
    /// Sent much, received nothing.
    case timeout
    /// Nothing was sent for so long that the keys are too old.
    case idle
    /// The peer broke the rules of streams.
    case protocolViolation
    /// New keys were to be made, and the peer showed a certificate that is not to be trusted.
    case certificate(CertificateFault)
    /// A peer without a certificate has used up its time.
    case anonymousExpired
}

package enum ConnectFailure: Hashable, Sendable {
    /// There was no answer at any of the addresses.
    case timeout
    /// The answer had a certificate that is not to be trusted.
    case certificate(CertificateFault)
    case tooManySessions
}
