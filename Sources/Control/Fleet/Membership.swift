import Base
import Mesh
import Noise
import Wire

/// The certificates that a member shows and accepts.
struct Membership: Sendable {
    let admission: Admission
    let credentials: Credentials
    let overlay: OverlayPlace

    var certificate: Certificate { credentials.certificate.certificate }

    /// `nil` for what cannot be read. Signatures are checked where an admission comes from the network.
    init?(_ admission: Admission) {
        guard let certificate = try? SignedCertificate(decoding: admission.certificate) else { return nil }
        var admission = admission
        // A node connects to others, never to itself.
        admission.controllers.removeAll { $0.node == certificate.certificate.node }
        let authorities = admission.authorities.compactMap { VerifyingKey($0) }
        guard !authorities.isEmpty, authorities.count == admission.authorities.count, !admission.controllers.isEmpty
        else { return nil }
        self.admission = admission
        credentials = Credentials(certificate: certificate, authorities: authorities)
        let body = certificate.certificate
        overlay = OverlayPlace(
            v4: body.overlay4Given, network4: admission.overlayNetwork,
            v6: body.overlay6,
            network6: OverlayAddress.network6(of: body.fleet))
    }

    /// Two thirds of the certificate's life are over.
    var renewalTime: UnixTime {
        let life = certificate.notAfter.milliseconds - certificate.notBefore.milliseconds
        return UnixTime(milliseconds: certificate.notBefore.milliseconds + life / 3 * 2)
    }
}
