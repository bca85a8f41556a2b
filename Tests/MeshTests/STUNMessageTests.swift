import Base
import Foundation
import Mesh
import Testing

/// The codec against the RFCs' vectors, third-party servers, itself, and arbitrary input.
@Suite struct STUNMessageTests {
    /// The files of that name: this repository's, then others'.
    private static func fixtures(_ name: String) throws -> [[String: Any]] {
        let here = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fixtures/stun")
        var found = try #require(try read(here.appending(path: name)), "\(name)")
        if let extra = ProcessInfo.processInfo.environment["ASTERISM_EXTRA_FIXTURES"], !extra.isEmpty {
            found += try read(URL(filePath: extra).appending(path: "stun").appending(path: name)) ?? []
        }
        return found
    }
    private static func read(_ file: URL) throws -> [[String: Any]]? {
        guard let data = try? Data(contentsOf: file) else { return nil }
        return try JSONSerialization.jsonObject(with: data) as? [[String: Any]]
    }
    private static func bytes(_ vector: [String: Any]) throws -> [UInt8] {
        try #require((vector["hex"] as? String).flatMap { [UInt8](hex: $0) }, "\(vector)")
    }
    private static func address(_ vector: [String: Any]) -> SocketAddress? {
        guard let text = vector["mapped_address"] as? String, let port = vector["mapped_port"] as? Int,
            let ip = IPAddress(text)
        else { return nil }
        return SocketAddress(ip, UInt16(port))
    }

    private static let id = STUNMessage.TransactionID(high: 0xb7e7_a701, low: 0xbc34_d686_fa87_dfae)
    private static let address4 = SocketAddress("192.0.2.1:32853")!
    private static let address6 = SocketAddress("[2001:db8:1234:5678:11:2233:4455:6677]:32853")!

    @Test func `the vectors of RFC 5769 and RFC 8489 are read as they state`() throws {
        let vectors = try Self.fixtures("rfc5769-rfc8489-vectors.json")
        var sections: [String] = []
        for vector in vectors {
            let message = try STUNMessage(decoding: try Self.bytes(vector))
            #expect(message.method == STUNMessage.binding && message.software == vector["software"] as? String)
            #expect(message.mapped == Self.address(vector))
            #expect(message.messageClass == (Self.address(vector) == nil ? .request : .success))
            if (vector["rfc"] as? String)?.hasPrefix("5769 2.1") ?? false {
                #expect(message.transaction == Self.id)
                // ICE's PRIORITY, which none but ICE understands.
                #expect(message.unknownRequired == [0x0024])
            } else {
                #expect(message.unknownRequired.isEmpty)
            }
            sections.append(vector["rfc"] as? String ?? "")
        }
        #expect(Set(sections).isSuperset(of: ["5769 2.1", "5769 2.2", "5769 2.3", "5769 2.4", "8489 B.1"]))
    }

    @Test func `one wrong bit of a vector with a FINGERPRINT is found`() throws {
        for vector in try Self.fixtures("rfc5769-rfc8489-vectors.json") where vector["fingerprint_ok"] as? Bool == true
        {
            let bytes = try Self.bytes(vector)
            // The transaction, SOFTWARE's value, and the FINGERPRINT's own: a wrong length may hide what would be checked.
            for place in Array(8..<20) + Array(24..<35) + Array(bytes.count - 4..<bytes.count) {
                for bit in 0..<8 {
                    var wrong = bytes
                    wrong[place] ^= 1 << UInt8(bit)
                    #expect(throws: DecodeError.self, "byte \(place)") { try STUNMessage(decoding: wrong) }
                }
            }
        }
    }

    @Test func `answers of third-party servers hold the address`() throws {
        let vectors = try Self.fixtures("server-responses.json")
        for vector in vectors {
            let message = try STUNMessage(decoding: try Self.bytes(vector))
            #expect(message.messageClass == .success && message.unknownRequired.isEmpty)
            #expect(message.mapped == Self.address(vector), "\(vector["name"] ?? "")")
        }
        #expect(vectors.count >= 9)
    }

    @Test func `an old server's CHANGED-ADDRESS is its other address`() throws {
        let vector = try #require(
            try Self.fixtures("server-responses.json").first { $0["name"] as? String == "stun-sipgate-net-10000" })
        let message = try STUNMessage(decoding: try Self.bytes(vector))
        #expect(message.otherAddress == SocketAddress("217.116.122.138:10001"))
    }

    static let attributes: [STUNMessage.Attribute] = [
        .mappedAddress(address4), .xorMappedAddress(address4), .mappedAddress(address6), .xorMappedAddress(address6),
        .errorCode(420, "Unknown Attribute"), .unknownAttributes([3, 0x27, 0x26]), .software(""), .software("a"),
        .software("abc"), .software("abcd"), .changeRequest(address: true, port: true),
        .changeRequest(address: false, port: true), .changeRequest(address: true, port: false),
        .otherAddress(address4), .otherAddress(address6), .responseOrigin(address4), .responsePort(40_001),
        .padding(0), .padding(1200), .other(0x7777, [1, 2, 3]), .other(0x8777, []),
    ]

    @Test(arguments: attributes.indices, [true, false])
    func `what is written is read`(_ index: Int, _ hasFingerprint: Bool) throws {
        for messageClass in STUNMessage.Class.allCases {
            for method: UInt16 in [1, 0x80, 0xfff] {
                let attribute = Self.attributes[index]
                let message = STUNMessage(
                    messageClass, method: method, Self.id, [attribute, .software("x"), attribute])
                let bytes = message.encoded(fingerprint: hasFingerprint)
                #expect(bytes.count % 4 == 0 && STUNMessage.isLikely(bytes))
                #expect(try STUNMessage(decoding: bytes) == message)
            }
        }
    }

    @Test func `the bytes of a request are those of the RFC`() {
        let request = STUNMessage(.request, Self.id, [.changeRequest(address: true, port: true)])
        #expect(
            request.encoded(fingerprint: false).hex
                == "000100082112a442b7e7a701bc34d686fa87dfae0003000400000006")
        let response = STUNMessage(.success, Self.id, [.software("test vector"), .xorMappedAddress(Self.address4)])
        // Section 2.2 without its MESSAGE-INTEGRITY, and padded with zeros.
        #expect(
            response.encoded(fingerprint: false).hex
                == "0101001c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f72000020000800"
                + "01a147e112a643")
    }

    @Test func `attributes after MESSAGE-INTEGRITY are ignored`() throws {
        let integrity = STUNMessage.Attribute.other(0x0008, Array(repeating: 7, count: 20))
        let written = STUNMessage(.success, Self.id, [integrity, .mappedAddress(Self.address4), .other(0x7777, [])])
        let message = try STUNMessage(decoding: written.encoded())
        #expect(message.attributes == [integrity] && message.mapped == nil && message.unknownRequired.isEmpty)
        // But a FINGERPRINT is checked there too.
        var wrong = written.encoded()
        wrong[wrong.count - 1] ^= 1
        #expect(throws: DecodeError.self) { try STUNMessage(decoding: wrong) }
    }

    static let refused: [(hex: String, why: String)] = [
        ("", "nothing"), ("000100002112a442b7e7a701bc34d686fa87df", "a header that is cut off"),
        ("800100002112a442b7e7a701bc34d686fa87dfae", "the first bits are not zero"),
        ("000100002112a443b7e7a701bc34d686fa87dfae", "another cookie"),
        ("000100022112a442b7e7a701bc34d686fa87dfae0000", "a length that is no multiple of four"),
        ("000100042112a442b7e7a701bc34d686fa87dfae", "attributes that are not there"),
        ("000100042112a442b7e7a701bc34d686fa87dfae80220001", "a value that is not there"),
        ("010100082112a442b7e7a701bc34d686fa87dfae0020000400013039", "an address without its bytes"),
        ("0101000c2112a442b7e7a701bc34d686fa87dfae002000080003303901020304", "a third family"),
        ("011100082112a442b7e7a701bc34d686fa87dfae0009000400000700", "an error code above 699"),
        ("011100082112a442b7e7a701bc34d686fa87dfae0009000400000464", "a hundredth that is 100"),
    ]

    @Test(arguments: refused.indices)
    func `what is no message is refused`(_ index: Int) throws {
        let bytes = try #require([UInt8](hex: Self.refused[index].hex))
        #expect(throws: DecodeError.self, "\(Self.refused[index].why)") { try STUNMessage(decoding: bytes) }
    }

    @Test func `no input makes the reader trap`() throws {
        for vector in try Self.fixtures("malformed-messages.json") {
            _ = try? STUNMessage(decoding: try Self.bytes(vector))
        }
        let seeds =
            try ["rfc5769-rfc8489-vectors.json", "server-responses.json", "malformed-messages.json"]
            .flatMap { try Self.fixtures($0) }.map { try Self.bytes($0) }
            + Self.attributes.map { STUNMessage(.success, Self.id, [$0]).encoded(fingerprint: false) }
        var random = Random(Seed(5)), read = 0
        for _ in 0..<100_000 {
            var bytes = seeds[random.index(below: seeds.count)]
            for _ in 0..<1 + random.index(below: 4) {
                switch random.index(below: 4) {
                case 0: bytes.insert(UInt8(random.index(below: 256)), at: random.index(below: bytes.count + 1))
                case 1 where !bytes.isEmpty: bytes.remove(at: random.index(below: bytes.count))
                case 2: bytes.removeLast(random.index(below: bytes.count + 1))
                case _ where !bytes.isEmpty: bytes[random.index(below: bytes.count)] = UInt8(random.index(below: 256))
                case _: break
                }
            }
            guard let message = try? STUNMessage(decoding: bytes) else { continue }
            read += 1
            // A message that was read can be written, and is then read alike.
            #expect(try STUNMessage(decoding: message.encoded()).transaction == message.transaction)
        }
        // Both roads were travelled, or nothing was shown.
        #expect(read > 5000 && read < 95_000)
    }
}
