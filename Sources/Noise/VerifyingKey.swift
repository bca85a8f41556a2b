import Base
import CSodium

/// An Ed25519 public key.
package struct VerifyingKey: Hashable, Sendable {
    package static let signatureCount = 64

    package let bytes: [UInt8]

    /// `nil` unless exactly 32 bytes are given. Whether they are a point of the curve shows when verifying.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == 32 else { return nil }
        self.bytes = Array(bytes)
    }

    /// 64 hexadecimal digits.
    package init?(hex: some StringProtocol) {
        guard let bytes = [UInt8](hex: hex) else { return nil }
        self.init(bytes)
    }

    /// Strict: a signature has one form (S below the group's order), and keys of small order verify nothing.
    package func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        _ = sodiumIsReady
        guard signature.count == VerifyingKey.signatureCount else { return false }
        return crypto_sign_verify_detached(signature, message, UInt64(message.count), bytes) == 0
    }
}

extension VerifyingKey: CustomStringConvertible {
    package var description: String { bytes.hex }
}
