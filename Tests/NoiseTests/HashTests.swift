import Base
import Noise
import Testing

/// Expected values: FIPS 180-4 and RFC 7693 for "abc"; the rest computed with Python's hashlib and hmac.
@Suite struct HashTests {
    @Test func `digests of abc are the standards'`() {
        let abc = Array("abc".utf8)
        #expect(
            HashFunction.sha256.digest(abc).hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(
            HashFunction.sha512.digest(abc).hex
                == "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f")
        #expect(
            HashFunction.blake2b.digest(abc).hex
                == "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
                + "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923")
        #expect(
            Hash.blake2b(abc).hex == "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319")
        #expect(
            Hash.blake2b(abc, key: (0..<32).map { UInt8($0) }, length: 16).hex == "1a64be47e4729d951c302ee543f97cf3")
    }

    @Test(arguments: [
        (
            HashFunction.sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            "02bfd51ba2fc9b374aa7d9212692fcad4fc23308fd81168f759d987226d3f8ea"
        ),
        (
            .sha512,
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                + "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            "6cea3894fc40d3768eb49b4b477aca942f57a026f175ee62d23f42df9cc6158d"
                + "cdd3404919e1ee1da19a550911b6208b0b89ee472c1dea5325e39efebc6aa89d"
        ),
        (
            .blake2b,
            "6ff884f8ddc2a6586b3c98a4cd6ebdf14ec10204b6710073eb5865ade37a2643"
                + "b8807c1335d107ecdb9ffeaeb6828c4625ba172c66379efcd222c2de11727ab4",
            "11b7e5226690b845bb4bd990a3f183c1df9eea74bc9acaec8ddb28a1017c8552"
                + "4e775a5c71ec56126c8d2af5487ce5ca7374cd031ffcb6c9eeb1314c89a7aae9"
        ),
    ]) func `HMAC takes short and long keys`(hash: HashFunction, short: String, long: String) {
        let jefe = hash.hmac(key: SecretBytes("Jefe".utf8), Array("what do ya want for nothing?".utf8))
        #expect(jefe.bytes().hex == short)
        let key = SecretBytes([UInt8](repeating: 0xaa, count: 200))
        let second = hash.hmac(key: key, [UInt8](repeating: UInt8(ascii: "x"), count: 200))
        #expect(second.bytes().hex == long)
    }

    @Test(arguments: [
        (HashFunction.sha256, "47626a9db38fd071a33d820126f4c4752e46687210226b2a05620285386b7c6c"),
        (.sha512, "6a2831a86663eb4e0c86e2e02d8f9f8cbc0ff21863aa7041a3bc95cb327a81fe"),
        (.blake2b, "5c1ffdb09045b8e4374e2fc833e37925cb60bcc7d2766dcd9f789b2e5166ceac"),
    ]) func `HKDF gives three outputs, of which two are the first`(hash: HashFunction, digest: String) {
        let chainingKey = SecretBytes((0..<hash.length).map { UInt8($0) }), input = SecretBytes("input".utf8)
        let three = hash.hkdf(chainingKey: chainingKey, input: input, outputs: 3).bytes()
        let two = hash.hkdf(chainingKey: chainingKey, input: input, outputs: 2).bytes()
        #expect(HashFunction.sha256.digest(three).hex == digest)
        #expect(Array(three.prefix(2 * hash.length)) == two)
    }
}
