package import Base

/// A certificate and its signature, as it is sent and stored.
package struct SignedCertificate: Hashable, Sendable {
    package var certificate: Certificate
    package var signature: [UInt8]

    package init(_ certificate: Certificate, signature: [UInt8]) {
        precondition(signature.count == Certificate.signatureSize, "a signature of \(signature.count) bytes")
        self.certificate = certificate
        self.signature = signature
    }

    package init(decoding bytes: [UInt8]) throws(DecodeError) {
        guard bytes.count <= Limits.certificateBytes else {
            throw DecodeError(.tooLong, "certificate", at: bytes.count)
        }
        var reader = ByteReader(bytes.span.bytes)
        certificate = try Certificate(reading: &reader)
        signature = try reader.bytes(Certificate.signatureSize, "signature")
        try reader.expectEnd("certificate")
    }

    package func encoded() -> [UInt8] { certificate.encoded() + signature }
}
