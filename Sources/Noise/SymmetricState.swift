/// Section 5.2 of the Noise specification. Every secret is mixed into the chaining key `ck`. Every ciphertext
/// authenticates `h`, the hash of everything sent so far.
package struct SymmetricState: ~Copyable, Sendable {
    package let hash: HashFunction
    private var cipherState: CipherState
    private var chainingKey: SecretBytes
    /// `h`.
    package private(set) var handshakeHash: [UInt8]

    package init(_ name: ProtocolName) {
        hash = name.suite.hash
        let text = Array(name.description.utf8)
        let padding = hash.length - text.count
        handshakeHash = padding >= 0 ? text + [UInt8](repeating: 0, count: padding) : hash.digest(text)
        chainingKey = SecretBytes(handshakeHash)
        cipherState = CipherState(name.suite.cipher)
    }

    private init(_ other: borrowing SymmetricState) {
        hash = other.hash
        cipherState = other.cipherState.copy()
        chainingKey = other.chainingKey.copy()
        handshakeHash = other.handshakeHash
    }

    func copy() -> SymmetricState { SymmetricState(self) }

    package var hasKey: Bool { cipherState.hasKey }

    package mutating func mixKey(_ input: borrowing SecretBytes) {
        let output = hash.hkdf(chainingKey: chainingKey, input: input, outputs: 2)
        chainingKey = part(0, of: output)
        setKey(part(1, of: output))
    }

    package mutating func mixHash(_ data: [UInt8]) { handshakeHash = hash.digest(handshakeHash + data) }

    package mutating func mixKeyAndHash(_ input: borrowing SecretBytes) {
        let output = hash.hkdf(chainingKey: chainingKey, input: input, outputs: 3)
        chainingKey = part(0, of: output)
        mixHash(part(1, of: output).bytes())
        setKey(part(2, of: output))
    }

    package mutating func encryptAndHash(_ plaintext: [UInt8]) throws(HandshakeError) -> [UInt8] {
        let ciphertext = try cipherState.encrypt(plaintext, ad: handshakeHash)
        mixHash(ciphertext)
        return ciphertext
    }

    package mutating func decryptAndHash(_ ciphertext: [UInt8]) throws(HandshakeError) -> [UInt8] {
        let plaintext = try cipherState.decrypt(ciphertext, ad: handshakeHash)
        mixHash(ciphertext)
        return plaintext
    }

    /// Split(): the first state is for what the initiator sends. The keys are those of any cipher of 32-byte keys.
    func split(_ role: Role, cipher: Cipher) -> CipherStates {
        split(role, cipher: cipher, input: SecretBytes(count: 0))
    }

    func split(_ role: Role, cipher: Cipher, input: consuming SecretBytes) -> CipherStates {
        let output = hash.hkdf(chainingKey: chainingKey, input: input, outputs: 2)
        let first = CipherState(cipher, key: cipherKey(part(0, of: output)))
        let second = CipherState(cipher, key: cipherKey(part(1, of: output)))
        return switch role {
        case .initiator: CipherStates(send: first, receive: second)
        case .responder: CipherStates(send: second, receive: first)
        }
    }

    private mutating func setKey(_ key: consuming SecretBytes) {
        cipherState = CipherState(cipherState.cipher, key: cipherKey(key))
    }

    private func part(_ index: Int, of output: borrowing SecretBytes) -> SecretBytes {
        output.slice(index * hash.length..<(index + 1) * hash.length)
    }

    /// Of a 64-byte output a cipher takes the first 32 bytes.
    private func cipherKey(_ output: consuming SecretBytes) -> SecretBytes { output.slice(0..<Cipher.keyCount) }
}
