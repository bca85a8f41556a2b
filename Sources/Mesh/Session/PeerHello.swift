import Wire

/// What a handshake informed of the peer.
struct PeerHello {
    let association: UInt64
    /// `nil`: the peer has none yet.
    let certificate: Certificate?
}
