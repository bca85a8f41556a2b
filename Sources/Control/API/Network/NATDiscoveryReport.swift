package import Base
package import Mesh

/// The results of the servers that the shell asks.
package struct NATDiscoveryReport: Hashable, Sendable {
    package struct Server: Hashable, Sendable {
        /// As it was configured.
        package var name: String
        package var addresses: [SocketAddress]
        /// Why there is no address, in words.
        package var problem: String?

        package init(name: String, addresses: [SocketAddress] = [], problem: String? = nil) {
            self.name = name
            self.addresses = addresses
            self.problem = problem
        }
    }

    package var servers: [Server]
    /// `nil` where no server has an address of the family.
    package var ipv4: NATFindings?
    package var ipv6: NATFindings?
    /// Over IPv4; `nil`: not measured here.
    package var lifetime: NATFinding<NATLifetime>?
    package var endedAt: Instant?

    package init(servers: [Server]) { self.servers = servers }
}
