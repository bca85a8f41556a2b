import Wire

/// What a handshake told of the peer.
struct PeerHello {
    let association: UInt64
    /// `nil`: the peer has none yet.
    let certificate: Certificate?
}
