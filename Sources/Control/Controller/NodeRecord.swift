package import Base
package import Wire

/// A member of the fleet.
package struct NodeRecord: Hashable, Sendable {
    package var node: NodeID
    package var certificate: SignedCertificate
    package let enrolledAt: UnixTime
    /// The token that it came with, in hexadecimal digits.
    package let token: String
    /// Of its desired state.
    package var revision: UInt64

    package init(node: NodeID, certificate: SignedCertificate, enrolledAt: UnixTime, token: String, revision: UInt64) {
        self.node = node
        self.certificate = certificate
        self.enrolledAt = enrolledAt
        self.token = token
        self.revision = revision
    }
}
