import FastAES
import Foundation
import Fuzz
import Noise
import Testing

private let isHere: Bool = {
    if !FastAES.isAvailable { print("skipped: this processor has no VAES or no VPCLMULQDQ") }
    return FastAES.isAvailable
}()

/// The accelerated AES-256-GCM against other people's answers and against libsodium.
@Suite(.enabled(if: isHere, "this processor has no VAES or no VPCLMULQDQ")) struct FastAESTests {
    @Test func `the examples of GCM's specification come out`() {
        for answer in specification { check(answer) }
    }

    @Test func `Wycheproof's vectors are sealed and opened, or refused`() throws {
        let (answers, skipped) = try wycheproof()
        for answer in answers { check(answer) }
        let invalid = answers.count { !$0.isValid }
        print("Wycheproof FastAES: \(answers.count) run, \(invalid) of them invalid, \(skipped) skipped (other sizes)")
        #expect(answers.count >= 60 && invalid >= 20)
    }

    private func check(_ answer: KnownAnswer) {
        let count = answer.ciphertext.count, key = FastAESKey(answer.key)
        for isInPlace in [false, true] {
            var opened = isInPlace ? answer.ciphertext : [UInt8](repeating: 0xee, count: count)
            let isAuthentic = answer.ciphertext.withUnsafeBytes { source in
                opened.withUnsafeMutableBytes { to in
                    let to = to.baseAddress ?? Self.nowhere
                    return key.open(
                        from: isInPlace ? UnsafeRawPointer(to) : source.baseAddress ?? UnsafeRawPointer(to),
                        count: count, to: to, tag: answer.tag, nonce: answer.nonce, aad: answer.aad,
                        aadCount: answer.aad.count)
                }
            }
            #expect(isAuthentic == answer.isValid, "\(answer.name)")
            #expect(opened == (answer.isValid ? answer.plaintext : [UInt8](repeating: 0, count: count)))
            guard answer.isValid else { continue }
            let (sealed, tag) = seal(answer, key, isInPlace: isInPlace)
            #expect(sealed == answer.ciphertext && tag == answer.tag, "\(answer.name)")
        }
    }

    private func seal(_ answer: KnownAnswer, _ key: borrowing FastAESKey, isInPlace: Bool) -> ([UInt8], [UInt8]) {
        let count = answer.plaintext.count
        var sealed = isInPlace ? answer.plaintext : [UInt8](repeating: 0xee, count: count)
        var tag = [UInt8](repeating: 0, count: FastAES.tagCount)
        answer.plaintext.withUnsafeBytes { source in
            sealed.withUnsafeMutableBytes { to in
                let to = to.baseAddress ?? Self.nowhere
                key.seal(
                    from: isInPlace ? UnsafeRawPointer(to) : source.baseAddress ?? UnsafeRawPointer(to), count: count,
                    to: to, tag: &tag, nonce: answer.nonce, aad: answer.aad, aadCount: answer.aad.count)
            }
        }
        return (sealed, tag)
    }
    /// Where nothing is read or written.
    private static var nowhere: UnsafeMutableRawPointer { UnsafeMutableRawPointer(bitPattern: 1)! }

    @Test func `a copy of a key outlives it and is the same key`() {
        func copy() -> FastAESKey { FastAESKey(specification[3].key).copy() }
        let (sealed, tag) = seal(specification[3], copy(), isInPlace: true)
        #expect(sealed == specification[3].ciphertext && tag == specification[3].tag)
    }

    @Test func `every length to 2100 and 200,000 messages are libsodium's, and every forgery is refused and wiped`()
        throws
    {
        let count = UInt64(ProcessInfo.processInfo.environment["ASTERISM_GCM_FUZZ"] ?? "") ?? 200_000
        guard var fuzz = CipherFuzz(seed: 1) else {
            Issue.record("nothing to compare: \(CipherAcceleration.describe())")
            return
        }
        let begin = ContinuousClock.now
        try fuzz.run(count)
        let done = fuzz.done, bytes = fuzz.bytes, forged = fuzz.forged
        print("AES-GCM: \(done) messages, \(bytes >> 20) MiB, \(forged) forgeries in \(ContinuousClock.now - begin)")
        #expect(done == count && forged == count)
    }

    @Test func `the comparison sees one wrong bit`() {
        guard var fuzz = CipherFuzz(seed: 2) else {
            Issue.record("nothing to compare: \(CipherAcceleration.describe())")
            return
        }
        fuzz.mistake = 1234
        var found: CipherFuzz.Difference?
        do throws(CipherFuzz.Difference) { try fuzz.run(2000) } catch { found = error }
        #expect(found?.message == 1234)
        #expect(found?.description.contains("otherwise than by libsodium") == true)
    }

    @Test func `messages of the greatest datagram's length and more are libsodium's`() {
        let secret = SecretBytes((0..<32).map { UInt8($0) })
        let keys = Pair(secret)
        for count in [9000, 65_507, 65_535, 1 << 20] {
            let plaintext = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            #expect(keys.sealsAlike(plaintext, aadCount: 16), "\(count) bytes")
            #expect(keys.sealsAlike(plaintext, aadCount: count), "\(count) bytes and as many of AAD")
        }
    }

    @Test func `AAD of every length is libsodium's`() {
        let keys = Pair(SecretBytes((0..<32).map { UInt8(255 - $0) }))
        let plaintext = [UInt8](repeating: 9, count: 200)
        for count in 0...600 {
            #expect(keys.sealsAlike(plaintext, aadCount: count), "AAD of \(count) bytes")
            #expect(keys.sealsAlike([], aadCount: count), "AAD of \(count) bytes alone")
        }
    }
}

/// One key in both implementations.
private final class Pair {
    let reference: CipherKey
    let fast: CipherKey

    init(_ secret: borrowing SecretBytes) {
        reference = CipherKey(.aesGCM, key: secret, acceleration: .off)
        fast = CipherKey(.aesGCM, key: secret, acceleration: .auto)
        precondition(fast.isAccelerated && !reference.isAccelerated)
    }

    func sealsAlike(_ plaintext: [UInt8], aadCount: Int) -> Bool {
        let aad = (0..<aadCount).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        func sealed(_ key: borrowing CipherKey) -> [UInt8] {
            var text = plaintext + [UInt8](repeating: 0, count: Cipher.tagCount)
            text.withUnsafeMutableBytes { text in
                aad.withUnsafeBytes {
                    key.seal(text, count: plaintext.count, nonce: Nonce(5, for: .aesGCM), aad: $0)
                }
            }
            return text
        }
        var text = sealed(fast)
        guard text == sealed(reference) else { return false }
        let isAuthentic = text.withUnsafeMutableBytes { text in
            aad.withUnsafeBytes { fast.open(text, nonce: Nonce(5, for: .aesGCM), aad: $0) }
        }
        return isAuthentic && text.dropLast(Cipher.tagCount) == plaintext[...]
    }
}
