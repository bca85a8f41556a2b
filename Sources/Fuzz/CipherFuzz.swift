import Base
import Noise

/// Compares the accelerated AES-256-GCM with libsodium's, message by message. Both must seal alike, in place and out of
/// place, and open again. A message with one changed bit in text, tag, AAD or nonce must be refused, and then no plaintext
/// may be left in the destination. No byte outside of the destination may change.
package struct CipherFuzz: ~Copyable {
    /// All lengths up to this one are tried in turn.
    package static let turn = 2100
    package static let greatest = 65_507
    private static let margin = 64
    private static let guardByte: UInt8 = 0xa5

    /// The implementation of AES-GCM here.
    package static var implementation: String { CipherAcceleration.describe() }

    package struct Difference: Error, CustomStringConvertible {
        package var message: UInt64
        package var description: String
    }

    private var random: Random
    /// Messages are parts of this, so that they have every alignment.
    private let pool: UnsafeMutableRawBufferPointer
    private let expected: UnsafeMutableRawBufferPointer
    private let sealed: UnsafeMutableRawBufferPointer
    private let opened: UnsafeMutableRawBufferPointer
    private var reference: CipherKey
    private var key: CipherKey
    /// Set by tests that check that a difference is found.
    package var mistake: UInt64?
    package private(set) var done: UInt64 = 0
    package private(set) var bytes: UInt64 = 0
    package private(set) var forged: UInt64 = 0

    /// `nil` where there is nothing to compare, since only libsodium is used.
    package init?(seed: UInt64) {
        guard Cipher.aesGCM.isAvailable, CipherAcceleration.auto.isEffective else { return nil }
        random = Random(Seed(seed))
        let room = CipherFuzz.greatest + Cipher.tagCount + 2 * CipherFuzz.margin
        pool = .allocate(byteCount: room + 4096, alignment: 64)
        for index in 0..<pool.count { pool[index] = UInt8(truncatingIfNeeded: random.next()) }
        expected = .allocate(byteCount: room, alignment: 64)
        sealed = .allocate(byteCount: room, alignment: 64)
        opened = .allocate(byteCount: room, alignment: 64)
        reference = CipherKey(.aesGCM, key: SecretBytes(count: Cipher.keyCount), acceleration: .off)
        key = reference.copy()
    }

    deinit {
        pool.deallocate()
        expected.deallocate()
        sealed.deallocate()
        opened.deallocate()
    }

    package mutating func run(_ count: UInt64) throws(Difference) {
        for _ in 0..<count {
            if done % 64 == 0 {
                let secret = SecretBytes((0..<Cipher.keyCount).map { _ in UInt8(truncatingIfNeeded: random.next()) })
                reference = CipherKey(.aesGCM, key: secret, acceleration: .off)
                key = CipherKey(.aesGCM, key: secret, acceleration: .auto)
            }
            if let complaint = one() { throw Difference(message: done, description: complaint) }
            done += 1
        }
    }

    private mutating func length() -> Int {
        let regular = Int(done % UInt64(CipherFuzz.turn + 1))
        // The first turn is complete.
        if done <= CipherFuzz.turn { return regular }
        if random.chance(1, in: 5000) { return CipherFuzz.greatest - random.index(below: 300) }
        if random.chance(1, in: 100) { return random.index(below: 10_000) }
        return regular
    }

    private mutating func piece(_ count: Int) -> UnsafeRawPointer {
        UnsafeRawPointer(pool.baseAddress! + random.index(below: pool.count - count + 1))
    }

    private mutating func one() -> String? {
        let count = length(), isInPlace = random.chance(1, in: 2)
        bytes += UInt64(count)
        let aad = UnsafeRawBufferPointer(start: piece(64), count: random.index(below: 65))
        let counter = random.next(), nonce = Nonce(counter, for: .aesGCM)
        let shift = random.index(below: 32), whole = count + Cipher.tagCount
        let plaintext = piece(count)
        let expected = expected.baseAddress! + shift
        reference.seal(from: plaintext, count: count, to: expected, nonce: nonce, aad: aad)
        let sealed = place(self.sealed, shift: random.index(below: 32), count: whole)
        if isInPlace { sealed.copyMemory(from: plaintext, byteCount: count) }
        let from = isInPlace ? UnsafeRawPointer(sealed) : plaintext
        key.seal(from: from, count: count, to: sealed, nonce: nonce, aad: aad)
        if done == mistake { UnsafeMutableRawBufferPointer(start: sealed, count: whole)[count] ^= 1 }
        let what = "\(count) bytes, AAD of \(aad.count), \(isInPlace ? "in place" : "out of place")"
        guard equal(sealed, expected, whole) else { return "\(what): sealed otherwise than by libsodium" }
        guard isGuarded(sealed, whole) else { return "\(what): sealing wrote outside of its destination" }

        let room = isInPlace ? whole : count
        let opened = place(self.opened, shift: random.index(below: 32), count: room)
        if isInPlace { opened.copyMemory(from: sealed, byteCount: whole) }
        let source = isInPlace ? UnsafeRawPointer(opened) : UnsafeRawPointer(sealed)
        guard key.open(from: source, count: count, to: opened, nonce: nonce, aad: aad) else {
            return "\(what): what libsodium sealed is refused"
        }
        guard equal(opened, plaintext, count) else { return "\(what): opened to something else" }
        guard isGuarded(opened, room) else { return "\(what): opening wrote outside of its destination" }
        return forge(sealed, count: count, counter: counter, aad: aad, isInPlace: isInPlace)
    }

    /// Changes one bit, and checks that the message is refused and zeros are left.
    private mutating func forge(
        _ sealed: UnsafeMutableRawPointer, count: Int, counter: UInt64, aad: UnsafeRawBufferPointer, isInPlace: Bool
    ) -> String? {
        forged += 1
        let whole = count + Cipher.tagCount, room = isInPlace ? whole : count
        let bit = UInt8(1) << UInt8(random.index(below: 8))
        var nonce = Nonce(counter, for: .aesGCM), isAADForged = false
        let index = random.index(below: max(aad.count, 1)), what: String
        let inText = random.chance(1, in: 2) ? random.index(below: whole) : count + random.index(below: Cipher.tagCount)
        let ad = UnsafeMutableRawBufferPointer(mutating: aad)
        switch random.index(below: 8) {
        case 0 where !aad.isEmpty:
            what = "AAD byte \(index)"
            ad[index] ^= bit
            isAADForged = true
        case 1:
            what = "nonce"
            nonce = Nonce(counter ^ 1 << random.next(below: 64), for: .aesGCM)
        default:
            what = "byte \(inText) of \(whole)"
            let byte = sealed.load(fromByteOffset: inText, as: UInt8.self)
            sealed.storeBytes(of: byte ^ bit, toByteOffset: inText, as: UInt8.self)
        }
        defer { if isAADForged { ad[index] ^= bit } }
        let opened = place(self.opened, shift: random.index(below: 32), count: room)
        if isInPlace { opened.copyMemory(from: sealed, byteCount: whole) }
        let source = isInPlace ? UnsafeRawPointer(opened) : UnsafeRawPointer(sealed)
        if key.open(from: source, count: count, to: opened, nonce: nonce, aad: aad) {
            return "\(count) bytes: a forged \(what) is accepted"
        }
        guard holds(0, opened, count) else { return "\(count) bytes, forged \(what): plaintext is left behind" }
        guard isGuarded(opened, room) else { return "\(count) bytes, forged \(what): wrote outside" }
        return nil
    }

    /// A destination with marked bytes before and after it.
    private func place(_ memory: UnsafeMutableRawBufferPointer, shift: Int, count: Int) -> UnsafeMutableRawPointer {
        let base = memory.baseAddress! + CipherFuzz.margin / 2 + shift
        mark(base - 32)
        mark(base + count)
        return base
    }
    private func isGuarded(_ base: UnsafeMutableRawPointer, _ count: Int) -> Bool {
        holds(CipherFuzz.guardByte, base - 32, 32) && holds(CipherFuzz.guardByte, base + count, 32)
    }
    private func mark(_ base: UnsafeMutableRawPointer) {
        let word = 0x0101_0101_0101_0101 * UInt64(CipherFuzz.guardByte)
        for index in 0..<4 { base.storeBytes(of: word, toByteOffset: 8 * index, as: UInt64.self) }
    }

    private func holds(_ byte: UInt8, _ base: UnsafeRawPointer, _ count: Int) -> Bool {
        let word = 0x0101_0101_0101_0101 * UInt64(byte)
        var index = 0, difference: UInt64 = 0
        while index + 8 <= count {
            difference |= base.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ word
            index += 8
        }
        while index < count {
            difference |= UInt64(base.load(fromByteOffset: index, as: UInt8.self) ^ byte)
            index += 1
        }
        return difference == 0
    }
    private func equal(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Bool {
        var index = 0, difference: UInt64 = 0
        while index + 8 <= count {
            difference |=
                a.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                ^ b.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            index += 8
        }
        while index < count {
            difference |=
                UInt64(a.load(fromByteOffset: index, as: UInt8.self) ^ b.load(fromByteOffset: index, as: UInt8.self))
            index += 1
        }
        return difference == 0
    }
}
