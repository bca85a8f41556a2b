package import Base
import CSodium

/// Why no secret could be agreed.
package enum KeyAgreementError: Error, Hashable, Sendable {
    /// The other side's point has a small order: the result would be the same for every private key (RFC 7748, 6.1).
    case lowOrderPoint
}

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

    /// The private key, to be kept in a file; nobody wipes this copy.
    package func bytes() -> [UInt8] { secret.bytes() }

    /// The raw X25519 secret, 32 bytes: input of a key derivation, never itself a key.
    package func agree(with remote: NodeID) throws(KeyAgreementError) -> SecretBytes {
        let shared = SecretBytes(count: 32)
        // Nonzero for a point of small order, and for an all-zero result.
        guard crypto_scalarmult(shared.pointer, secret.pointer, remote.bytes) == 0 else { throw .lowOrderPoint }
        return shared
    }
}

/// An Ed25519 private key (RFC 8032): what a fleet's CA signs with.
package struct SigningKey: ~Copyable, Sendable {
    package static let count = 32

    package let verifyingKey: VerifyingKey
    /// libsodium's form: the 32-byte seed, then the public key.
    private let secret: SecretBytes

    /// The RFC's private key; `nil` unless exactly 32 bytes are given.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == SigningKey.count else { return nil }
        self.init(SecretBytes(bytes))
    }

    init(_ seed: consuming SecretBytes) {
        precondition(seed.count == SigningKey.count, "an Ed25519 key of \(seed.count) bytes")
        let secret = SecretBytes(count: Int(crypto_sign_SECRETKEYBYTES))
        let point = [UInt8](unsafeUninitializedCapacity: 32) { point, count in
            let result = crypto_sign_seed_keypair(point.baseAddress!, secret.pointer, seed.pointer)
            precondition(result == 0, "crypto_sign_seed_keypair: \(result)")
            count = 32
        }
        self.secret = secret
        // 32 bytes make a key.
        verifyingKey = VerifyingKey(point)!
    }

    /// The private key, to be kept in a file; nobody wipes this copy.
    package func bytes() -> [UInt8] { secret.slice(0..<SigningKey.count).bytes() }

    /// 64 bytes, the same each time for the same message.
    package func sign(_ message: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: VerifyingKey.signatureCount) { signature, count in
            var length: UInt64 = 0
            let result = crypto_sign_detached(
                signature.baseAddress!, &length, message, UInt64(message.count), secret.pointer)
            precondition(result == 0 && length == 64, "crypto_sign_detached: \(result), \(length) bytes")
            count = VerifyingKey.signatureCount
        }
    }
}

/// An Ed25519 public key.
package struct VerifyingKey: Hashable, Sendable {
    package static let signatureCount = 64

    package let bytes: [UInt8]

    /// `nil` unless exactly 32 bytes are given. Whether they are a point of the curve shows when verifying.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        self.bytes = Array(bytes)
    }

    /// 64 hexadecimal digits.
    package init?(hex: some StringProtocol) {
        guard let bytes = [UInt8](hex: hex) else { return nil }
        self.init(bytes)
    }

    /// Strict: a signature has one form (S below the group's order), and keys of small order verify nothing.
    package func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        _ = sodiumIsReady
        guard signature.count == VerifyingKey.signatureCount else { return false }
        return crypto_sign_verify_detached(signature, message, UInt64(message.count), bytes) == 0
    }
}

extension VerifyingKey: CustomStringConvertible {
    package var description: String { bytes.hex }
}
