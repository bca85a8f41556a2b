/// Section 5.1 of the Noise specification: a key, which may be empty, and the nonce of its next message.
package struct CipherState: ~Copyable, Sendable {
    package let cipher: Cipher
    private(set) var key: CipherKey?
    package private(set) var nonce: UInt64 = 0

    /// Without a key; messages are then passed unchanged.
    init(_ cipher: Cipher) {
        self.cipher = cipher
        key = nil
    }

    package init(_ cipher: Cipher, key: borrowing SecretBytes) {
        self.cipher = cipher
        self.key = CipherKey(cipher, key: key)
    }

    private init(_ cipher: Cipher, key: consuming CipherKey?, nonce: UInt64) {
        self.cipher = cipher
        self.key = key
        self.nonce = nonce
    }

    package var hasKey: Bool {
        switch key {
        case .some: true
        case .none: false
        }
    }

    package mutating func setNonce(_ nonce: UInt64) { self.nonce = nonce }

    /// EncryptWithAd: ciphertext and tag.
    package mutating func encrypt(_ plaintext: [UInt8], ad: [UInt8] = []) throws(HandshakeError) -> [UInt8] {
        guard hasKey else { return plaintext }
        // The greatest nonce is for REKEY alone.
        guard nonce < .max else { throw .nonceExhausted }
        var text = plaintext + [UInt8](repeating: 0, count: Cipher.tagCount)
        switch key {
        case .some(let key):
            text.withUnsafeMutableBytes { text in
                ad.withUnsafeBytes { ad in
                    key.seal(text, count: plaintext.count, nonce: Nonce(nonce, for: cipher), aad: ad)
                }
            }
        case .none: break
        }
        nonce += 1
        return text
    }

    /// DecryptWithAd. The nonce moves on only if the message is authentic.
    package mutating func decrypt(_ ciphertext: [UInt8], ad: [UInt8] = []) throws(HandshakeError) -> [UInt8] {
        guard hasKey else { return ciphertext }
        guard nonce < .max else { throw .nonceExhausted }
        guard ciphertext.count >= Cipher.tagCount else { throw .tooShort }
        var text = ciphertext, isAuthentic = false
        switch key {
        case .some(let key):
            isAuthentic = text.withUnsafeMutableBytes { text in
                ad.withUnsafeBytes { ad in key.open(text, nonce: Nonce(nonce, for: cipher), aad: ad) }
            }
        case .none: break
        }
        guard isAuthentic else { throw .notAuthentic }
        nonce += 1
        text.removeLast(Cipher.tagCount)
        return text
    }

    /// Section 4.2: a new key from the present one; the nonce stays.
    package mutating func rekey() {
        switch self.key.take() {
        case .some(let key): self.key = key.rekeyed()
        case .none: preconditionFailure("rekey without a key")
        }
    }

    func copy() -> CipherState {
        switch key {
        case .some(let key): CipherState(cipher, key: key.copy(), nonce: nonce)
        case .none: CipherState(cipher, key: nil, nonce: nonce)
        }
    }

    /// A copy of the key. There must be one.
    package func copyKey() -> CipherKey {
        switch key {
        case .some(let key): return key.copy()
        case .none: preconditionFailure("no key to copy")
        }
    }

    /// The key alone, for a caller with its own counter. There must be one.
    package consuming func takeKey() -> CipherKey {
        switch consume key {
        case .some(let key): return key
        case .none: preconditionFailure("no key to take")
        }
    }
}

/// The result of Split(): one state for each direction.
package struct CipherStates: ~Copyable, Sendable {
    package var send: CipherState
    package var receive: CipherState

    init(send: consuming CipherState, receive: consuming CipherState) {
        self.send = send
        self.receive = receive
    }
}
