import Base
import Control
import Noise
import Testing
import Wire

@Suite struct TokenTests {
    static let token = TokenText(
        id: [1, 2, 3, 4, 5, 6, 7, 8], secret: [UInt8](repeating: 0x5a, count: 32),
        controller: NodeID([UInt8](repeating: 0x11, count: 32))!,
        authority: VerifyingKey([UInt8](repeating: 0x22, count: 32))!, fleet: FleetID(3, 4),
        addresses: [SocketAddress("192.0.2.1:4100")!, SocketAddress("[2001:db8::1]:4100")!])

    @Test func `a token comes back from its text, white space around it aside`() throws {
        let text = TokenTests.token.text
        #expect(text.hasPrefix("ast1-"))
        #expect(text.dropFirst(5).utf8.allSatisfy { (97...122).contains($0) || (50...55).contains($0) })
        #expect(try TokenText(text) == TokenTests.token)
        #expect(try TokenText("  \(text)\n") == TokenTests.token)
    }

    @Test(arguments: ["\r\n", "\u{FEFF}", " ", "\t", "\u{00A0}", "\n\n"])
    func `what an editor or a terminal adds around a token or into it is left out`(extra: String) throws {
        let text = TokenTests.token.text
        #expect(try TokenText(extra + text + extra) == TokenTests.token)
        #expect(try TokenText(text.prefix(60) + extra + text.dropFirst(60)) == TokenTests.token)
    }

    @Test func `a token holds host names, in lower case, between addresses and ports`() throws {
        var token = TokenTests.token
        token.names = [HostPort("Controller.Example.org:7950")!, HostPort("c:1")!]
        token.tcpPorts = [443]
        let read = try TokenText(token.text)
        #expect(read == token)
        #expect(read.names.map(\.description) == ["controller.example.org:7950", "c:1"])
        token.addresses = []
        #expect(try TokenText(token.text).place.names == token.names)
    }

    @Test(arguments: 1...7)
    func `a token whose end is missing is called incomplete`(missing: Int) {
        do {
            _ = try TokenText(TokenTests.token.text.dropLast(missing))
            Issue.record("it was read")
        } catch {
            #expect("\(error)".contains("incomplete"), "\(error)")
        }
    }

    @Test func `a token may name TCP ports, and is no other without them`() throws {
        var token = TokenTests.token
        token.tcpPorts = [443, 7950]
        let read = try TokenText(token.text)
        #expect(read == token && read.text != TokenTests.token.text)
        #expect(
            read.place.paths.map(\.description).contains("tcp \(SocketAddress(token.addresses[0].ip, 443))"))
    }

    @Test func `a typing error anywhere is detected`() {
        let text = Array(TokenTests.token.text)
        for index in text.indices {
            var changed = text
            changed[index] = changed[index] == "a" ? "b" : "a"
            #expect(throws: TokenError.self) { try TokenText(String(changed)) }
        }
        for end in text.indices {
            #expect(throws: TokenError.self) { try TokenText(String(text[..<end])) }
        }
    }

    @Test func `the error states what is wrong`() {
        let text = TokenTests.token.text
        #expect(throws: TokenError.noPrefix) { try TokenText("ast2-abc") }
        #expect(throws: TokenError.empty) { try TokenText(" \r\n") }
        #expect(throws: TokenError.incomplete) { try TokenText("ast1-") }
        #expect(throws: TokenError.badCharacter(at: 3)) { try TokenText("ast1-abc1") }
        #expect(throws: TokenError.badChecksum) { try TokenText(text.dropLast(8)) }
        #expect(throws: TokenError.unknownVersion(2)) { try TokenText("ast1-" + Base32.encode([2, 0, 0, 0, 0])) }
    }

    /// RFC 4648, section 10, in lower case and without padding.
    @Test(arguments: [
        ("", ""), ("f", "my"), ("fo", "mzxq"), ("foo", "mzxw6"), ("foob", "mzxw6yq"), ("fooba", "mzxw6ytb"),
        ("foobar", "mzxw6ytboi"),
    ])
    func `base32 is that of RFC 4648`(plain: String, coded: String) throws {
        #expect(Base32.encode(Array(plain.utf8)) == coded)
        #expect(try Base32.decode(coded) == Array(plain.utf8))
    }

    /// RFC 4648, section 10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func `base64 is that of RFC 4648`(plain: String, coded: String) {
        #expect(Base64.encode(Array(plain.utf8)) == coded)
        #expect(Base64.decode(coded) == Array(plain.utf8))
    }

    @Test(arguments: ["Z", "Zg=", "Zg=a", "Z===", "====", "Zm9v!mFy", "Zg==Zg=="])
    func `what is not base64 is refused`(text: String) {
        #expect(Base64.decode(text) == nil)
    }

    @Test func `a proof holds in one session only`() {
        let first = TokenText.proof(secret: TokenTests.token.secret, handshakeHash: [UInt8](repeating: 1, count: 64))
        let second = TokenText.proof(secret: TokenTests.token.secret, handshakeHash: [UInt8](repeating: 2, count: 64))
        #expect(first.count == 32)
        #expect(first != second)
    }
}
