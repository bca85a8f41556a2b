import Base
import CSodium

/// An Ed25519 private key (RFC 8032), with which a fleet's CA signs.
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

    /// The private key, to be kept in a file; this copy is not wiped.
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
