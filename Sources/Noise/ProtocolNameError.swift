/// Why a text is not the name of a Noise protocol that this module supports.
package enum ProtocolNameError: Error, Hashable, Sendable {
    /// Not `Noise_PATTERN_DH_CIPHER_HASH`.
    case malformed
    case unknownPattern(String)
    /// Only `25519` is supported.
    case unknownCurve(String)
    case unknownCipher(String)
    case unknownHash(String)
}
