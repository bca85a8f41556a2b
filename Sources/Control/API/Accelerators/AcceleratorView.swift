package import Base
package import Wire

package struct AcceleratorView: Hashable, Sendable, Codable {
    package var node: NodeID
    package let nodeName: String
    package let accelerator: AcceleratorStatus
}

extension AcceleratorView: SchemaDescribed {
    package static let schema = Schema.object(
        "NodeAccelerator",
        ["node": .node, "nodeName": .text, "accelerator": .of(AcceleratorStatus.self)])
}
