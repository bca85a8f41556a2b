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
