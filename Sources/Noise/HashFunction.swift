import CSodium

/// A hash function of a Noise protocol name (Noise revision 34, section 12.4 and following). BLAKE2s is not among them:
/// libsodium does not have it.
package enum HashFunction: Hashable, Sendable, CaseIterable {
    case sha256, sha512, blake2b

    /// HASHLEN, in bytes.
    package var length: Int {
        switch self {
        case .sha256: 32
        case .sha512, .blake2b: 64
        }
    }
    /// BLOCKLEN, in bytes: what HMAC pads its key to.
    var blockLength: Int {
        switch self {
        case .sha256: 64
        case .sha512, .blake2b: 128
        }
    }
    /// Its name in protocol names.
    package var name: String {
        switch self {
        case .sha256: "SHA256"
        case .sha512: "SHA512"
        case .blake2b: "BLAKE2b"
        }
    }

    package func digest(_ bytes: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: length) { digest, count in
            bytes.withUnsafeBytes { write(digestOf: $0, to: digest.baseAddress!) }
            count = length
        }
    }

    /// `output` takes `length` bytes.
    func write(digestOf input: UnsafeRawBufferPointer, to output: UnsafeMutablePointer<UInt8>) {
        _ = sodiumIsReady
        let bytes = input.baseAddress?.assumingMemoryBound(to: UInt8.self), count = UInt64(input.count)
        let result =
            switch self {
            case .sha256: crypto_hash_sha256(output, bytes, count)
            case .sha512: crypto_hash_sha512(output, bytes, count)
            case .blake2b: crypto_generichash(output, length, bytes, count, nil, 0)
            }
        precondition(result == 0, "\(name): \(result)")
    }

    /// RFC 2104.
    package func hmac(key: borrowing SecretBytes, _ message: [UInt8]) -> SecretBytes {
        let message = SecretBytes(message)
        return hmac(key: key.buffer, message.buffer)
    }

    private func hmac(key: UnsafeRawBufferPointer, _ message: UnsafeRawBufferPointer) -> SecretBytes {
        // Both passes hash one block of padded key, then a message: the caller's, and the inner digest.
        let inner = SecretBytes(count: blockLength + message.count), outer = SecretBytes(count: blockLength + length)
        if key.count > blockLength {
            write(digestOf: key, to: inner.pointer)
        } else {
            UnsafeMutableRawBufferPointer(start: inner.pointer, count: key.count).copyMemory(from: key)
        }
        for index in 0..<blockLength {
            outer.pointer[index] = inner.pointer[index] ^ 0x5c
            inner.pointer[index] ^= 0x36
        }
        UnsafeMutableRawBufferPointer(start: inner.pointer + blockLength, count: message.count)
            .copyMemory(from: message)
        write(digestOf: inner.buffer, to: outer.pointer + blockLength)
        let result = SecretBytes(count: length)
        write(digestOf: outer.buffer, to: result.pointer)
        return result
    }

    /// HKDF as Noise defines it (section 4.3): `outputs` blocks of `length` bytes, one after the other.
    package func hkdf(
        chainingKey: borrowing SecretBytes, input: borrowing SecretBytes, outputs: Int
    ) -> SecretBytes {
        precondition(outputs == 2 || outputs == 3, "HKDF with \(outputs) outputs")
        let temporary = hmac(key: chainingKey.buffer, input.buffer)
        let result = SecretBytes(count: outputs * length)
        let message = SecretBytes(count: length + 1)
        for index in 0..<outputs {
            let previous = index == 0 ? 0 : length
            message.pointer[previous] = UInt8(index + 1)
            let block = hmac(
                key: temporary.buffer, UnsafeRawBufferPointer(start: message.pointer, count: previous + 1))
            (result.pointer + index * length).update(from: block.pointer, count: length)
            message.pointer.update(from: block.pointer, count: length)
        }
        return result
    }
}
