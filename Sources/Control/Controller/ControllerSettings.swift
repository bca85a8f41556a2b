package import Base
package import Mesh
import Wire

package struct ControllerSettings: Sendable {
    package var name: String
    /// Where agents reach this controller; goes into tokens and certificates' answers.
    package var addresses: [SocketAddress]
    /// Host names that lead to it; they go into the same places.
    package var names: [HostPort] = []
    /// Ports at the same hosts where it takes datagrams over TCP.
    package var tcpPorts: [UInt16] = []
    package var mesh = MeshConfiguration()
    /// As `OverlayPool.network(asked:kept:)` gives it.
    package var overlayNetwork = OverlayPool.defaultNetwork
    /// Whether it carries datagrams for nodes, as beacons do.
    package var isRelay = true
    var roles: Roles { isRelay ? [.controller, .beacon] : [.controller] }

    package init(name: String, addresses: [SocketAddress]) {
        self.name = name
        self.addresses = addresses
    }
}
