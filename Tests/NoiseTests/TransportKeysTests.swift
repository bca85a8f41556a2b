import Base
import Noise
import Testing

@Suite struct TransportKeysTests {
    static let available = Cipher.allCases.filter(\.isAvailable)

    struct Ends: ~Copyable {
        var near: TransportKeys
        var far: TransportKeys
    }

    private func ends(_ cipher: Cipher) throws -> Ends {
        var pair = HandshakeTests.pair(.ik, seed: 9, suite: CipherSuite(cipher, .blake2b))
        try pair.finish()
        return Ends(near: TransportKeys(pair.initiator.split()), far: TransportKeys(pair.responder.split()))
    }

    private func seal(_ keys: borrowing TransportKeys, _ text: [UInt8], _ counter: UInt64, aad: [UInt8]) -> [UInt8] {
        var buffer = text + [UInt8](repeating: 0, count: Cipher.tagCount)
        buffer.withUnsafeMutableBytes { buffer in
            aad.withUnsafeBytes { keys.seal(buffer, count: text.count, counter: counter, aad: $0) }
        }
        return buffer
    }

    private func open(_ keys: borrowing TransportKeys, _ sealed: [UInt8], _ counter: UInt64, aad: [UInt8]) -> [UInt8]? {
        var buffer = sealed
        let isAuthentic = buffer.withUnsafeMutableBytes { buffer in
            aad.withUnsafeBytes { keys.open(buffer, counter: counter, aad: $0) }
        }
        return isAuthentic ? Array(buffer.dropLast(Cipher.tagCount)) : nil
    }

    @Test(arguments: available) func `what one end seals the other opens, in any order and of any size`(
        cipher: Cipher
    ) throws {
        var ends = try ends(cipher), random = Random(Seed(1)), sent: [(UInt64, [UInt8], [UInt8])] = []
        for size in [0, 1, 15, 16, 17, 63, 64, 65, 255, 1200, 1350, 9000, 65000] {
            let text = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let counter = try unwrap(ends.near.nextCounter())
            sent.append((counter, text, seal(ends.near, text, counter, aad: [1, 2, 3, 4])))
        }
        check(sent.map(\.0) == (0..<13).map { UInt64($0) })
        random.shuffle(&sent)
        for (counter, text, sealed) in sent {
            check(open(ends.far, sealed, counter, aad: [1, 2, 3, 4]) == text)
            // Nor is a direction's key the other's.
            check(open(ends.near, sealed, counter, aad: [1, 2, 3, 4]) == nil)
        }
    }

    @Test(arguments: available) func `the other end may answer with counters of its own`(cipher: Cipher) throws {
        var ends = try ends(cipher)
        let there = try unwrap(ends.near.nextCounter()), back = try unwrap(ends.far.nextCounter())
        check(there == 0 && back == 0)
        check(open(ends.far, seal(ends.near, [1], there, aad: []), there, aad: []) == [1])
        check(open(ends.near, seal(ends.far, [2], back, aad: []), back, aad: []) == [2])
    }

    @Test(arguments: available) func `no bit of header, ciphertext, tag or counter may change`(cipher: Cipher) throws {
        var ends = try ends(cipher)
        let text = Array("sixteen bytes and some more".utf8), header: [UInt8] = [1, 0, 0xff, 0x80, 7, 7, 7, 7]
        let counter = try unwrap(ends.near.reserveCounters(6)) + 5
        let sealed = seal(ends.near, text, counter, aad: header)
        for bit in 0..<sealed.count * 8 {
            var forged = sealed
            forged[bit / 8] ^= 1 << UInt8(bit % 8)
            check(open(ends.far, forged, counter, aad: header) == nil)
        }
        for bit in 0..<header.count * 8 {
            var forged = header
            forged[bit / 8] ^= 1 << UInt8(bit % 8)
            check(open(ends.far, sealed, counter, aad: forged) == nil)
        }
        for bit in 0..<64 { check(open(ends.far, sealed, counter ^ 1 << UInt64(bit), aad: header) == nil) }
        for count in 0..<sealed.count {
            check(open(ends.far, Array(sealed.prefix(count)), counter, aad: header) == nil)
        }
        check(open(ends.far, sealed + [0], counter, aad: header) == nil)
        check(open(ends.far, sealed, counter, aad: header) == text)
    }

    @Test func `counters end at two to the sixtieth, and a reservation is all or nothing`() throws {
        var ends = try ends(.chaChaPoly)
        check(ends.near.reserveCounters((1 << 60) - 2) == 0)
        check(!ends.near.needsRekey)
        check(ends.near.reserveCounters(3) == nil)
        check(ends.near.nextCounter() == (1 << 60) - 2)
        let last = try unwrap(ends.near.nextCounter())
        check(last == (1 << 60) - 1 && ends.near.nextCounter() == nil && ends.near.nextCounter() == nil)
        let sealed = seal(ends.near, [3], last, aad: [])
        check(open(ends.far, sealed, last, aad: []) == [3])
        check(open(ends.far, sealed, 1 << 60, aad: []) == nil)
        let spent = ends.near.needsRekey && ends.near.sent == 1 << 60
        check(spent)
    }

    @Test func `a counter that was not taken seals nothing (in its own process)`() async {
        await #expect(processExitsWith: .failure) {
            var pair = HandshakeTests.pair(.ik)
            try pair.finish()
            let keys = pair.initiatorKeys()
            withUnsafeTemporaryAllocation(byteCount: 32, alignment: 16) { buffer in
                buffer.initializeMemory(as: UInt8.self, repeating: 0)
                keys.seal(buffer, count: 16, counter: 0, aad: UnsafeRawBufferPointer(start: nil, count: 0))
            }
        }
    }

    @Test(arguments: available) func `after a rekey only the new key opens`(cipher: Cipher) throws {
        var ends = try ends(cipher)
        let first = try unwrap(ends.near.nextCounter())
        let old = seal(ends.near, [1], first, aad: [])
        ends.near.rekeySending()
        let second = try unwrap(ends.near.nextCounter())
        let new = seal(ends.near, [2], second, aad: [])
        check(second == 1 && open(ends.far, new, second, aad: []) == nil)
        check(open(ends.far, old, first, aad: []) == [1])
        ends.far.rekeyReceiving()
        check(open(ends.far, new, second, aad: []) == [2] && open(ends.far, old, first, aad: []) == nil)
        let back = try unwrap(ends.far.nextCounter())
        check(open(ends.near, seal(ends.far, [3], back, aad: []), back, aad: []) == [3])
    }

    @Test(arguments: available) func `a rekeyed key is the encryption of zeros under the greatest nonce`(
        cipher: Cipher
    ) throws {
        let key = SecretBytes((0..<32).map { UInt8($0) })
        var zeros = [UInt8](repeating: 0, count: 48)
        zeros.withUnsafeMutableBytes { buffer in
            CipherKey(cipher, key: key).seal(
                buffer, count: 32, nonce: Nonce(.max, for: cipher), aad: UnsafeRawBufferPointer(start: nil, count: 0))
        }
        var rekeyed = CipherState(cipher, key: key)
        rekeyed.rekey()
        var expected = CipherState(cipher, key: SecretBytes(zeros.prefix(32)))
        check(try rekeyed.encrypt([1, 2, 3]) == expected.encrypt([1, 2, 3]))
    }

    @Test func `a cipher state stops before the greatest nonce and does not move on a forgery`() throws {
        let key = SecretBytes([UInt8](repeating: 7, count: 32))
        var sender = CipherState(.chaChaPoly, key: key), receiver = CipherState(.chaChaPoly, key: key)
        var sealed = try sender.encrypt([1])
        sealed[0] ^= 1
        #expect(throws: HandshakeError.notAuthentic) { _ = try receiver.decrypt(sealed) }
        #expect(throws: HandshakeError.tooShort) { _ = try receiver.decrypt([1, 2, 3]) }
        sealed[0] ^= 1
        check(try receiver.decrypt(sealed) == [1])
        sender.setNonce(.max - 1)
        receiver.setNonce(.max - 1)
        let last = try sender.encrypt([2])
        check(try receiver.decrypt(last) == [2])
        #expect(throws: HandshakeError.nonceExhausted) { _ = try sender.encrypt([3]) }
        #expect(throws: HandshakeError.nonceExhausted) { _ = try receiver.decrypt(last) }
    }
}
