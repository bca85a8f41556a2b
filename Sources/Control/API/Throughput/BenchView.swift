package import Base

/// A peer's server, to measure the way to it with.
package struct BenchView: Hashable, Sendable, Codable {
    package var node: NodeID
    package var name: String?
    /// In the overlay.
    package var address: IPAddress
    package var tcpPort: Int
    package var udpPort: Int
    /// 32 hexadecimal digits, that this server knows and no other.
    package var token: String
    /// After so long it is gone.
    package var seconds: Int64
}
