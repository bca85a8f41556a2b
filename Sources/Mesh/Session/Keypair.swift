import Base
import Noise
import Wire

/// The keys of one handshake.
final class Keypair {
    let localIndex: UInt32
    let remoteIndex: UInt32
    let createdAt: Instant
    /// The initiator makes new keys when these are old; the responder only if the initiator does not.
    let isInitiator: Bool
    let handshakeHash: [UInt8]
    /// What the peer stated about itself in this handshake.
    let hello: PeerHello
    var keys: TransportKeys
    /// The data plane's keys of the same handshake, until they are given to it.
    var dataKeys: CipherStates?
    /// The data plane's counter of the packet that showed the peer's last move.
    var movedAt: UInt64 = 0
    private var window = ReplayWindow()
    private(set) var highest: UInt64 = 0

    enum Opened {
        /// `isNewest`: no datagram with a higher counter came before, so its source is where the peer is.
        case fresh(isNewest: Bool)
        case forged
        case replayed
    }

    init(
        localIndex: UInt32, remoteIndex: UInt32, isInitiator: Bool, handshakeHash: [UInt8], hello: PeerHello,
        keys: consuming TransportKeys, createdAt: Instant
    ) {
        self.localIndex = localIndex
        self.remoteIndex = remoteIndex
        self.isInitiator = isInitiator
        self.handshakeHash = handshakeHash
        self.hello = hello
        self.keys = keys
        self.createdAt = createdAt
    }

    /// Frees what can be made again.
    func rest() {
        keys.rest()
        window.rest()
    }

    /// Opens `sealed`, ciphertext and tag, in place.
    func open(_ sealed: UnsafeMutableRawBufferPointer, counter: UInt64, header: UnsafeRawBufferPointer) -> Opened {
        // The window refuses before the cipher is asked, and learns the counter only after it has accepted.
        guard window.wouldAccept(counter) else { return .replayed }
        guard keys.open(sealed, counter: counter, aad: header) else { return .forged }
        keys.wake()
        guard window.accept(counter) else { return .replayed }
        let isNewest = counter >= highest
        highest = max(highest, counter)
        return .fresh(isNewest: isNewest)
    }
}
