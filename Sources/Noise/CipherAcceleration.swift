import Base
package import FastAES
import Synchronization

/// Whether an implementation of AES-GCM that is faster than libsodium's may be used. It is one setting for the process,
/// to be made at its start. Existing keys do not change. The bytes that are sent are the same.
package enum CipherAcceleration: String, Hashable, Sendable, CaseIterable {
    /// Used where the processor has the instructions, and if all messages of a self-test were equal to libsodium's.
    case auto
    /// libsodium does everything.
    case off

    private static let isOff = Atomic(false)

    /// The setting for keys that are made from now on.
    package static var current: CipherAcceleration {
        get { isOff.load(ordering: .relaxed) ? .off : .auto }
        set { isOff.store(newValue == .off, ordering: .relaxed) }
    }

    /// Decided once a process, when the first key of AES-GCM is made.
    private static let isTrusted = FastAES.isAvailable && agreesWithLibsodium { FastAESKey($0) }

    /// Whether a key of AES-GCM made with this is an accelerated one.
    package var isEffective: Bool { self == .auto && CipherAcceleration.isTrusted }

    /// For logs and for people: the implementation of AES-GCM in this process.
    package static func describe() -> String {
        guard Cipher.aesGCM.isAvailable else { return "none (the processor has no AES)" }
        if current == .off { return "libsodium (acceleration is off)" }
        if !FastAES.isAvailable { return "libsodium (the processor has no VAES)" }
        return isTrusted ? "VAES" : "libsodium (VAES failed its self-test)"
    }

    /// Some hundreds of messages, of all lengths that have their own code path. Each is compared with libsodium's, and
    /// each is forged once. `make` is for tests of a failure.
    package static func agreesWithLibsodium(_ make: (UnsafeRawPointer) -> FastAESKey) -> Bool {
        guard Cipher.aesGCM.isAvailable else { return false }
        var random = Random(Seed(0x6763_6d))
        for start in stride(from: 0, to: 320, by: 20) {
            let secret = SecretBytes((0..<Cipher.keyCount).map { _ in UInt8(truncatingIfNeeded: random.next()) })
            let reference = CipherKey(.aesGCM, key: secret, acceleration: .off)
            let key = make(secret.pointer)
            for count in start..<start + 20 where !agrees(key, reference, count, &random) { return false }
            for count in [511 + start, 1400 + start] where !agrees(key, reference, count, &random) { return false }
        }
        return true
    }

    private static func agrees(
        _ key: borrowing FastAESKey, _ reference: borrowing CipherKey, _ count: Int, _ random: inout Random
    ) -> Bool {
        func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
        let aad = bytes(random.index(below: 65)), plaintext = bytes(count), iv = bytes(FastAES.nonceCount)
        // Twelve bytes make a nonce.
        let nonce = Nonce(iv)!
        let room = [UInt8](repeating: 0, count: count + Cipher.tagCount)
        var expected = room, sealed = room, opened = room
        plaintext.withUnsafeBytes { from in
            // An empty array may have no address.
            let from = from.baseAddress ?? UnsafeRawPointer(bitPattern: 1)!
            expected.withUnsafeMutableBytes { to in
                aad.withUnsafeBytes {
                    reference.seal(from: from, count: count, to: to.baseAddress!, nonce: nonce, aad: $0)
                }
            }
            sealed.withUnsafeMutableBytes { to in
                let to = to.baseAddress!
                key.seal(
                    from: from, count: count, to: to, tag: to + count, nonce: iv, aad: aad, aadCount: aad.count)
            }
        }
        guard sealed == expected else { return false }
        func opens() -> Bool {
            opened.withUnsafeMutableBytes { to in
                sealed.withUnsafeBytes { from in
                    let from = from.baseAddress!
                    return key.open(
                        from: from, count: count, to: to.baseAddress!, tag: from + count, nonce: iv, aad: aad,
                        aadCount: aad.count)
                }
            }
        }
        guard opens(), opened.prefix(count) == plaintext[...] else { return false }
        sealed[random.index(below: sealed.count)] ^= 1 << UInt8(random.index(below: 8))
        return !opens() && opened.prefix(count).allSatisfy { $0 == 0 }
    }
}
