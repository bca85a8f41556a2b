/// Why a certificate does not prove what it states.
package enum CertificateFault: Error, Hashable, Sendable, CaseIterable {
    case unreadable
    case foreignFleet
    case badSignature
    case expired
    case wrongNode
    /// There is none, and one is needed.
    case missing

    var drop: DropReason {
        switch self {
        case .unreadable: .badPayload
        case .foreignFleet: .foreignFleet
        case .badSignature: .badSignature
        case .expired: .expiredCertificate
        case .wrongNode: .wrongNode
        case .missing: .anonymousRefused
        }
    }
}
