package import Base
import CSodium

/// # Where secrets come from
///
/// The daemon draws 32 bytes from the kernel once, and the simulator takes them from its seed. All secrets are derived
/// from them: ephemeral keys, cookie secrets, nonces. One seed gives one sequence, so a simulated fleet with real
/// cryptography can be repeated exactly.
///
/// The generator is ChaCha20 with fast key erasure (D. J. Bernstein, "Fast-key-erasure random-number generators",
/// 2017): each draw runs the key stream of the present key. Its first 32 bytes become the next key, the present key is
/// wiped, and the rest is returned. An attacker who reads the memory later learns nothing about earlier keys.
package struct KeyGenerator: ~Copyable, Sendable {
    private var key: SecretBytes

    package init(_ seed: Seed) { key = SecretBytes(seed.bytes) }

    /// An X25519 key pair.
    package mutating func secretKey() -> SecretKey { SecretKey(secretBytes(SecretKey.count)) }
    /// An Ed25519 key pair.
    package mutating func signingKey() -> SigningKey { SigningKey(secretBytes(SigningKey.count)) }

    package mutating func secretBytes(_ count: Int) -> SecretBytes {
        let stream = draw(count)
        return stream.slice(KeyGenerator.keyCount..<KeyGenerator.keyCount + count)
    }

    /// Bytes that need not be wiped: nonces, indices, challenges.
    package mutating func bytes(_ count: Int) -> [UInt8] { secretBytes(count).bytes() }

    package mutating func uint32() -> UInt32 { UInt32(truncatingIfNeeded: uint64()) }

    package mutating func uint64() -> UInt64 {
        let stream = draw(8)
        return (0..<8).reduce(0) { $0 | UInt64(stream.pointer[KeyGenerator.keyCount + $1]) << UInt64($1 * 8) }
    }

    /// A separate generator for a part, so that one part's draws do not change another's.
    package mutating func split() -> KeyGenerator { KeyGenerator(key: secretBytes(KeyGenerator.keyCount)) }

    private static let keyCount = 32

    private init(key: consuming SecretBytes) { self.key = key }

    /// The key stream: the next key, which is kept here, then `count` bytes for the caller.
    private mutating func draw(_ count: Int) -> SecretBytes {
        precondition(count >= 0, "a draw of \(count) bytes")
        let stream = SecretBytes(count: KeyGenerator.keyCount + count)
        // ChaCha20 (RFC 8439) with a fixed nonce: a key is used for one draw.
        randombytes_buf_deterministic(stream.pointer, stream.count, key.pointer)
        key = stream.slice(0..<KeyGenerator.keyCount)
        return stream
    }
}
