package import Base

package struct ControllerPeerView: Hashable, Sendable, Codable {
    package var node: NodeID
    package var addresses: [SocketAddress]
    /// Host names with ports, resolved again for each attempt.
    package let names: [String]
    package let isConnected: Bool
}

extension ControllerPeerView: SchemaDescribed {
    package static let schema = Schema.object(
        "ControllerPeer",
        [
            "node": .node, "addresses": .list(.address), "names": .list(.text),
            "isConnected": .flag,
        ])
}
