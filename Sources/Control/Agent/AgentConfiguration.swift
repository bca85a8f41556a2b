package import Base
package import Mesh
package import Wire

/// The configuration that an agent is created with; it does not change while the process lives.
package struct AgentConfiguration: Sendable {
    /// The name to enrol under.
    package var name: String
    /// Whether the name was configured. If not, it is the host's, and a member keeps the name that it has.
    package var isNameChosen = false
    package var site = ""
    /// Sorted by name, no name twice.
    package var labels: [Label] = []
    /// Where this node listens, as far as it knows itself.
    package var addresses: [SocketAddress] = []
    /// Ports at which it takes datagrams over TCP, where it is a beacon.
    package var tcpPorts: [UInt16] = []
    /// The program's version.
    package let version: String
    package let containment: Containment
    package var mesh = MeshConfiguration()
    package var bench = BenchPermission.auto

    package init(name: String, version: String, containment: Containment) {
        self.name = name
        self.version = version
        self.containment = containment
    }
}
