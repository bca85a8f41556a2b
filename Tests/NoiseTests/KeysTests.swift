import Base
import Noise
import Testing

@Suite struct KeysTests {
    @Test func `two key pairs agree on one secret, whichever side computes it`() throws {
        var generator = KeyGenerator(Seed(1))
        let a = generator.secretKey(), b = generator.secretKey(), c = generator.secretKey()
        let ab = try a.agree(with: b.publicKey), ba = try b.agree(with: a.publicKey)
        let ac = try a.agree(with: c.publicKey)
        check(ab.matches(ba) && !ab.matches(ac) && ab.count == 32)
    }

    @Test func `a secret key survives being written down`() throws {
        var generator = KeyGenerator(Seed(2))
        let key = generator.secretKey()
        let again = SecretKey(key.bytes())!, copy = key.copy()
        let publicKey = again.publicKey, copied = copy.publicKey
        check(publicKey == key.publicKey && copied == key.publicKey)
        for count in [0, 31, 33] {
            let isKey = SecretKey([UInt8](repeating: 1, count: count)) != nil
            let isSigningKey = SigningKey([UInt8](repeating: 1, count: count)) != nil
            let isVerifyingKey = VerifyingKey([UInt8](repeating: 1, count: count)) != nil
            check(!isKey && !isSigningKey && !isVerifyingKey)
        }
    }

    /// RFC 7748, section 6.1.
    @Test func `a public key is the private one times the base point`() throws {
        let key = SecretKey((0..<32).map { UInt8($0) })!
        // The base point has u = 9, so agreeing with it gives the public key.
        let base = NodeID([9] + [UInt8](repeating: 0, count: 31))!
        check(try key.agree(with: base).bytes() == key.publicKey.bytes)
    }

    /// RFC 8032, section 7.1, test 1.
    @Test func `a signature is the RFC's`() throws {
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
        let key = SigningKey(try #require([UInt8](hex: seed)))!
        check(key.verifyingKey.description == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
        check(
            key.sign([]).hex == "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
                + "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")
        check(key.bytes().hex == seed)
    }

    @Test func `a signature holds for its message, its key and its bytes alone`() throws {
        var generator = KeyGenerator(Seed(3))
        let key = generator.signingKey(), other = generator.signingKey()
        let message = Array("certificate".utf8), signature = key.sign(message)
        check(key.verifyingKey.verifies(signature, of: message))
        check(!other.verifyingKey.verifies(signature, of: message))
        check(!key.verifyingKey.verifies(signature, of: message + [0]))
        check(!key.verifyingKey.verifies(signature + [0], of: message))
        check(!key.verifyingKey.verifies([], of: message))
        for bit in 0..<512 {
            var forged = signature
            forged[bit / 8] ^= 1 << UInt8(bit % 8)
            check(!key.verifyingKey.verifies(forged, of: message))
        }
    }

    @Test func `one seed gives one sequence of keys, and each draw is new`() {
        var a = KeyGenerator(Seed(7)), b = KeyGenerator(Seed(7)), c = KeyGenerator(Seed(8))
        var drawn: [[UInt8]] = []
        for _ in 0..<50 {
            let key = a.secretKey().bytes(), same = b.secretKey().bytes(), other = c.secretKey().bytes()
            check(key == same && key != other && !drawn.contains(key))
            drawn.append(key)
        }
        check(a.uint64() == b.uint64() && a.uint32() == b.uint32() && a.bytes(100) == b.bytes(100))
        check(a.bytes(0) == [] && b.uint64() != a.uint64())
    }

    /// Simulated fleets replay by seed, so how a seed unfolds may not change unnoticed. Expected: ChaCha20
    /// (RFC 8439) under the nonce "LibsodiumDRG", computed in Python.
    @Test func `the sequence of a seed is what it was`() {
        var generator = KeyGenerator(Seed(1, 2, 3, 4))
        check(generator.bytes(16).hex == "c78b6c7e2ed3f5b74cebf93a023bff6d")
        check(generator.uint64() == 0x7973_5696_79d5_0194)
    }

    @Test func `a part's generator goes its own way`() {
        var whole = KeyGenerator(Seed(9)), twin = KeyGenerator(Seed(9))
        var part = whole.split(), other = twin.split()
        let drawn = part.bytes(32)
        check(drawn == other.bytes(32) && drawn != whole.bytes(32))
        _ = (part.bytes(1000), twin.bytes(32))
        check(whole.bytes(32) == twin.bytes(32))
    }

    @Test func `draws are spread evenly over bits`() {
        var generator = KeyGenerator(Seed(10))
        let ones = (0..<2000).reduce(0) { sum, _ in sum + generator.uint64().nonzeroBitCount }
        check((63_000...65_000).contains(ones), "\(ones) of 128000 bits")
    }

    @Test func `secrets are compared by length and content`() {
        check(constantTimeEqual([], []) && constantTimeEqual([1, 2], [1, 2]))
        check(!constantTimeEqual([1, 2], [1, 3]) && !constantTimeEqual([1, 2], [1]))
        let a = SecretBytes([1, 2, 3]), b = a.copy(), c = SecretBytes([1, 2])
        check(a.matches(b) && !a.matches(c) && a.bytes() == [1, 2, 3])
    }
}
