import Base
import Noise
import Testing

/// The primitives against C2SP's Wycheproof, which collects what implementations got wrong.
@Suite struct WycheproofTests {
    /// Every test of the algorithm, whatever its file is called.
    private func cases(
        _ algorithm: String, _ body: ([String: Any], [String: Any], String) throws -> Void
    ) throws {
        let files = try Vectors.all("crypto").filter { $0.root["algorithm"] as? String == algorithm }
        #expect(!files.isEmpty, "no file of \(algorithm)")
        for file in files {
            let groups = try #require(file.root["testGroups"] as? [[String: Any]])
            for group in groups {
                let tests = try #require(group["tests"] as? [[String: Any]])
                for test in tests { try body(group, test, "\(file.file) case \(test["tcId"] ?? "?")") }
            }
        }
    }
    private func bytes(_ fields: [String: Any], _ name: String) throws -> [UInt8] {
        let text = try #require(fields[name] as? String)
        return try #require([UInt8](hex: text))
    }

    @Test func `X25519 agrees as it should and refuses points of small order`() throws {
        var tally = Tally("Wycheproof X25519"), refused = 0
        try cases("XDH") { group, test, what in
            guard group["type"] as? String == "XdhComp", group["curve"] as? String == "curve25519" else {
                return tally.skip("other curves and encodings")
            }
            tally.run += 1
            let flags = try #require(test["flags"] as? [String])
            let shared = try bytes(test, "shared")
            guard let key = SecretKey(try bytes(test, "private")), let remote = NodeID(try bytes(test, "public"))
            else {
                Issue.record("\(what) has keys of another size")
                return
            }
            do throws(KeyAgreementError) {
                let agreed = try key.agree(with: remote).bytes()
                #expect(agreed == shared && !flags.contains("ZeroSharedSecret"), "\(what)")
            } catch {
                refused += 1
                #expect(error == .lowOrderPoint && flags.contains("ZeroSharedSecret"), "\(what)")
                #expect(test["result"] as? String != "valid", "\(what)")
            }
        }
        print(tally, "of which \(refused) refused")
        #expect(tally.run >= 500 && refused >= 20)
    }

    @Test func `Ed25519 verifies what is valid and nothing else`() throws {
        var tally = Tally("Wycheproof Ed25519")
        try cases("EDDSA") { group, test, what in
            let fields = try #require(group["publicKey"] as? [String: Any])
            guard fields["curve"] as? String == "edwards25519" else { return tally.skip("other curves") }
            tally.run += 1
            let raw = try bytes(fields, "pk")
            let key = try #require(VerifyingKey(raw))
            let verifies = key.verifies(try bytes(test, "sig"), of: try bytes(test, "msg"))
            #expect(verifies == (test["result"] as? String == "valid"), "\(what)")
        }
        print(tally)
        #expect(tally.run >= 150)
    }

    @Test func `ChaCha20-Poly1305 seals and opens`() throws {
        #expect(try aead("CHACHA20-POLY1305", .chaChaPoly) >= 250)
    }

    @Test(.enabled(if: Cipher.aesGCM.isAvailable)) func `AES-256-GCM seals and opens`() throws {
        #expect(try aead("AES-GCM", .aesGCM) >= 60)
    }

    private func aead(_ algorithm: String, _ cipher: Cipher) throws -> Int {
        var tally = Tally("Wycheproof \(cipher.name)")
        try cases(algorithm) { group, test, what in
            guard group["keySize"] as? Int == 256 else { return tally.skip("key size \(group["keySize"] ?? "?")") }
            guard group["ivSize"] as? Int == 96 else { return tally.skip("nonce size not 96") }
            guard group["tagSize"] as? Int == 128 else { return tally.skip("tag size not 128") }
            tally.run += 1
            let key = CipherKey(cipher, key: SecretBytes(try bytes(test, "key")))
            let iv = try bytes(test, "iv")
            let nonce = try #require(Nonce(iv))
            let plaintext = try bytes(test, "msg"), aad = try bytes(test, "aad")
            let sealed = try bytes(test, "ct") + bytes(test, "tag")
            let isValid = test["result"] as? String == "valid"
            var opened = sealed
            let isAuthentic = opened.withUnsafeMutableBytes { text in
                aad.withUnsafeBytes { key.open(text, nonce: nonce, aad: $0) }
            }
            #expect(isAuthentic == isValid, "\(what)")
            guard isValid else { return }
            #expect(Array(opened.dropLast(16)) == plaintext, "\(what)")
            var text = plaintext + [UInt8](repeating: 0, count: 16)
            text.withUnsafeMutableBytes { text in
                aad.withUnsafeBytes { key.seal(text, count: plaintext.count, nonce: nonce, aad: $0) }
            }
            #expect(text == sealed, "\(what)")
        }
        print(tally)
        return tally.run
    }
}
