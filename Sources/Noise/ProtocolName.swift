/// `Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b` (Noise revision 34, section 8): both sides hash it first, so two sides that
/// mean different protocols fail at once.
package struct ProtocolName: Hashable, Sendable {
    package let pattern: HandshakePattern
    package let suite: CipherSuite

    package init(_ pattern: HandshakePattern, _ suite: CipherSuite) {
        self.pattern = pattern
        self.suite = suite
    }

    package init(_ text: String) throws(ProtocolNameError) {
        let parts = text.split(separator: "_", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 5, parts[0] == "Noise" else { throw .malformed }
        guard let pattern = HandshakePattern(parts[1]) else { throw .unknownPattern(parts[1]) }
        guard parts[2] == "25519" else { throw .unknownCurve(parts[2]) }
        guard let cipher = Cipher.allCases.first(where: { $0.name == parts[3] }) else {
            throw .unknownCipher(parts[3])
        }
        guard let hash = HashFunction.allCases.first(where: { $0.name == parts[4] }) else {
            throw .unknownHash(parts[4])
        }
        self.init(pattern, CipherSuite(cipher, hash))
    }
}

extension ProtocolName: CustomStringConvertible {
    package var description: String { "Noise_\(pattern.name)_25519_\(suite.cipher.name)_\(suite.hash.name)" }
}
