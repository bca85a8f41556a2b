package import Noise
package import Wire

/// What makes a node a member of its fleet.
package struct Credentials: Hashable, Sendable {
    package var certificate: SignedCertificate
    /// Keys of the fleet's authorities. Two while one is being replaced by the other.
    package private(set) var authorities: [VerifyingKey]

    package init(certificate: SignedCertificate, authorities: [VerifyingKey]) {
        self.certificate = certificate
        self.authorities = authorities
    }
}
