import CSodium

/// Hashes outside a handshake.
package enum Hash {
    /// BLAKE2b (RFC 7693), keyed if `key` is not empty. `length` is 16 to 64 bytes; a key has 16 to 64 bytes too.
    package static func blake2b(_ bytes: [UInt8], key: [UInt8] = [], length: Int = 32) -> [UInt8] {
        precondition((16...64).contains(length), "a BLAKE2b digest of \(length) bytes")
        precondition(key.isEmpty || (16...64).contains(key.count), "a BLAKE2b key of \(key.count) bytes")
        _ = sodiumIsReady
        return [UInt8](unsafeUninitializedCapacity: length) { digest, count in
            let result = crypto_generichash(
                digest.baseAddress!, length, bytes, UInt64(bytes.count), key.isEmpty ? nil : key, key.count)
            precondition(result == 0, "crypto_generichash: \(result)")
            count = length
        }
    }
}

/// Compares a value that an unauthenticated peer sent with one that it must not be able to predict, in constant time.
package func constantTimeEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    _ = sodiumIsReady
    return a.count == b.count && sodium_memcmp(a, b, a.count) == 0
}
