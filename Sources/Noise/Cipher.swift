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
    /// blocks) keep an attacker's advantage below 2^-57, as RFC 8446, section 5.5 requires. For ChaCha20-Poly1305 it is
    /// WireGuard's REKEY_AFTER_MESSAGES.
    package var rekeyAfterMessages: UInt64 {
        switch self {
        case .chaChaPoly: 1 << 60
        case .aesGCM: 1 << 28
        }
    }
}
