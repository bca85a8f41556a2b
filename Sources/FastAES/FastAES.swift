import CFastAES

/// # AES-256-GCM, 32 bytes per instruction
///
/// libsodium is the reference of every cipher here, and this is a second implementation of the same AES-256-GCM (NIST SP
/// 800-38D): byte for byte what `crypto_aead_aes256gcm_*_detached_afternm` gives. It exists because a data plane spends its
/// time in the cipher, and libsodium 1.0.18, which Debian 12 has, seals 1400 bytes at 1.6 GB/s where the processor can do 7.
/// Measured on a Zen 4 core by `asterism-bench`, seal and open, times as fast as that libsodium: 5.2 and 4.9 at 64 bytes, 4.5
/// and 4.7 at 1400, 4.4 and 4.5 at 8192. libsodium 1.0.19 and later would bring a factor of 2. So this is optional:
/// `Noise.CipherAcceleration` switches it off, and uses it only after it agreed with libsodium on some hundreds of messages
/// in this process.
///
/// ## How
///
/// GCM is AES in counter mode, and GHASH over the ciphertext. The key stream is AES of nonce and counter, block by
/// block, and no block needs another. `VAESENC` does a round of two blocks at once and takes four cycles, but two may
/// begin in each cycle; so four registers, eight blocks, go through the rounds together.
///
/// GHASH reads the blocks X1, X2, ... as numbers of the field GF(2^128) and computes ((X1·H + X2)·H + ...)·H, where H is
/// AES of a block of zeros. Computed one after the other, each product would wait for the one before. Multiplied out it is
/// X1·H^8 + X2·H^7 + ... + X8·H: eight independent products of `VPCLMULQDQ`, two per instruction, summed *before* the
/// reduction modulo the field's polynomial. So the reduction is done once for eight blocks. Powers to H^16 are made with the
/// key, so that the remainder, with the block of lengths, is one sum too, however long it is.
///
/// Sealing hashes the eight blocks before those that it encrypts; opening hashes the same blocks that it decrypts. In both,
/// the instructions of cipher and hash are interleaved by hand, and the processor runs them in parallel.
///
/// ## Why it takes the same time for every secret
///
/// Nothing is looked up in a table, no address and no branch depends on a key, a plaintext or a hash: the S-box is
/// inside the instruction, and AES and carry-less multiplication take the same time for all operands (Intel and AMD
/// count them among those with data-independent latency). Only lengths decide the path through the code and, at the end,
/// whether all 128 bits of the tag were right, which the caller learns anyway; the comparison is one XOR and one test of the
/// whole register. Products in registers replace the tables of 4-bit or 8-bit windows, by which software implementations of
/// GHASH leak. Round keys and powers of H lie in memory that `deinit` wipes.
///
/// ## What the caller must ensure
///
/// A nonce is used once under one key. Two messages under one nonce reveal the XOR of their plaintexts, and H, which makes
/// every forgery possible. `TransportKeys` counts, so that no nonce occurs twice, and moves to new keys long before the
/// limits (2^32 - 2 blocks in a message, some 2^35 blocks under a key).
///
/// Opening decrypts while it hashes, so it writes before it has checked the tag. The reader of the destination must wait for
/// the result; if that is false, the destination holds zeros.
package enum FastAES {
    package static let keyCount = 32
    package static let nonceCount = 12
    package static let tagCount = 16
    /// The 32-bit counter begins at 2 (SP 800-38D, 5.2.1.1).
    package static let greatestCount = 1 << 36 - 32

    /// Whether processor and kernel have AES, VAES, VPCLMULQDQ and AVX2. Without them there is no `FastAESKey`.
    package static let isAvailable = asterism_gcm_is_available() != 0
}

/// An expanded key: seals and opens without allocating. The caller owns the memory.
package struct FastAESKey: ~Copyable, @unchecked Sendable {
    /// Written only while its owner is being made, which is why the type may be shared between threads.
    private let state: UnsafeMutableRawPointer

    /// From 32 bytes; `FastAES.isAvailable` must hold.
    package init(_ key: UnsafeRawPointer) {
        precondition(FastAES.isAvailable, "this processor has no VAES")
        self.init(state: .allocate(byteCount: Int(ASTERISM_GCM_STATE_COUNT), alignment: 64))
        asterism_gcm_expand(state, key)
    }

    private init(state: UnsafeMutableRawPointer) { self.state = state }

    deinit {
        asterism_gcm_wipe(state, Int(ASTERISM_GCM_STATE_COUNT))
        state.deallocate()
    }

    package func copy() -> FastAESKey {
        let count = Int(ASTERISM_GCM_STATE_COUNT)
        let other = UnsafeMutableRawPointer.allocate(byteCount: count, alignment: 64)
        other.copyMemory(from: state, byteCount: count)
        return FastAESKey(state: other)
    }

    /// Writes the 32 bytes of the key: they are the first two round keys (FIPS 197, section 5.2), of which the
    /// state has each twice.
    package func copyKey(to destination: UnsafeMutableRawPointer) {
        destination.copyMemory(from: state, byteCount: 16)
        (destination + 16).copyMemory(from: state + 32, byteCount: 16)
    }

    /// Seals `count` bytes. `to` is `from` or does not overlap it; the nonce has 12 bytes and the tag 16.
    package func seal(
        from source: UnsafeRawPointer, count: Int, to destination: UnsafeMutableRawPointer,
        tag: UnsafeMutableRawPointer, nonce: UnsafeRawPointer, aad: UnsafeRawPointer?, aadCount: Int
    ) {
        precondition(count >= 0 && count <= FastAES.greatestCount && aadCount >= 0, "\(count) bytes, AAD \(aadCount)")
        asterism_gcm_seal(state, nonce, aad, aadCount, source, count, destination, tag)
    }

    /// Opens `count` bytes, which are without their tag. `to` is `from` or does not overlap it. If they are not authentic,
    /// the result is false and the destination holds zeros.
    package func open(
        from source: UnsafeRawPointer, count: Int, to destination: UnsafeMutableRawPointer, tag: UnsafeRawPointer,
        nonce: UnsafeRawPointer, aad: UnsafeRawPointer?, aadCount: Int
    ) -> Bool {
        precondition(count >= 0 && count <= FastAES.greatestCount && aadCount >= 0, "\(count) bytes, AAD \(aadCount)")
        return asterism_gcm_open(state, nonce, aad, aadCount, source, count, destination, tag) != 0
    }
}
