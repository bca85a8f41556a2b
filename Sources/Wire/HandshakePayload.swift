package import Base

/// What both handshake messages carry, encrypted: who the sender is, and which of its associations this is.
///
/// ```
/// version 1 | flags 1 | association 8 | certificate length varint, bytes | zeros to the end
/// ```
///
/// `association` is drawn again when the sender has lost its state of the receiver (a restart, a time-out). A receiver
/// that sees another number than last time knows that its streams with that peer are lost. The zeros pad the first
/// message to at least the size of the second, so that a responder amplifies nothing.
package struct HandshakePayload: Hashable, Sendable {
    package static let version: UInt8 = 1

    /// The sender has AES-256-GCM in hardware.
    package var hasAESGCM: Bool
    package var association: UInt64
    /// An encoded `SignedCertificate`; empty if the sender has none yet and enrols.
    package var certificate: [UInt8]

    package init(hasAESGCM: Bool, association: UInt64, certificate: [UInt8]) {
        self.hasAESGCM = hasAESGCM
        self.association = association
        self.certificate = certificate
    }

    package init(reading reader: inout ByteReader) throws(DecodeError) {
        guard try reader.uint8("version") == HandshakePayload.version else {
            throw DecodeError(.invalidValue, "version", at: 0)
        }
        let flags = try reader.uint8("flags")
        guard flags & ~1 == 0 else { throw DecodeError(.invalidValue, "flags", at: 1) }
        hasAESGCM = flags & 1 != 0
        association = try reader.uint64("association")
        certificate = try reader.sized("certificate", limit: Limits.certificateBytes)
        while !reader.isAtEnd {
            guard try reader.uint8("padding") == 0 else {
                throw DecodeError(.invalidValue, "padding", at: reader.offset)
            }
        }
    }

    /// The payload, padded with zeros to `size` bytes if it is shorter.
    package func encoded(paddedTo size: Int = 0) -> [UInt8] {
        var writer = ByteWriter(reserving: size)
        writer.uint8(HandshakePayload.version)
        writer.uint8(hasAESGCM ? 1 : 0)
        writer.uint64(association)
        writer.sized(certificate)
        if writer.count < size { writer.zeros(size - writer.count) }
        return writer.bytes
    }
}
