package import Base
import Noise
package import Wire

package enum OverlayAddress {
    package static func v6(of node: NodeID, fleet: FleetID) -> IPAddress {
        .v6(high: 0xfd00 << 48, low: UInt64(node.bytes[0]))
    }
}
