package import Base

/// A peer's server, to measure the path to it with.
package struct BenchView: Hashable, Sendable, Codable {
    package var node: NodeID
    package var name: String?
    /// In the overlay.
    package let address: IPAddress
    package let tcpPort: Int
    package let udpPort: Int
    /// 32 hexadecimal digits that only this server knows.
    package let token: String
    /// After so long it is gone.
    package let seconds: Int64
}
