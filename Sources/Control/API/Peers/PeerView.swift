package import Base

package struct PeerView: Hashable, Sendable, Codable {
    package var node: NodeID
    package var name: String?
    package var isConnected: Bool
    package var address: SocketAddress?
    /// Whether `address` is a relay's; `false` while there is none.
    package var isRelayed: Bool
    /// The relay's name, or the first digits of its id.
    package var relay: String?
    package var overlay4: IPAddress?
    package var overlay6: IPAddress?
    package var roundTripMicroseconds: Int64?
    package var cipher: String?
    package var keyAgeSeconds: Int64?
    package var sinceReceivedMilliseconds: Int64?
    package var bytesReceived: Int
    package var bytesSent: Int
    package var openStreams: Int
    /// Of the overlay, sealed sizes and all: what the data plane has carried.
    package var packetsReceived: Int
    package var packetsSent: Int
    package var packetBytesReceived: Int
    package var packetBytesSent: Int
    /// Whether packets for the peer would leave now, rather than wait for a session.
    package var hasRoute: Bool
    /// The largest datagram of the path, in bytes of UDP payload; absent where this node carries no packets.
    package var datagramBytes: Int?
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
