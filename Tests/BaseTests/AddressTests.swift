import Base
import Testing

@Suite struct AddressTests {
    @Test(arguments: [
        ("127.0.0.1:80", "127.0.0.1:80"), ("[::1]:4100", "[::1]:4100"),
        ("[2001:0db8:0:0:0:0:0:1]:1", "[2001:db8::1]:1"), ("[64:ff9b::1.2.3.4]:5", "[64:ff9b::102:304]:5" as String?),
        ("[1:0:0:2:0:0:0:3]:1", "[1:0:0:2::3]:1"), ("[::]:0", "[::]:0"), ("[1::]:7", "[1::]:7"),
        ("1.2.3:4", nil), ("1.2.3.04:4", nil), ("256.1.1.1:4", nil), ("1.2.3.4", nil), ("1.2.3.4:65536", nil),
        ("[1:2:3:4:5:6:7:8:9]:1", nil), ("[1::2::3]:1", nil), ("::1:80", nil), ("[::1]:", nil), ("1.2.3.4:+1", nil),
        ("[:1]:1", nil),
    ])
    func `addresses are parsed strictly and printed as RFC 5952`(text: String, printed: String?) {
        #expect(SocketAddress(text)?.description == printed)
    }

    @Test func `a mapped address is its IPv4 address`() {
        #expect(IPAddress(bytes: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 1, 2, 3, 4])?.description == "1.2.3.4")
    }

    @Test(arguments: [
        ("100.64.0.0/10", "100.64.0.0/10"), ("0.0.0.0/0", "0.0.0.0/0"), ("192.0.2.1/32", "192.0.2.1/32"),
        ("fd00::/8", "fd00::/8"), ("2001:0db8::/32", "2001:db8::/32"), ("::/0", "::/0"),
        ("::1/128", "::1/128" as String?),
        ("100.64.0.1/10", nil), ("10.0.0.0/33", nil), ("10.0.0.0/", nil), ("10.0.0.0", nil), ("/8", nil),
        ("10.0.0.0/08", nil), ("10.0.0.0/+8", nil), ("10.0.0.0/-1", nil), ("fd00::1/64", nil), ("fd00::/129", nil),
        ("10.0.0/8", nil), ("10.0.0.0/8/8", nil),
    ])
    func `networks are parsed strictly, without bits beyond their length`(text: String, printed: String?) {
        #expect(IPPrefix(text)?.description == printed)
    }

    @Test func `a network contains the addresses that begin as it does, of its own family`() throws {
        func contains(_ network: String, _ address: String) throws -> Bool {
            try #require(IPPrefix(network)).contains(try #require(IPAddress(address)))
        }
        #expect(try contains("100.64.0.0/10", "100.64.0.0"))
        #expect(try contains("100.64.0.0/10", "100.127.255.255"))
        #expect(try !contains("100.64.0.0/10", "100.128.0.0"))
        #expect(try contains("0.0.0.0/0", "255.255.255.255"))
        #expect(try !contains("0.0.0.0/0", "::1"))
        #expect(try contains("192.0.2.1/32", "192.0.2.1"))
        #expect(try !contains("192.0.2.1/32", "192.0.2.0"))
        #expect(try contains("2001:db8:0:0:8000::/65", "2001:db8::8000:0:0:1"))
        #expect(try !contains("2001:db8:0:0:8000::/65", "2001:db8::1"))
        #expect(try contains("fd00::/8", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
        #expect(try !contains("fd00::/8", "fc00::"))
    }

    @Test func `node ids are ordered as their bytes`() {
        var low = [UInt8](repeating: 0, count: 32), high = low
        low[31] = 255
        high[0] = 1
        let a = NodeID(low)!, b = NodeID(high)!
        #expect(a < b)
        #expect(NodeID(hex: a.hex) == a)
        #expect(NodeID([UInt8](repeating: 0, count: 31)) == nil)
    }
}
