import Foundation
import Testing

/// A message whose result another implementation computed.
struct KnownAnswer {
    var name: String
    var key, nonce, aad, plaintext, ciphertext, tag: [UInt8]
    var isValid = true
}

/// Test cases 13 to 16 of 'The Galois/Counter Mode of Operation' (McGrew and Viega), which NIST refers to.
let specification: [KnownAnswer] = {
    let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
    let plaintext = hex(
        """
        d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525
        b16aedf5aa0de657ba637b391aafd255
        """)
    let ciphertext = hex(
        """
        522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838
        c5f61e6393ba7a0abcc9f662898015ad
        """)
    let zeros = [UInt8](repeating: 0, count: 32), nonce = hex("cafebabefacedbaddecaf888")
    return [
        KnownAnswer(
            name: "13", key: zeros, nonce: Array(zeros.prefix(12)), aad: [], plaintext: [], ciphertext: [],
            tag: hex("530f8afbc74536b9a963b4f1c4cb738b")),
        KnownAnswer(
            name: "14", key: zeros, nonce: Array(zeros.prefix(12)), aad: [], plaintext: Array(zeros.prefix(16)),
            ciphertext: hex("cea7403d4d606b6e074ec5d3baf39d18"), tag: hex("d0d1c8a799996bf0265b98b5d48ab919")),
        KnownAnswer(
            name: "15", key: key, nonce: nonce, aad: [], plaintext: plaintext, ciphertext: ciphertext,
            tag: hex("b094dac5d93471bdec1a502270e3cc6c")),
        KnownAnswer(
            name: "16", key: key, nonce: nonce, aad: hex("feedfacedeadbeeffeedfacedeadbeefabaddad2"),
            plaintext: Array(plaintext.prefix(60)), ciphertext: Array(ciphertext.prefix(60)),
            tag: hex("76fc6ece0f4e1768cddf8853bb2d551b")),
    ]
}()

/// C2SP's Wycheproof: what has a key of 256 bits, a nonce of 96 and a tag of 128.
func wycheproof() throws -> (answers: [KnownAnswer], skipped: Int) {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Fixtures/crypto/wycheproof-aes_gcm_test.json")
    let root = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
    var answers: [KnownAnswer] = [], skipped = 0
    for group in try #require(root["testGroups"] as? [[String: Any]]) {
        let tests = try #require(group["tests"] as? [[String: Any]])
        guard group["keySize"] as? Int == 256, group["ivSize"] as? Int == 96, group["tagSize"] as? Int == 128 else {
            skipped += tests.count
            continue
        }
        for test in tests {
            func bytes(_ name: String) throws -> [UInt8] { hex(try #require(test[name] as? String)) }
            answers.append(
                KnownAnswer(
                    name: "Wycheproof \(test["tcId"] ?? "?")", key: try bytes("key"), nonce: try bytes("iv"),
                    aad: try bytes("aad"), plaintext: try bytes("msg"), ciphertext: try bytes("ct"),
                    tag: try bytes("tag"), isValid: test["result"] as? String == "valid"))
        }
    }
    return (answers, skipped)
}

func hex(_ text: String) -> [UInt8] {
    let digits = text.compactMap { $0.hexDigitValue.map(UInt8.init) }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}
