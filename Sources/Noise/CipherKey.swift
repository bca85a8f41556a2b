import CSodium
import FastAES

/// A key that is prepared for its cipher: it seals and opens, and never allocates. Memory is the caller's. The
/// implementation is chosen when the key is made, and all give the same bytes.
///
/// A prepared key needs 512 or 768 bytes. A key that is not used for a while can rest. Then it keeps only its 32 bytes,
/// still works, and is prepared again for each message, in less than a microsecond.
package struct CipherKey: ~Copyable, Sendable {
    package let cipher: Cipher
    private var engine: Engine

    private enum Engine: ~Copyable, Sendable {
        /// The key.
        case chaChaPoly(SecretBytes)
        /// libsodium's expanded key schedule, and behind it the key.
        case aesGCM(SecretBytes)
        case fastAESGCM(FastAESKey)
        /// The key alone of one of these two.
        case restingAESGCM(SecretBytes)
        case restingFastAESGCM(SecretBytes)
    }

    /// The cipher must be available, and the key must have 32 bytes.
    package init(
        _ cipher: Cipher, key: borrowing SecretBytes, acceleration: CipherAcceleration = .current
    ) {
        precondition(key.count == Cipher.keyCount, "a cipher key of \(key.count) bytes")
        precondition(cipher.isAvailable, "\(cipher.name) is not available on this processor")
        self.cipher = cipher
        switch cipher {
        case .chaChaPoly:
            engine = .chaChaPoly(key.copy())
        case .aesGCM where acceleration.isEffective:
            engine = .fastAESGCM(FastAESKey(key.pointer))
        case .aesGCM:
            let expanded = SecretBytes(count: crypto_aead_aes256gcm_statebytes() + Cipher.keyCount)
            (expanded.pointer + crypto_aead_aes256gcm_statebytes()).update(from: key.pointer, count: Cipher.keyCount)
            let result = crypto_aead_aes256gcm_beforenm(OpaquePointer(expanded.pointer).state, key.pointer)
            precondition(result == 0, "crypto_aead_aes256gcm_beforenm: \(result)")
            engine = .aesGCM(expanded)
        }
    }

    private init(_ cipher: Cipher, engine: consuming Engine) {
        self.cipher = cipher
        self.engine = engine
    }

    package func copy() -> CipherKey {
        switch engine {
        case .chaChaPoly(let key): CipherKey(cipher, engine: .chaChaPoly(key.copy()))
        case .aesGCM(let key): CipherKey(cipher, engine: .aesGCM(key.copy()))
        case .fastAESGCM(let key): CipherKey(cipher, engine: .fastAESGCM(key.copy()))
        case .restingAESGCM(let key): CipherKey(cipher, engine: .restingAESGCM(key.copy()))
        case .restingFastAESGCM(let key): CipherKey(cipher, engine: .restingFastAESGCM(key.copy()))
        }
    }

    package var isResting: Bool {
        switch engine {
        case .restingAESGCM: true
        case .restingFastAESGCM: true
        case .chaChaPoly: false
        case .aesGCM: false
        case .fastAESGCM: false
        }
    }

    /// Keeps only the key, where that is less.
    package mutating func rest() {
        if !isResting { self = resting() }
    }

    /// Prepares the key again, if it rests.
    package mutating func wake() {
        if isResting { self = awake() }
    }

    @inline(never)
    private func resting() -> CipherKey {
        switch engine {
        case .aesGCM(let expanded):
            let count = crypto_aead_aes256gcm_statebytes()
            return CipherKey(cipher, engine: .restingAESGCM(expanded.slice(count..<count + Cipher.keyCount)))
        case .fastAESGCM(let expanded):
            let key = SecretBytes(count: Cipher.keyCount)
            expanded.copyKey(to: key.pointer)
            return CipherKey(cipher, engine: .restingFastAESGCM(key))
        default: return copy()
        }
    }

    @inline(never)
    private func awake() -> CipherKey {
        switch engine {
        case .restingAESGCM(let key): CipherKey(cipher, key: key, acceleration: .off)
        case .restingFastAESGCM(let key): CipherKey(cipher, key: key, acceleration: .auto)
        default: copy()
        }
    }

    /// Whether an implementation that is faster than libsodium is used.
    package var isAccelerated: Bool {
        switch engine {
        case .chaChaPoly: false
        case .aesGCM: false
        case .fastAESGCM: true
        case .restingAESGCM: false
        case .restingFastAESGCM: true
        }
    }

    /// Seals `count` bytes and writes the tag into the 16 bytes after them, so there must be room for `count + 16`.
    /// `to` is `from` or does not overlap it.
    package func seal(
        from source: UnsafeRawPointer, count: Int, to destination: UnsafeMutableRawPointer, nonce: Nonce,
        aad: UnsafeRawBufferPointer
    ) {
        precondition(count >= 0, "\(count) bytes to seal")
        let from = source.assumingMemoryBound(to: UInt8.self), to = destination.assumingMemoryBound(to: UInt8.self)
        let ad = aad.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let length = UInt64(count), adLength = UInt64(aad.count)
        let result: Int32 = nonce.withBytes { bytes in
            switch engine {
            case .chaChaPoly(let key):
                return crypto_aead_chacha20poly1305_ietf_encrypt_detached(
                    to, to + count, nil, from, length, ad, adLength, nil, bytes, key.pointer)
            case .aesGCM(let key):
                return crypto_aead_aes256gcm_encrypt_detached_afternm(
                    to, to + count, nil, from, length, ad, adLength, nil, bytes, OpaquePointer(key.pointer).state)
            case .fastAESGCM(let key):
                key.seal(
                    from: from, count: count, to: to, tag: to + count, nonce: bytes, aad: ad, aadCount: aad.count)
                return 0
            default:
                sealResting(from: source, count: count, to: destination, nonce: nonce, aad: aad)
                return 0
            }
        }
        precondition(result == 0, "\(cipher.name): sealing \(count) bytes failed with \(result)")
    }

    /// Opens `count` bytes, after which their tag lies, into as many. `to` is `from` or does not overlap it. False if
    /// they are not authentic; the destination then holds zeros.
    package func open(
        from source: UnsafeRawPointer, count: Int, to destination: UnsafeMutableRawPointer, nonce: Nonce,
        aad: UnsafeRawBufferPointer
    ) -> Bool {
        precondition(count >= 0, "\(count) bytes to open")
        let from = source.assumingMemoryBound(to: UInt8.self), to = destination.assumingMemoryBound(to: UInt8.self)
        let ad = aad.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let length = UInt64(count), adLength = UInt64(aad.count)
        return nonce.withBytes { bytes in
            switch engine {
            case .chaChaPoly(let key):
                crypto_aead_chacha20poly1305_ietf_decrypt_detached(
                    to, nil, from, length, from + count, ad, adLength, bytes, key.pointer) == 0
            case .aesGCM(let key):
                crypto_aead_aes256gcm_decrypt_detached_afternm(
                    to, nil, from, length, from + count, ad, adLength, bytes, OpaquePointer(key.pointer).state) == 0
            case .fastAESGCM(let key):
                key.open(
                    from: from, count: count, to: to, tag: from + count, nonce: bytes, aad: ad, aadCount: aad.count)
            default: openResting(from: source, count: count, to: destination, nonce: nonce, aad: aad)
            }
        }
    }

    // Separate functions, so that they cost nothing for keys that do not rest.
    @inline(never)
    private func sealResting(
        from source: UnsafeRawPointer, count: Int, to destination: UnsafeMutableRawPointer, nonce: Nonce,
        aad: UnsafeRawBufferPointer
    ) {
        awake().seal(from: source, count: count, to: destination, nonce: nonce, aad: aad)
    }

    @inline(never)
    private func openResting(
        from source: UnsafeRawPointer, count: Int, to destination: UnsafeMutableRawPointer, nonce: Nonce,
        aad: UnsafeRawBufferPointer
    ) -> Bool {
        awake().open(from: source, count: count, to: destination, nonce: nonce, aad: aad)
    }

    /// Seals the first `count` bytes of `buffer` in place and writes the tag into the 16 bytes after them.
    package func seal(
        _ buffer: UnsafeMutableRawBufferPointer, count: Int, nonce: Nonce, aad: UnsafeRawBufferPointer
    ) {
        precondition(count >= 0 && buffer.count >= count + Cipher.tagCount, "\(count) bytes to seal in \(buffer.count)")
        let text = buffer.baseAddress!
        seal(from: text, count: count, to: text, nonce: nonce, aad: aad)
    }

    /// Opens `buffer`, ciphertext and tag, in place; the plaintext is all but its last 16 bytes. False if it is not
    /// authentic; the buffer's content is then lost.
    package func open(
        _ buffer: UnsafeMutableRawBufferPointer, nonce: Nonce, aad: UnsafeRawBufferPointer
    ) -> Bool {
        guard buffer.count >= Cipher.tagCount else { return false }
        let text = buffer.baseAddress!
        return open(from: text, count: buffer.count - Cipher.tagCount, to: text, nonce: nonce, aad: aad)
    }

    /// REKEY(k) of section 4.2: the first 32 bytes of 32 zeros, sealed under the greatest nonce.
    package func rekeyed() -> CipherKey {
        let block = SecretBytes(count: Cipher.keyCount + Cipher.tagCount)
        seal(
            UnsafeMutableRawBufferPointer(start: block.pointer, count: block.count), count: Cipher.keyCount,
            nonce: Nonce(.max, for: cipher), aad: UnsafeRawBufferPointer(start: nil, count: 0))
        return CipherKey(
            cipher, key: block.slice(0..<Cipher.keyCount), acceleration: isAccelerated ? .auto : .off)
    }
}

extension OpaquePointer {
    fileprivate var state: UnsafeMutablePointer<crypto_aead_aes256gcm_state> { UnsafeMutablePointer(self) }
}
