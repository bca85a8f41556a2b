import Base
import Testing
import Wire

/// One value of each hand-written layout; its bytes lie in Fixtures/wire.
enum Samples {
    static let node = NodeID((0..<32).map { UInt8($0) })!
    static let certificate: Certificate = {
        var certificate = Certificate(
            fleet: FleetID(0x0102_0304_0506_0708, 0x090a_0b0c_0d0e_0f10), serial: 7, node: node,
            roles: [.agent, .beacon], notBefore: UnixTime(seconds: 1_700_000_000),
            notAfter: UnixTime(seconds: 1_800_000_000), name: "node-1", site: "shenzhen",
            labels: [Label("gpu", "h200"), Label("rack", "12")])
        certificate.overlay4 = IPAddress("100.64.0.7")!
        return certificate
    }()
    static let signed = SignedCertificate(certificate, signature: [UInt8](repeating: 0xee, count: 64))
    static let payload = HandshakePayload(hasAESGCM: true, association: 0x1122_3344_5566_7788, certificate: [1, 2, 3])
    static let heartbeat: Heartbeat = {
        var beat = Heartbeat(state: .draining, incarnation: 0xa1a2_a3a4_a5a6_a7a8, sequence: 9, revision: 1 << 40)
        beat.processorLoad = 12
        beat.memoryLoad = 34
        beat.freeSlots = 513
        beat.worst = .degraded
        beat.hasCgroups = true
        beat.details = 0x0102_0304_0506_0708
        beat.workers = 0x1112_1314_1516_1718
        return beat
    }()
    static let ack = HeartbeatAck(answering: heartbeat, revision: 77, details: 5, workers: 6)
    static let address4 = SocketAddress("192.0.2.1:4100")!
    static let address6 = SocketAddress("[2001:db8::1]:4100")!

    static let benchAnswer = BenchAnswer.serving(
        BenchAnswer.Server(isIPv4: true, tcpPort: 40_000, udpPort: 40_001, token: (0..<16).map { UInt8($0) }))

    static let allocation = MeshFrame.allocation(
        0xdead_beef, key: [UInt8](repeating: 0x11, count: 32), challenge: [UInt8](repeating: 0x22, count: 16))
    static let place = RelayedAddress(relay: node, address: address4, allocation: 0xdead_beef)
    static let candidates: [PathCandidate] = [.direct(address4), .direct(address6), .relayed(place)]

    static func header(_ header: DatagramHeader) -> [UInt8] {
        var writer = ByteWriter()
        header.write(to: &writer)
        return writer.bytes
    }
    static func frame(_ frame: MeshFrame) -> [UInt8] {
        var writer = ByteWriter()
        frame.write(to: &writer)
        return writer.bytes
    }

    /// File name and bytes of each.
    static let twoRelays = PathAddress(
        address4, allocations: AllocationPair(near: 0x0910_1112, far: 0x1314_1516),
        via: AllocationPair(near: 0x0102_0304, far: 0x0506_0708))
    /// The headers before a datagram on that path.
    static func before(_ path: PathAddress) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: path.overhead)
        bytes.withUnsafeMutableBytes { path.write(to: $0) }
        return bytes
    }
    static let all: [(String, [UInt8])] = [
        ("header-handshake-first", header(.handshakeFirst(sender: 0x0102_0304))),
        ("header-handshake-second", header(.handshakeSecond(sender: 0x0102_0304, receiver: 0x0506_0708))),
        ("header-cookie-reply", header(.cookieReply(receiver: 0x0506_0708))),
        (
            "header-packet",
            header(.packet(flags: 3, receiver: 0x0506_0708, counter: 0x1112_1314_1516_1718))
        ),
        ("header-frames", header(.frames(receiver: 0x0506_0708, counter: 0x1112_1314_1516_1718))),
        ("handshake-payload", payload.encoded(paddedTo: 20)),
        ("certificate", signed.encoded()),
        ("heartbeat", heartbeat.encoded()),
        ("heartbeat-ack", ack.encoded()),
        ("bench-request", BenchRequest(seconds: 20).encoded()),
        ("bench-answer", benchAnswer.encoded()),
        ("bench-answer-refused", BenchAnswer.refused(.noOverlay).encoded()),
        ("frame-ping", frame(.ping(token: 0x0102_0304_0506_0708))),
        ("frame-pong-4", frame(.pong(token: 1, observed: address4))),
        ("frame-pong-6", frame(.pong(token: 1, observed: address6))),
        ("frame-message", frame(.message([9, 8, 7]))),
        ("frame-close", frame(.close(.notAuthorised, reason: "revoked"))),
        ("header-to-relay", header(.toRelay(AllocationPair(near: 0x0102_0304, far: 0x0506_0708)))),
        ("header-from-relay", header(.fromRelay(AllocationPair(near: 0x0102_0304, far: 0x0506_0708)))),
        ("header-two-relays", before(twoRelays)),
        ("header-bind", header(.bind(allocation: 0x0102_0304))),
        ("header-bind-answer", header(.bindAnswer(allocation: 0x0102_0304))),
        ("frame-allocation-request", frame(.allocationRequest)),
        ("frame-allocation", frame(allocation)),
        ("frame-allocation-refused", frame(.allocationRefused(.full))),
        ("frame-candidates", frame(.candidates(number: 7, .endpointDependent, candidates))),
        ("frame-candidates-blocked", frame(.candidates(number: 7, .blocked, []))),
        ("frame-candidates-received", frame(.candidatesReceived(number: 0x0141))),
    ]
}

@Suite struct LayoutTests {
    @Test(arguments: Samples.all.map(\.0))
    func `each layout has the bytes that its golden file states`(name: String) throws {
        let bytes = Samples.all.first { $0.0 == name }!.1
        #expect(bytes.hex == (try golden(name)).hex)
    }

    @Test func `a path over two relays has the nearer one's header first`() {
        let path = Samples.twoRelays
        #expect(path.overhead == 24 && path.hops == 2)
        let near = PathAddress(path.remote, allocations: path.via)
        #expect(
            Samples.before(path) == Samples.before(near)
                + Samples.before(PathAddress(path.remote, allocations: path.allocations)))
        #expect(near.extended(by: path.allocations!) == path && path.extended(by: path.allocations!) == nil)
        #expect(PathAddress(path.remote).extended(by: path.via!) == near)
        #expect(
            path.uses(allocation: path.via!.near) && path.uses(allocation: path.allocations!.near)
                && !near.uses(allocation: path.allocations!.near))
    }

    @Test func `headers are read as written`() throws {
        let headers: [(DatagramHeader, Int)] = [
            (.handshakeFirst(sender: 1), 200), (.handshakeSecond(sender: 1, receiver: 2), 200),
            (.cookieReply(receiver: 3), DatagramHeader.cookieLength), (.frames(receiver: 4, counter: 5), 32),
            (.packet(flags: 2, receiver: 4, counter: 5), 1472),
            (.toRelay(AllocationPair(near: 6, far: 7)), 13), (.fromRelay(AllocationPair(near: 6, far: 7)), 1484),
            (.bind(allocation: 8), DatagramHeader.bindLength), (.bindAnswer(allocation: 8), DatagramHeader.bindLength),
        ]
        for (header, length) in headers {
            var bytes = Samples.header(header)
            bytes += [UInt8](repeating: 0, count: length - bytes.count)
            var reader = ByteReader(bytes.span.bytes)
            #expect(try DatagramHeader(reading: &reader) == header)
        }
    }

    @Test func `a length that the kind cannot have is refused`() {
        for kind in DatagramKind.allCases {
            for length in [1, 4, 15, 16, 31, 63, 1233] {
                guard (kind != .frames && kind != .packet) || length < 32 else { continue }
                guard (kind != .toRelay && kind != .fromRelay) || length < 13 else { continue }
                let bytes = [kind.rawValue] + [UInt8](repeating: 0, count: length - 1)
                #expect(throws: DecodeError.self, "\(kind) of \(length) bytes") {
                    var reader = ByteReader(bytes.span.bytes)
                    _ = try DatagramHeader(reading: &reader)
                }
            }
        }
    }

    @Test func `a request to measure and its answer are read as written, and nothing else is`() throws {
        func request(_ bytes: [UInt8]) -> BenchRequest? {
            var reader = ByteReader(bytes.span.bytes)
            return try? BenchRequest(reading: &reader)
        }
        func answer(_ bytes: [UInt8]) -> BenchAnswer? {
            var reader = ByteReader(bytes.span.bytes)
            return try? BenchAnswer(reading: &reader)
        }
        for seconds in [1, 20, 120] as [UInt8] {
            #expect(request(BenchRequest(seconds: seconds).encoded()) == BenchRequest(seconds: seconds))
        }
        let answers = [Samples.benchAnswer] + BenchAnswer.Refusal.allCases.map { .refused($0) }
        for one in answers { #expect(answer(one.encoded()) == one && one.encoded().count <= BenchAnswer.size) }
        let magic = Array("bench 1".utf8)
        for wrong in [magic, magic + [0], magic + [121], magic + [5, 5], Array("bench 2".utf8) + [5], []] {
            #expect(request(wrong) == nil, "\(wrong)")
        }
        let whole = Samples.benchAnswer.encoded()
        for count in 0..<whole.count { #expect(answer(Array(whole[..<count])) == nil) }
        #expect(answer(whole + [0]) == nil && answer(magic + [4]) == nil && answer(magic + [1, 0]) == nil)
        for (place, value) in [(0, 0x42), (8, 5), (8, 0)] as [(Int, UInt8)] {
            var changed = whole
            changed[place] = value
            #expect(answer(changed) == nil)
        }
        for port in [9, 11] {
            var changed = whole
            (changed[port], changed[port + 1]) = (0, 0)
            #expect(answer(changed) == nil)
        }
    }

    @Test func `an unknown kind and a reserved byte are refused`() {
        for (position, value) in [(0, UInt8(0)), (0, 10), (0, 255), (1, 1), (2, 1), (3, 1)] {
            var bytes: [UInt8] = [4] + [UInt8](repeating: 0, count: 60)
            bytes[position] = value
            #expect(throws: DecodeError.self) {
                var reader = ByteReader(bytes.span.bytes)
                _ = try DatagramHeader(reading: &reader)
            }
        }
    }

    @Test func `a certificate is read as written, and no byte may be missing or too many`() throws {
        let bytes = Samples.signed.encoded()
        #expect(try SignedCertificate(decoding: bytes) == Samples.signed)
        for count in 0..<bytes.count {
            #expect(throws: DecodeError.self) { try SignedCertificate(decoding: Array(bytes[..<count])) }
        }
        #expect(throws: DecodeError.self) { try SignedCertificate(decoding: bytes + [0]) }
    }

    @Test func `the largest certificate fits its limit and a handshake datagram`() throws {
        var certificate = Samples.certificate
        certificate.name = String(repeating: "n", count: Limits.nameBytes)
        certificate.site = String(repeating: "s", count: Limits.nameBytes)
        let signed = SignedCertificate(certificate, signature: Samples.signed.signature)
        #expect(signed.encoded().count <= Limits.certificateBytes)
        let second = DatagramHeader.secondSize + 32 + 16 + DatagramHeader.macsSize
        let payload = HandshakePayload(
            hasAESGCM: true, association: 1, certificate: [UInt8](repeating: 0, count: Limits.certificateBytes))
        #expect(second + payload.encoded().count <= Limits.datagramBytes)
    }

    @Test func `a payload is read as written, with its padding`() throws {
        for size in [0, 20, 500] {
            let bytes = Samples.payload.encoded(paddedTo: size)
            var reader = ByteReader(bytes.span.bytes)
            #expect(try HandshakePayload(reading: &reader) == Samples.payload)
        }
        var bytes = Samples.payload.encoded(paddedTo: 20)
        bytes[19] = 1
        #expect(throws: DecodeError.self) {
            var reader = ByteReader(bytes.span.bytes)
            _ = try HandshakePayload(reading: &reader)
        }
    }

    @Test func `a heartbeat fits in 64 bytes and is read as written`() throws {
        let bytes = Samples.heartbeat.encoded()
        #expect(bytes.count == Heartbeat.size && bytes.count <= Limits.heartbeatBytes)
        var reader = ByteReader(bytes.span.bytes)
        #expect(try Heartbeat(reading: &reader) == Samples.heartbeat)
        let ack = Samples.ack.encoded()
        var ackReader = ByteReader(ack.span.bytes)
        #expect(ack.count == HeartbeatAck.size)
        #expect(try HeartbeatAck(reading: &ackReader) == Samples.ack)
    }

    @Test func `mesh frames are read as written`() throws {
        let frames: [MeshFrame] = [
            .ping(token: 1), .pong(token: .max, observed: Samples.address4),
            .pong(token: 2, observed: Samples.address6),
            .message([]), .message([UInt8](repeating: 7, count: Limits.messageBytes)), .close(.goodbye, reason: ""),
            .close(.overloaded, reason: "full"), .allocationRequest, Samples.allocation, .allocationRefused(.notARelay),
            .candidates(number: 1, .none, []), .candidates(number: 1 << 40, .endpointIndependent, Samples.candidates),
            .candidatesReceived(number: 0),
        ]
        for frame in frames {
            let bytes = Samples.frame(frame)
            var reader = ByteReader(bytes.span.bytes)
            let type = try reader.uint8("type")
            #expect(MeshFrame.types.contains(type))
            #expect(try MeshFrame(type: type, reading: &reader) == frame)
            let isAtEnd = reader.isAtEnd
            #expect(isAtEnd)
        }
    }

    @Test(arguments: [
        "27010011", "27010500", "270100c0000000", "2701000102", "2600", "2603", "25deadbeef", "28", "24ff",
    ])
    func `invalid candidates and allocations are refused`(_ hex: String) {
        let bytes = [UInt8](hex: hex)!
        #expect(throws: DecodeError.self) {
            var reader = ByteReader(bytes.span.bytes)
            _ = try MeshFrame(type: try reader.uint8("type"), reading: &reader)
            try reader.expectEnd("frame")
        }
    }

    @Test func `a message beyond its limit is refused`() {
        let bytes = Samples.frame(.message([UInt8](repeating: 7, count: Limits.messageBytes + 1)))
        #expect(throws: DecodeError.self) {
            var reader = ByteReader(bytes.span.bytes)
            _ = try MeshFrame(type: try reader.uint8("type"), reading: &reader)
        }
    }

    /// Decoders are the first thing that an unauthenticated peer's bytes reach: whatever comes, they give a value or an error.
    @Test func `mutated layouts never trap`() {
        var random = Random(Seed(11))
        for _ in 0..<200_000 {
            var bytes = Samples.all[random.index(below: Samples.all.count)].1
            for _ in 0..<(1 + random.index(below: 4)) where !bytes.isEmpty {
                switch random.index(below: 3) {
                case 0: bytes[random.index(below: bytes.count)] = UInt8(random.index(below: 256))
                case 1: bytes.removeLast(random.index(below: bytes.count) + 1)
                case _: bytes.append(UInt8(random.index(below: 256)))
                }
            }
            var header = ByteReader(bytes.span.bytes), beat = ByteReader(bytes.span.bytes)
            var payload = ByteReader(bytes.span.bytes), frame = ByteReader(bytes.span.bytes)
            _ = try? DatagramHeader(reading: &header)
            _ = try? Heartbeat(reading: &beat)
            _ = try? HandshakePayload(reading: &payload)
            _ = try? SignedCertificate(decoding: bytes)
            if let type = try? frame.uint8("type") { _ = try? MeshFrame(type: type, reading: &frame) }
        }
    }
}
