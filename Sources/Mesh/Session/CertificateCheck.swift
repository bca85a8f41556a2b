package import Base
package import Noise
package import Wire

/// Why a certificate does not prove what it says.
package enum CertificateFault: Error, Hashable, Sendable, CaseIterable {
    case unreadable
    case foreignFleet
    case badSignature
    case expired
    case notYetValid
    case wrongNode
    /// There is none, and one is needed.
    case missing

    var drop: DropReason {
        switch self {
        case .unreadable: .badPayload
        case .foreignFleet: .foreignFleet
        case .badSignature: .badSignature
        case .expired: .expiredCertificate
        case .notYetValid: .notYetValidCertificate
        case .wrongNode: .wrongNode
        case .missing: .anonymousRefused
        }
    }
}

/// Whom a node believes: the keys of its fleet's authorities, and the fleet if it is in one.
package struct CertificateCheck: Sendable {
    package var authorities: [VerifyingKey]
    package var fleet: FleetID?
    package var slack: Interval

    package init(authorities: [VerifyingKey], fleet: FleetID?, slack: Interval) {
        self.authorities = authorities
        self.fleet = fleet
        self.slack = slack
    }

    /// The certificate in `bytes`, if it is `node`'s, an authority's, of this fleet, and valid at `wall`, give or take.
    package func check(_ bytes: [UInt8], of node: NodeID, wall: UnixTime) throws(CertificateFault) -> Certificate {
        let signed: SignedCertificate
        do throws(DecodeError) { signed = try SignedCertificate(decoding: bytes) } catch { throw .unreadable }
        let certificate = signed.certificate
        // The fleet first: a stranger from another fleet deserves to be counted as that.
        if let fleet, certificate.fleet != fleet { throw .foreignFleet }
        let encoded = certificate.encoded()
        guard authorities.contains(where: { $0.verifies(signed.signature, of: encoded) }) else { throw .badSignature }
        guard certificate.node == node else { throw .wrongNode }
        guard wall < certificate.notAfter + slack else { throw .expired }
        guard certificate.notBefore < wall + slack else { throw .notYetValid }
        return certificate
    }
}
