import CSodium

/// The 96-bit nonce that both ciphers take.
package struct Nonce: Sendable {
    /// Eight bytes and four, in memory order. Ciphers read them in these parts, and a processor stalls where a read
    /// spans two writes.
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
