package import Base
package import Wire

package struct AcceleratorView: Hashable, Sendable, Codable {
    package var node: NodeID
    package var nodeName: String
    package var accelerator: AcceleratorStatus
}
