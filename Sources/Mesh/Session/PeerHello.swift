import Wire

/// What a peer states about itself in a handshake.
struct PeerHello {
    let association: UInt64
    /// `nil`: the peer has none yet.
    let certificate: Certificate?
}
