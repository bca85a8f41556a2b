import Base
import Testing

@testable import Mesh

@Suite struct PortControlCodecTests {
    private static let nonce: [UInt8] = Array(1...12)
    private static let suggestion = SocketAddress("203.0.112.11:7950")!

    private func bytes(_ hex: String) -> [UInt8] { [UInt8](hex: hex.filter { !$0.isWhitespace })! }

    /// RFC 6887, figures 2 and 9.
    @Test func `a MAP request of PCP has the layout of the RFC`() {
        let request = PCP.MapRequest(
            nonce: Self.nonce, client: IPAddress("192.168.1.2")!, internalPort: 7950, suggested: Self.suggestion,
            lifetimeSeconds: 7200)
        let golden = """
            02 01 0000 00001c20 00000000000000000000ffffc0a80102
            0102030405060708090a0b0c 11 000000 1f0e 1f0e 00000000000000000000ffffcb00700b
            """
        #expect(request.encoded == bytes(golden))
    }

    @Test func `a MAP request of PCP may be about IPv6`() {
        let request = PCP.MapRequest(
            nonce: Self.nonce, client: IPAddress("2001:db8::2")!, internalPort: 7950,
            suggested: SocketAddress(.any6, 0), lifetimeSeconds: 0)
        let golden = """
            02 01 0000 00000000 20010db8000000000000000000000002
            0102030405060708090a0b0c 11 000000 1f0e 0000 00000000000000000000000000000000
            """
        #expect(request.encoded == bytes(golden))
    }

    /// Answers of miniupnpd 2.3.1; figures 3 and 10 of RFC 6887.
    @Test func `answers of PCP are read`() throws {
        let granted = """
            02 81 00 00 00001c20 00000003 000000000000000000000000
            7cec002b35b1653c9c398743 11 000000 1f0e 1f0e 00000000000000000000ffffcb00700b
            """
        let answer = try PCP.Response(decoding: bytes(granted))
        #expect(answer.result == 0 && answer.lifetimeSeconds == 7200 && answer.epochSeconds == 3)
        let map = try #require(answer.map)
        #expect(map.nonce == bytes("7cec002b35b1653c9c398743") && map.transport == 17 && map.internalPort == 7950)
        #expect(map.external == Self.suggestion)
        let refused = try PCP.Response(decoding: bytes("02 80 00 01 00000000 00000003 000000000000000000000000"))
        #expect(refused.opcode == 0 && refused.result == 1 && refused.map == nil)
        #expect(refused.meaning == "the gateway speaks another version")
        // An answer of a later version shows at least its version.
        let later = try PCP.Response(decoding: bytes("03 81 00 01 00000000 00000003 000000000000000000000000"))
        #expect(later.version == 3 && later.result == 1)
        let announcement = try PCP.Response(decoding: bytes("02 80 00 00 00000000 00000000 000000000000000000000000"))
        #expect(announcement.opcode == 0 && announcement.result == 0 && announcement.epochSeconds == 0)
    }

    @Test(arguments: [
        "", "02", "02 81 00 00 00001c20 00000003 0000000000000000000000",
        // A request; an unknown version; a grant without a mapping.
        "02 01 00 00 00001c20 00000003 000000000000000000000000",
        "03 81 00 00 00001c20 00000003 000000000000000000000000",
        "02 81 00 00 00001c20 00000003 000000000000000000000000",
    ])
    func `what is no answer of PCP is refused`(hex: String) {
        #expect(throws: DecodeError.self) { try PCP.Response(decoding: bytes(hex)) }
    }

    @Test func `every result code has its own text, and unknown ones have their number`() throws {
        #expect(Set(PCP.ResultCode.allCases.map(\.meaning)).count == 14)
        #expect(PCP.ResultCode.allCases.map(\.rawValue) == Array(0...13))
        #expect(Set(NATPMP.ResultCode.allCases.map(\.meaning)).count == 6)
        #expect(NATPMP.ResultCode.allCases.map(\.rawValue) == Array(0...5))
        var answer = try PCP.Response(decoding: bytes("02 81 00 02 00000000 00000003 000000000000000000000000"))
        answer.result = 77
        #expect(answer.meaning == "refused with code 77")
    }

    /// RFC 6886, sections 3.2 and 3.3.
    @Test func `requests of NAT-PMP have the layout of the RFC`() {
        #expect(NATPMP.externalAddressRequest == [0, 0])
        let map = NATPMP.mapRequest(internalPort: 7950, suggestedPort: 7951, lifetimeSeconds: 7200)
        #expect(map == bytes("00 01 0000 1f0e 1f0f 00001c20"))
        let end = NATPMP.mapRequest(internalPort: 7950, suggestedPort: 0, lifetimeSeconds: 0)
        #expect(end == bytes("00 01 0000 1f0e 0000 00000000"))
    }

    /// Answers of miniupnpd 2.3.1.
    @Test func `answers of NAT-PMP are read`() throws {
        let address = try NATPMP.Response(decoding: bytes("00 80 0000 00000003 cb00700b"))
        #expect(address.body == .externalAddress(Self.suggestion.ip) && address.epochSeconds == 3)
        let map = try NATPMP.Response(decoding: bytes("00 81 0000 00000003 1f0e 1f0f 00001c20"))
        #expect(map.body == .map(internalPort: 7950, externalPort: 7951, lifetimeSeconds: 7200))
        let refused = try NATPMP.Response(decoding: bytes("00 81 0002 00000003"))
        #expect(refused.body == .none && refused.meaning == "the gateway does not allow it")
        for bad in ["", "00", "01 80 0000 00000003 cb00700b", "00 00 0000 00000003", "00 81 0000 00000003 1f0e"] {
            #expect(throws: DecodeError.self, "\(bad)") { try NATPMP.Response(decoding: bytes(bad)) }
        }
    }

    /// RFC 6887, section 8.5, and RFC 6886, section 3.6.
    @Test(arguments: [
        // Seconds of ours, of theirs, and whether PCP and NAT-PMP call that a restart.
        (100, 100, false, false), (100, 97, false, false), (0, -1, false, false), (0, -2, true, false),
        (100, 0, true, true), (1000, 940, false, false), (1000, 930, true, false), (1000, 872, true, true),
        (1000, 1060, false, false), (1000, 1080, true, false), (0, -500, true, true), (0, 2, false, false),
    ])
    func `a count that does not match our clock is a restart`(ours: Int64, theirs: Int64, pcp: Bool, pmp: Bool) {
        for (isPCP, expected) in [(true, pcp), (false, pmp)] {
            var epoch = GatewayEpoch()
            let start = Instant.origin + .seconds(50)
            let first = epoch.hasRestarted(5000, isPCP: isPCP, now: start)
            let second = epoch.hasRestarted(UInt32(5000 + theirs), isPCP: isPCP, now: start + .seconds(ours))
            #expect(!first && second == expected, "PCP \(isPCP)")
        }
    }

    @Test(arguments: [
        ("10.0.0.1", true), ("172.16.0.1", true), ("172.31.255.255", true), ("172.32.0.0", false),
        ("192.168.255.1", true), ("100.64.0.1", true), ("100.127.255.255", true), ("100.128.0.0", false),
        ("100.63.255.255", false), ("192.0.0.4", true), ("192.0.2.1", false), ("169.254.1.1", true),
        ("0.1.2.3", true), ("127.0.0.1", true), ("198.51.100.7", false), ("8.8.8.8", false), ("2001:db8::1", false),
    ])
    func `addresses behind a NAT are distinguished from others`(address: String, isPrivate: Bool) {
        #expect(IPAddress(address)!.isOfPrivateNetwork4 == isPrivate)
    }
}
