import CSodium

/// A cipher of a Noise protocol name (Noise revision 34, section 12.3).
package enum Cipher: Hashable, Sendable, CaseIterable {
    case chaChaPoly, aesGCM

    /// What sealing adds, in bytes.
    package static let tagCount = 16
    package static let keyCount = 32

    /// libsodium has AES-256-GCM only where the processor has instructions for AES and carry-less multiplication.
    package var isAvailable: Bool {
        _ = sodiumIsReady
        return switch self {
        case .chaChaPoly: true
        case .aesGCM: crypto_aead_aes256gcm_is_available() != 0
        }
    }

    /// As protocol names have it.
    package var name: String {
        switch self {
        case .chaChaPoly: "ChaChaPoly"
        case .aesGCM: "AESGCM"
        }
    }

    /// After how many messages a session should move to new keys. For AES-GCM 2^28 datagrams of 1500 bytes (2^35
    /// blocks) keep an attacker's advantage below 2^-57, as RFC 8446, section 5.5 wants it; for ChaCha20-Poly1305 it is
    /// WireGuard's REKEY_AFTER_MESSAGES.
    package var rekeyAfterMessages: UInt64 {
        switch self {
        case .chaChaPoly: 1 << 60
        case .aesGCM: 1 << 28
        }
    }
}

/// The 96-bit nonce that both ciphers take.
package struct Nonce: Sendable {
    /// Eight bytes and four, in memory order: ciphers read them so, and a processor waits where a read spans two writes.
    private var parts: (UInt64, UInt32)

    /// Section 12.3: 32 bits of zeros, then the counter, little-endian for ChaChaPoly and big-endian for AESGCM.
    package init(_ counter: UInt64, for cipher: Cipher) {
        let low = UInt32(truncatingIfNeeded: counter), high = UInt32(truncatingIfNeeded: counter >> 32)
        switch cipher {
        case .chaChaPoly: parts = ((UInt64(low) << 32).littleEndian, high.littleEndian)
        case .aesGCM: parts = (UInt64(high).bigEndian, low.bigEndian)
        }
    }

    /// `nil` unless exactly 12 bytes are given.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == 12 else { return nil }
        parts = bytes.withUnsafeBytes { raw in
            (
                raw.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
                raw.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
            )
        }
    }

    func withBytes<Result>(_ body: (UnsafePointer<UInt8>) -> Result) -> Result {
        withUnsafeBytes(of: parts) { body($0.baseAddress!.assumingMemoryBound(to: UInt8.self)) }
    }
}
