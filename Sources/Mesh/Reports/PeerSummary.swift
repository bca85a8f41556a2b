package import Base
import Noise
package import Wire

/// What `asterism peers` shows of one peer.
package struct PeerSummary: Hashable, Sendable {
    package let node: NodeID
    package let name: String?
    package let isConnected: Bool
    package let path: PathAddress?
    package let roundTrip: Interval?
    package let cipher: String?
    /// Age of the keys in use.
    package let keyAge: Interval?
    package let sinceReceived: Interval?
    package let bytesReceived: Int
    package let bytesSent: Int
    package let openStreams: Int
    /// Packets of the data plane, in both directions.
    package let packetsReceived: Int
    package let packetsSent: Int
    package let packetBytesReceived: Int
    package let packetBytesSent: Int
    /// Whether the data plane has keys to seal with for the peer.
    package let hasRoute: Bool
    /// Bytes of UDP payload that the path carries at most; `nil` without a data plane, or without a path.
    package let datagramBytes: Int?

    /// `sizes`: there is a data plane, which measures them.
    init(_ peer: Peer, now: Instant, sizes: Bool) {
        let paths = peer.paths, link = peer.link, keys = peer.session.current
        node = peer.node
        name = peer.certificate?.name
        isConnected = peer.isConnected
        path = paths.primary
        roundTrip = paths.smoothedRoundTrip
        cipher = keys?.keys.cipher.name
        keyAge = keys.map { now - $0.createdAt }
        sinceReceived = peer.liveness.lastReceivedAt.map { now - $0 }
        bytesReceived = peer.bytesReceived
        bytesSent = peer.bytesSent
        openStreams = peer.streams.openCount
        packetsReceived = link.received.packets
        packetsSent = link.sent.packets
        packetBytesReceived = link.received.bytes
        packetBytesSent = link.sent.bytes
        hasRoute = peer.isConnected && link.hasRoute(now)
        datagramBytes = sizes ? paths.primary.map { link.datagramBytes(at: $0, second: paths.second) } : nil
    }
}
