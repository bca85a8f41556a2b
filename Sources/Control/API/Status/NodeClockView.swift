package import Base

package struct NodeClockView: Hashable, Sendable, Codable {
    package var node: NodeID
    package var name: String
    /// The node's clock minus the controller's.
    package let offsetMilliseconds: Int64
}

extension NodeClockView: SchemaDescribed {
    package static let schema = Schema.object(
        "NodeClock",
        ["node": .node, "name": .text, "offsetMilliseconds": .integer])
}
