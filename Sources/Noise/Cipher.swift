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
    /// Three words in memory order.
    private var words: (UInt32, UInt32, UInt32)

    /// Section 12.3: 32 bits of zeros, then the counter, little-endian for ChaChaPoly and big-endian for AESGCM.
    package init(_ counter: UInt64, for cipher: Cipher) {
        let low = UInt32(truncatingIfNeeded: counter), high = UInt32(truncatingIfNeeded: counter >> 32)
        switch cipher {
        case .chaChaPoly: words = (0, low.littleEndian, high.littleEndian)
        case .aesGCM: words = (0, high.bigEndian, low.bigEndian)
        }
    }

    /// `nil` unless exactly 12 bytes are given.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == 12 else { return nil }
        words = bytes.withUnsafeBytes { raw in
            (
                raw.loadUnaligned(fromByteOffset: 0, as: UInt32.self),
                raw.loadUnaligned(fromByteOffset: 4, as: UInt32.self),
                raw.loadUnaligned(fromByteOffset: 8, as: UInt32.self)
            )
        }
    }

    fileprivate func withBytes<Result>(_ body: (UnsafePointer<UInt8>) -> Result) -> Result {
        withUnsafeBytes(of: words) { body($0.baseAddress!.assumingMemoryBound(to: UInt8.self)) }
    }
}

/// A key, made ready for its cipher: seals and opens in place, and never allocates. Memory is the caller's.
package struct CipherKey: ~Copyable, Sendable {
    package let cipher: Cipher
    /// ChaChaPoly: the key. AESGCM: libsodium's expanded key schedule.
    private let material: SecretBytes

    /// The cipher must be available, and the key must have 32 bytes.
    package init(_ cipher: Cipher, key: borrowing SecretBytes) {
        precondition(key.count == Cipher.keyCount, "a cipher key of \(key.count) bytes")
        precondition(cipher.isAvailable, "\(cipher.name) is not available on this processor")
        self.cipher = cipher
        switch cipher {
        case .chaChaPoly:
            material = key.copy()
        case .aesGCM:
            let expanded = SecretBytes(count: crypto_aead_aes256gcm_statebytes())
            let result = crypto_aead_aes256gcm_beforenm(OpaquePointer(expanded.pointer).state, key.pointer)
            precondition(result == 0, "crypto_aead_aes256gcm_beforenm: \(result)")
            material = expanded
        }
    }

    private init(_ cipher: Cipher, material: consuming SecretBytes) {
        self.cipher = cipher
        self.material = material
    }

    package func copy() -> CipherKey { CipherKey(cipher, material: material.copy()) }

    /// Seals the first `count` bytes of `buffer` in place and writes the tag into the 16 bytes after them.
    package func seal(
        _ buffer: UnsafeMutableRawBufferPointer, count: Int, nonce: Nonce, aad: UnsafeRawBufferPointer
    ) {
        precondition(count >= 0 && buffer.count >= count + Cipher.tagCount, "\(count) bytes to seal in \(buffer.count)")
        let text = buffer.baseAddress!.assumingMemoryBound(to: UInt8.self)
        let ad = aad.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let length = UInt64(count), adLength = UInt64(aad.count)
        let result = nonce.withBytes { nonce in
            switch cipher {
            case .chaChaPoly:
                crypto_aead_chacha20poly1305_ietf_encrypt_detached(
                    text, text + count, nil, text, length, ad, adLength, nil, nonce, material.pointer)
            case .aesGCM:
                crypto_aead_aes256gcm_encrypt_detached_afternm(
                    text, text + count, nil, text, length, ad, adLength, nil, nonce,
                    OpaquePointer(material.pointer).state)
            }
        }
        precondition(result == 0, "\(cipher.name): sealing \(count) bytes failed with \(result)")
    }

    /// Opens `buffer`, ciphertext and tag, in place; the plaintext is all but its last 16 bytes. False if it is not
    /// authentic; the buffer's content is then lost.
    package func open(
        _ buffer: UnsafeMutableRawBufferPointer, nonce: Nonce, aad: UnsafeRawBufferPointer
    ) -> Bool {
        guard buffer.count >= Cipher.tagCount else { return false }
        let count = buffer.count - Cipher.tagCount
        let text = buffer.baseAddress!.assumingMemoryBound(to: UInt8.self)
        let ad = aad.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let length = UInt64(count), adLength = UInt64(aad.count)
        return nonce.withBytes { nonce in
            switch cipher {
            case .chaChaPoly:
                crypto_aead_chacha20poly1305_ietf_decrypt_detached(
                    text, nil, text, length, text + count, ad, adLength, nonce, material.pointer) == 0
            case .aesGCM:
                crypto_aead_aes256gcm_decrypt_detached_afternm(
                    text, nil, text, length, text + count, ad, adLength, nonce,
                    OpaquePointer(material.pointer).state) == 0
            }
        }
    }

    /// REKEY(k) of section 4.2: the first 32 bytes of 32 zeros, sealed under the greatest nonce.
    package func rekeyed() -> CipherKey {
        let block = SecretBytes(count: Cipher.keyCount + Cipher.tagCount)
        seal(
            UnsafeMutableRawBufferPointer(start: block.pointer, count: block.count), count: Cipher.keyCount,
            nonce: Nonce(.max, for: cipher), aad: UnsafeRawBufferPointer(start: nil, count: 0))
        return CipherKey(cipher, key: block.slice(0..<Cipher.keyCount))
    }
}

extension OpaquePointer {
    fileprivate var state: UnsafeMutablePointer<crypto_aead_aes256gcm_state> { UnsafeMutablePointer(self) }
}
