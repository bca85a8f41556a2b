package import Base
package import Noise
package import Wire

/// What a node trusts: the keys of its fleet's authorities, and the fleet if it is in one.
///
/// The beginning of a certificate's validity is not checked. No authority of the project signs a certificate for a later
/// time. So a certificate from the future only shows that two clocks differ, and refusing it would cut off the node that
/// needs to learn that. The end is checked, except for `pinned` nodes: a node that knows a controller's key trusts it without
/// a date.
package struct CertificateCheck: Sendable {
    package let authorities: [VerifyingKey]
    package let fleet: FleetID?
    /// Nodes whose keys were learned from a token or an admission: the fleet's controllers.
    package let pinned: [NodeID]

    package init(authorities: [VerifyingKey], fleet: FleetID?, pinned: [NodeID] = []) {
        self.authorities = authorities
        self.fleet = fleet
        self.pinned = pinned
    }

    /// The certificate in `bytes`, if it is `node`'s, an authority's, of this fleet, and not expired at `wall`.
    package func check(_ bytes: [UInt8], of node: NodeID, wall: UnixTime) throws(CertificateFault) -> Certificate {
        let signed: SignedCertificate
        do throws(DecodeError) { signed = try SignedCertificate(decoding: bytes) } catch { throw .unreadable }
        let certificate = signed.certificate
        // The fleet first: an unauthenticated peer from another fleet deserves to be counted as that.
        if let fleet, certificate.fleet != fleet { throw .foreignFleet }
        let encoded = certificate.encoded()
        guard authorities.contains(where: { $0.verifies(signed.signature, of: encoded) }) else { throw .badSignature }
        guard certificate.node == node else { throw .wrongNode }
        guard wall < certificate.notAfter + MeshConfiguration.clockSlack || pinned.contains(node) else {
            throw .expired
        }
        return certificate
    }
}
