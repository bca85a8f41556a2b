package import Base
package import Noise
package import Wire

/// The fleet's authority: the holder of its Ed25519 key decides which nodes belong to the fleet. Only a controller has
/// one.
package struct Authority: ~Copyable {
    package let fleet: FleetID
    private let key: SigningKey

    /// How long a certificate of a node is valid; it is renewed at two thirds of that.
    package static let life = Interval.minutes(30 * 24 * 60)
    /// A certificate is valid from a little before it was made, for clocks that are behind.
    private static let backdating = Interval.minutes(10)

    package init(fleet: FleetID, key: consuming SigningKey) {
        self.fleet = fleet
        self.key = key
    }

    package var verifyingKey: VerifyingKey { key.verifyingKey }

    package func issue(
        _ serial: UInt64, to node: NodeID, name: String, site: String, labels: [Label], roles: Roles,
        overlay4: IPAddress = .any4, wall: UnixTime
    ) -> SignedCertificate {
        var certificate = Certificate(
            fleet: fleet, serial: serial, node: node, roles: roles,
            notBefore: wall + Interval(nanoseconds: -Authority.backdating.nanoseconds), notAfter: wall + Authority.life,
            name: name, site: site, labels: labels)
        certificate.overlay4 = overlay4
        return SignedCertificate(certificate, signature: key.sign(certificate.encoded()))
    }
}
