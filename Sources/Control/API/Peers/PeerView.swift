package import Base

package struct PeerView: Hashable, Sendable, Codable {
    package var node: NodeID
    package var name: String?
    package let isConnected: Bool
    package private(set) var address: SocketAddress?
    /// Whether `address` is a relay's; `false` while there is none.
    package let isRelayed: Bool
    /// The relay's name, or the first digits of its id.
    package var relay: String?
    package var overlay4: IPAddress?
    package var overlay6: IPAddress?
    package private(set) var roundTripMicroseconds: Int64?
    package private(set) var cipher: String?
    package private(set) var keyAgeSeconds: Int64?
    package private(set) var sinceReceivedMilliseconds: Int64?
    package private(set) var bytesReceived: Int
    package let bytesSent: Int
    package let openStreams: Int
    /// Packets of the overlay that the data plane has carried; bytes are those of the sealed packets.
    package let packetsReceived: Int
    package let packetsSent: Int
    package let packetBytesReceived: Int
    package let packetBytesSent: Int
    /// Whether packets for the peer would leave now, rather than wait for a session.
    package let hasRoute: Bool
    /// The largest datagram of the path, in bytes of UDP payload; absent where this node carries no packets.
    package private(set) var datagramBytes: Int?
}

extension PeerView: SchemaDescribed {
    package static let schema = Schema.object(
        "Peer",
        [
            "node": .node, "name?": .text, "isConnected": .flag, "address?": .address, "isRelayed": .flag,
            "relay?": .text, "overlay4?": .ip, "overlay6?": .ip, "roundTripMicroseconds?": .count, "cipher?": .text,
            "keyAgeSeconds?": .count, "sinceReceivedMilliseconds?": .count, "bytesReceived": .count,
            "bytesSent": .count,
            "openStreams": .count, "packetsReceived": .count, "packetsSent": .count, "packetBytesReceived": .count,
            "packetBytesSent": .count, "hasRoute": .flag, "datagramBytes?": .count,
        ])
}
