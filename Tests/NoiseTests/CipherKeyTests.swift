import FastAES
import Noise
import Testing

/// What each implementation of each cipher must guarantee.
@Suite struct CipherKeyTests {
    struct Kind: CustomStringConvertible, Sendable {
        var cipher: Cipher
        var acceleration: CipherAcceleration
        var description: String { "\(cipher.name), acceleration \(acceleration.rawValue)" }

        func key(_ first: UInt8 = 0) -> CipherKey {
            let bytes = (0..<32).map { UInt8($0) ^ first }
            return CipherKey(cipher, key: SecretBytes(bytes), acceleration: acceleration)
        }
    }
    static let kinds = Cipher.allCases.filter(\.isAvailable).flatMap { cipher in
        CipherAcceleration.allCases.map { Kind(cipher: cipher, acceleration: $0) }
    }

    /// From one place to another, with marked bytes behind the destination.
    private func moved(_ text: [UInt8], room: Int, _ body: (UnsafeRawPointer, UnsafeMutableRawPointer) -> Void)
        -> [UInt8]
    {
        var to = [UInt8](repeating: 0xa5, count: room + 16)
        text.withUnsafeBytes { from in
            to.withUnsafeMutableBytes { to in
                body(from.baseAddress ?? UnsafeRawPointer(to.baseAddress!), to.baseAddress!)
            }
        }
        #expect(to.suffix(16) == [UInt8](repeating: 0xa5, count: 16)[...])
        return Array(to.dropLast(16))
    }

    @Test(arguments: kinds) func `sealing and opening elsewhere is sealing and opening in place`(kind: Kind) {
        let key = kind.key(), nonce = Nonce(77, for: kind.cipher), aad: [UInt8] = [1, 2, 3]
        for count in [0, 1, 15, 16, 17, 64, 127, 128, 129, 1400, 9000] {
            let plaintext = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            var inPlace = plaintext + [UInt8](repeating: 0, count: Cipher.tagCount)
            inPlace.withUnsafeMutableBytes { text in
                aad.withUnsafeBytes { key.seal(text, count: count, nonce: nonce, aad: $0) }
            }
            let elsewhere = moved(plaintext, room: count + Cipher.tagCount) { from, to in
                aad.withUnsafeBytes { key.seal(from: from, count: count, to: to, nonce: nonce, aad: $0) }
            }
            #expect(elsewhere == inPlace, "\(count) bytes")
            var isAuthentic = false
            let opened = moved(elsewhere, room: count) { from, to in
                isAuthentic = aad.withUnsafeBytes { key.open(from: from, count: count, to: to, nonce: nonce, aad: $0) }
            }
            #expect(isAuthentic && opened == plaintext, "\(count) bytes")
        }
    }

    @Test(arguments: kinds) func `a forgery leaves zeros where the plaintext would be`(kind: Kind) {
        let key = kind.key(), nonce = Nonce(1, for: kind.cipher)
        for count in [1, 16, 100, 128, 1400] {
            var sealed = moved([UInt8](repeating: 7, count: count), room: count + Cipher.tagCount) { from, to in
                key.seal(
                    from: from, count: count, to: to, nonce: nonce, aad: UnsafeRawBufferPointer(start: nil, count: 0))
            }
            for byte in [0, count - 1, count, count + 15] {
                sealed[byte] ^= 0x80
                var isAuthentic = true
                let opened = moved(sealed, room: count) { from, to in
                    isAuthentic = key.open(
                        from: from, count: count, to: to, nonce: nonce,
                        aad: UnsafeRawBufferPointer(start: nil, count: 0))
                }
                #expect(!isAuthentic && opened == [UInt8](repeating: 0, count: count), "byte \(byte) of \(count)")
                sealed[byte] ^= 0x80
            }
        }
    }

    @Test(arguments: kinds) func `copies and rekeyed keys stay with their implementation`(kind: Kind) {
        let key = kind.key(), copy = key.copy(), rekeyed = key.rekeyed()
        check(copy.isAccelerated == key.isAccelerated && rekeyed.isAccelerated == key.isAccelerated)
        let plain = Kind(cipher: kind.cipher, acceleration: .off).key().rekeyed()
        let aad = UnsafeRawBufferPointer(start: nil, count: 0), nonce = Nonce(3, for: kind.cipher)
        let expected = moved([1, 2, 3], room: 19) { plain.seal(from: $0, count: 3, to: $1, nonce: nonce, aad: aad) }
        let sealed = moved([1, 2, 3], room: 19) { rekeyed.seal(from: $0, count: 3, to: $1, nonce: nonce, aad: aad) }
        #expect(sealed == expected)
    }

    @Test(arguments: kinds) func `a key that rests does what it does awake`(kind: Kind) {
        let awake = kind.key(), nonce = Nonce(9, for: kind.cipher), none = UnsafeRawBufferPointer(start: nil, count: 0)
        let plaintext = (0..<200).map { UInt8($0) }
        func sealed(_ key: borrowing CipherKey) -> [UInt8] {
            moved(plaintext, room: 216) { key.seal(from: $0, count: 200, to: $1, nonce: nonce, aad: none) }
        }
        func opens(_ text: [UInt8], _ key: borrowing CipherKey) -> Bool {
            var isAuthentic = false
            let opened = moved(text, room: 200) {
                isAuthentic = key.open(from: $0, count: 200, to: $1, nonce: nonce, aad: none)
            }
            return isAuthentic && opened == plaintext
        }
        let expected = sealed(awake)
        var key = kind.key()
        for _ in 0..<2 {
            key.rest()
            check(key.isResting == (kind.cipher == .aesGCM) && key.isAccelerated == awake.isAccelerated)
            check(sealed(key) == expected && opens(expected, key))
            check(sealed(key.copy()) == expected)
            var forged = expected
            forged[7] ^= 1
            check(!opens(forged, key))
            let rekeyed = key.rekeyed()
            check(!rekeyed.isResting && rekeyed.isAccelerated == awake.isAccelerated)
            check(sealed(rekeyed) == sealed(awake.rekeyed()))
            key.wake()
            check(!key.isResting && key.isAccelerated == awake.isAccelerated)
            check(sealed(key) == expected && opens(expected, key))
        }
    }

    @Test func `acceleration is for AES-GCM, where the processor has it, and can be switched off`() {
        let isFast = FastAES.isAvailable && Cipher.aesGCM.isAvailable
        check(CipherAcceleration.auto.isEffective == isFast && !CipherAcceleration.off.isEffective)
        check(!Kind(cipher: .chaChaPoly, acceleration: .auto).key().isAccelerated)
        print("AES-GCM: \(CipherAcceleration.describe())")
        guard Cipher.aesGCM.isAvailable else { return }
        check(Kind(cipher: .aesGCM, acceleration: .auto).key().isAccelerated == isFast)
        check(!Kind(cipher: .aesGCM, acceleration: .off).key().isAccelerated)
        #expect(CipherAcceleration.describe() == "VAES" || !isFast)
    }

    @Test(.enabled(if: CipherAcceleration.auto.isEffective, "this processor has no VAES"))
    func `the self-test passes, and fails when a key is another`() {
        #expect(CipherAcceleration.agreesWithLibsodium { FastAESKey($0) })
        let isTrusted = CipherAcceleration.agreesWithLibsodium { key in
            var bytes = Array(UnsafeRawBufferPointer(start: key, count: 32))
            bytes[31] ^= 1
            return FastAESKey(bytes)
        }
        #expect(!isTrusted)
    }

    @Test func `a nonce has the counter where the Noise specification requires it`() throws {
        let counter: UInt64 = 0x0102_0304_0506_0708
        for (cipher, bytes) in [
            (Cipher.chaChaPoly, [0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1] as [UInt8]),
            (.aesGCM, [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ] where cipher.isAvailable {
            let key = Kind(cipher: cipher, acceleration: .auto).key(),
                aad = UnsafeRawBufferPointer(start: nil, count: 0)
            let given = try #require(Nonce(bytes))
            let counted = Nonce(counter, for: cipher)
            let a = moved([5], room: 17) { key.seal(from: $0, count: 1, to: $1, nonce: given, aad: aad) }
            let b = moved([5], room: 17) { key.seal(from: $0, count: 1, to: $1, nonce: counted, aad: aad) }
            #expect(a == b)
        }
    }
}
