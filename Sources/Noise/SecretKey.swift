package import Base
import CSodium

/// An X25519 private key (RFC 7748) with its public key, which is the owner's `NodeID`.
package struct SecretKey: ~Copyable, Sendable {
    package static let count = 32

    package let publicKey: NodeID
    private let secret: SecretBytes

    /// `nil` unless exactly 32 bytes are given. Every 32 bytes are a key: X25519 clamps them itself.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == SecretKey.count else { return nil }
        self.init(SecretBytes(bytes))
    }

    init(_ secret: consuming SecretBytes) {
        precondition(secret.count == SecretKey.count, "an X25519 key of \(secret.count) bytes")
        let point = [UInt8](unsafeUninitializedCapacity: 32) { point, count in
            // The base point has no small order, so this cannot fail.
            let result = crypto_scalarmult_base(point.baseAddress!, secret.pointer)
            precondition(result == 0, "crypto_scalarmult_base: \(result)")
            count = 32
        }
        self.secret = secret
        // 32 bytes make a NodeID.
        publicKey = NodeID(point)!
    }

    package func copy() -> SecretKey { SecretKey(secret: secret.copy(), publicKey: publicKey) }

    private init(secret: consuming SecretBytes, publicKey: NodeID) {
        self.secret = secret
        self.publicKey = publicKey
    }

    /// The private key, to be kept in a file; this copy is not wiped.
    package func bytes() -> [UInt8] { secret.bytes() }

    /// The raw X25519 secret, 32 bytes: input of a key derivation, never itself a key.
    package func agree(with remote: NodeID) throws(KeyAgreementError) -> SecretBytes {
        let shared = SecretBytes(count: 32)
        // Nonzero for a point of small order, and for an all-zero result.
        guard crypto_scalarmult(shared.pointer, secret.pointer, remote.bytes) == 0 else { throw .lowOrderPoint }
        return shared
    }
}
