import Base
import Control
import Foundation
import Mesh
import Noise
import Testing
import Wire

/// What unauthenticated peers send is refused and counted with its reason; nothing crashes, and nothing changes.
@Suite struct RefusalTests {
    /// What must not change, of the nodes.
    private struct Known: Hashable {
        var id: NodeID
        var name: String
        var address: SocketAddress?
        var enrolledAt: UnixTime
        var certificate: UnixTime
        var state: NodeState
        var revision: UInt64
    }

    private static func known(_ fleet: Fleet) throws -> [Known] {
        try fleet.nodes().map {
            Known(
                id: $0.id, name: $0.name, address: $0.address, enrolledAt: $0.enrolledAt,
                certificate: $0.certificateExpiresAt, state: $0.state, revision: $0.desiredRevision)
        }
    }

    /// All drops together, as `asterism status --json` shows them.
    private static func shown(_ fleet: Fleet, socket: String? = nil) throws -> [String: Int] {
        let end = try fleet.cli(["status", "--json"], socket: socket)
        #expect(end.status == 0)
        let view: StatusView = try end.view()
        return Dictionary(view.counters.map { ($0.name, $0.count) }, uniquingKeysWith: +)
    }

    private static func drops(_ counters: [String: Int]) -> Int {
        counters.filter { $0.key.hasPrefix("dropped.") }.values.reduce(0, +)
    }

    /// Runs `body` against a fleet of one agent with a worker, and checks that nothing has changed.
    private static func unchanged(
        isRelayed: Bool = false, _ body: (Fleet, Relay?) throws -> Void,
        allowing isMeant: (Known) -> Bool = { _ in false }
    ) throws {
        try Fleet.with(agents: 1, isRelayed: isRelayed) { fleet in
            try fleet.run("steady", ["/bin/sleep", "600"])
            let pid = try fleet.wait(for: "steady", .running).pid
            try eventually("the agent works by the newest revision") {
                try fleet.nodes().allSatisfy { $0.revision == $0.desiredRevision }
            }
            let before = try Self.known(fleet)
            let controller = try #require(fleet.controller).pid
            try body(fleet, fleet.relay)
            #expect(try Self.known(fleet).filter { !isMeant($0) } == before)
            #expect(try fleet.wait(for: "steady", .running).pid == pid)
            #expect(try fleet.workers().count == 1)
            #expect(fleet.controller?.isRunning == true && fleet.controller?.pid == controller)
            #expect(try fleet.agent("agent-1").isRunning)
            // New nodes with a good token can still join.
            try fleet.startAgent("late", token: try fleet.token())
            try eventually("a new node is online") {
                try fleet.nodes().contains { $0.name == "late" && $0.state == .online }
            }
        }
    }

    // MARK: Tokens

    @Test func `a wrong, unknown, expired, used up or revoked token enrols no node, with the reason`() throws {
        try Self.unchanged { fleet, _ in
            let good = try TokenText(try fleet.token())
            var wrong = good, unknown = good
            wrong.secret[7] ^= 1
            unknown.id[0] ^= 1
            let expired = try fleet.token(ttl: 1)
            let once = try fleet.token(uses: 1)
            let revoked = try fleet.token()
            let _: TokenView = try fleet.ask(.tokensRevoke(.init(id: try TokenText(revoked).id.hex)))
            try fleet.startAgent("first", token: once)
            try eventually("the first is a member") {
                try fleet.ask("first", .status, as: StatusView.self).phase == .member
            }
            usleep(1_100_000)
            try fleet.startAgent("outsider")
            try eventually("the outsider listens") { (try? fleet.counters(agent: "outsider")) != nil }
            let cases: [(token: String, reason: String, text: String)] = [
                (wrong.text, "wrongProof", "secret"), (unknown.text, "unknownToken", "does not know"),
                (expired, "expired", "expired"), (once, "usedUp", "as often as it may"),
                (revoked, "unknownToken", "does not know"),
            ]
            for (token, reason, text) in cases {
                let before = try Self.shown(fleet)["enrolmentsRefused.\(reason)"] ?? -1
                let end = try fleet.cli(["join", token], socket: fleet.agentSocket("outsider"))
                #expect(end.status == 1, "\(reason): \(end.errors)")
                #expect(end.errors.contains(text), "\(end.errors)")
                // A proof that is wrong may be so because the handshake was made again, so an agent tries that again.
                let refused = try Self.shown(fleet)["enrolmentsRefused.\(reason)"] ?? -1
                #expect(reason == "wrongProof" ? (before + 1...before + 5).contains(refused) : refused == before + 1)
                #expect(try fleet.ask("outsider", .status, as: StatusView.self).phase == .unenrolled)
                #expect(!FileManager.default.fileExists(atPath: fleet.agentData("outsider") + "/membership"))
            }
            #expect(try Self.shown(fleet, socket: fleet.agentSocket("outsider"))["enrolmentsRefused"] == cases.count)
            let events: [EventView] = try fleet.ask(.eventsList(.init(limit: 200)))
            #expect((cases.count...cases.count + 4).contains(events.count { $0.kind == .nodeRefused }))
            let tokens: [TokenView] = try fleet.ask(.tokensList)
            #expect(tokens.first { $0.id == good.id.hex }?.used == 0)
            #expect(try fleet.nodes().map(\.name).sorted() == ["agent-1", "first"])
        } allowing: {
            $0.name == "first"
        }
    }

    @Test func `a text that is no token is refused before any request`() throws {
        try Self.unchanged { fleet, _ in
            let answered = try Self.shown(fleet)["handshakesAnswered"]
            let good = try fleet.token()
            var slipped = Array(good)
            slipped[60] = slipped[60] == "a" ? "b" : "a"
            try fleet.startAgent("outsider")
            try eventually("the outsider listens") { (try? fleet.counters(agent: "outsider")) != nil }
            let texts = ["", "ast1-", "nonsense", String(good.dropLast(3)), good + "aa", String(slipped), "ast1-!!!!"]
            for text in texts {
                let end = try fleet.cli(["join", "--", text], socket: fleet.agentSocket("outsider"))
                #expect(end.status == 2, "'\(text)': \(end.status) \(end.errors)")
                #expect(end.errors.contains("token"), "\(end.errors)")
                let error = #expect(throws: APIError.self) {
                    try fleet.ask("outsider", .join(.init(token: text)), as: StatusView.self)
                }
                #expect(error?.code == .invalid && error?.field == "token")
            }
            #expect(try fleet.counters(agent: "outsider")["enrolmentsRefused"] == texts.count)
            #expect(try Self.shown(fleet)["handshakesAnswered"] == answered)
        }
    }

    // MARK: Certificates

    @Test func `certificates of another fleet, forged and borrowed ones open no session`() throws {
        try Self.unchanged { fleet, _ in
            let status = try fleet.status()
            let own = try #require(status.fleet.flatMap { FleetID(hex: $0) })
            let authority = Station.signingKey()
            let borrowed = try SignedCertificate(
                decoding: try MembershipRecord(
                    decoding: Array(
                        try #require(FileManager.default.contents(atPath: fleet.agentData("agent-1") + "/membership"))
                    )
                ).admission.certificate)
            let trusted = [authority.verifyingKey]
            let outsiders: [(reason: String, station: Station)] = [
                (
                    "foreignFleet",
                    try Station(Station.key()) {
                        Credentials(
                            certificate: Certificate.forged(for: $0, fleet: FleetID(1, 2), by: authority),
                            authorities: trusted)
                    }
                ),
                (
                    "badSignature",
                    try Station(Station.key()) {
                        Credentials(
                            certificate: Certificate.forged(for: $0, fleet: own, by: authority, roles: .all),
                            authorities: trusted)
                    }
                ),
                (
                    "wrongNode",
                    try Station(Station.key()) { _ in Credentials(certificate: borrowed, authorities: trusted) }
                ),
            ]
            for (reason, station) in outsiders {
                let before = try Self.shown(fleet)
                station.connect(to: status.node, port: fleet.port, seconds: 0.7)
                #expect(station.events.isEmpty)
                let after = try Self.shown(fleet)
                let sent = station.sent.count
                #expect(sent > 0)
                #expect((after["dropped.\(reason)"] ?? 0) - (before["dropped.\(reason)"] ?? 0) == sent)
                #expect(after["sessionsEstablished"] == before["sessionsEstablished"])
            }
        }
    }

    @Test func `an agent of one fleet gets nothing from another fleet's controller at the same address`() throws {
        try Fleet.with(agents: 1) { fleet in
            let node = try #require(try fleet.nodes().first).id
            let own = try fleet.status().node
            fleet.controller?.send(SIGTERM)
            #expect(fleet.controller?.hasEnded(within: 5) == true)
            try fleet.startController(data: "another")
            #expect(try fleet.status().node != own)
            try eventually("the agent is refused") { try Self.shown(fleet)["dropped.badMAC1"] ?? 0 > 2 }
            #expect(try fleet.nodes().isEmpty)
            #expect(try Self.shown(fleet)["sessionsEstablished"] == 0)
            #expect(try fleet.ask("agent-1", .status, as: StatusView.self).controllers?.first?.isConnected == false)
            fleet.controller?.send(SIGTERM)
            #expect(fleet.controller?.hasEnded(within: 5) == true)
            try fleet.startController()
            try fleet.waitUntilOnline(1)
            #expect(try fleet.nodes().map(\.id) == [node])
        }
    }

    // MARK: Datagrams

    /// Sends, and checks that each one is counted as dropped.
    private static func refused(
        _ datagrams: [[UInt8]], by counters: () throws -> [String: Int], at port: UInt16, _ what: String
    ) throws {
        let socket = try DatagramEnd(to: port)
        let before = drops(try counters())
        var sent = 0
        // In portions that the receiver's buffer holds.
        for start in stride(from: 0, to: datagrams.count, by: 32) {
            for datagram in datagrams[start..<min(start + 32, datagrams.count)] {
                socket.send(datagram)
                sent += 1
            }
            try eventually("\(what): \(sent) are counted") { drops(try counters()) - before >= sent }
        }
        #expect(drops(try counters()) - before == sent, "\(what)")
    }

    @Test func `a replayed first message and replayed frames change nothing`() throws {
        try Self.unchanged(isRelayed: true) { fleet, relay in
            let capture = try #require(relay).capture.filter(\.isUp).map(\.bytes)
            let firsts = capture.filter { $0.first == DatagramKind.handshakeFirst.rawValue }
            let frames = capture.filter { $0.first == DatagramKind.frames.rawValue }
            #expect(!firsts.isEmpty && frames.count > 3)
            let before = try Self.shown(fleet)
            try Self.refused(firsts + firsts, by: { try fleet.counters() }, at: fleet.port, "replayed first messages")
            let between = try Self.shown(fleet)
            #expect(
                between["dropped.replayedHandshake"] == (before["dropped.replayedHandshake"] ?? 0) + 2 * firsts.count)
            #expect(between["handshakesAnswered"] == before["handshakesAnswered"])
            try Self.refused(frames, by: { try fleet.counters() }, at: fleet.port, "replayed frames")
            let after = try Self.shown(fleet)
            // Those of the session in which the agent enrolled are too old for any session.
            let replayed = (after["dropped.replayed"] ?? 0) - (between["dropped.replayed"] ?? 0)
            let unknown = (after["dropped.unknownSession"] ?? 0) - (between["dropped.unknownSession"] ?? 0)
            #expect(replayed > 0 && replayed + unknown == frames.count)
            #expect(after["pathSwitches.moved"] == before["pathSwitches.moved"])
        }
    }

    @Test func `truncated and bit-flipped datagrams are each refused and counted`() throws {
        try Self.unchanged(isRelayed: true) { fleet, relay in
            let capture = try #require(relay).capture
            var random = Base.Random(Seed(7))
            func spoil(_ originals: [[UInt8]]) -> [[UInt8]] {
                originals.flatMap { bytes in
                    (0..<20).map { _ in
                        var changed = bytes
                        let bit = random.index(below: bytes.count * 8)
                        changed[bit / 8] ^= 1 << (bit % 8)
                        return changed
                    } + (0..<10).map { _ in Array(bytes[..<(1 + random.index(below: bytes.count - 1))]) }
                }
            }
            // One of each kind and size, towards each end.
            func some(_ isUp: Bool) -> [[UInt8]] {
                var seen: Set<[Int]> = []
                // The newest of each, of a session that lives.
                return capture.reversed().filter { $0.isUp == isUp }.map(\.bytes)
                    .filter { seen.insert([Int($0[0]), $0.count / 64]).inserted }
            }
            let up = spoil(some(true)), down = spoil(some(false))
            #expect(up.count > 60 && down.count > 60)
            try Self.refused(up, by: { try fleet.counters() }, at: fleet.port, "spoilt, to the controller")
            let agent = try #require(capture.last?.agent)
            try Self.refused(down, by: { try fleet.counters(agent: "agent-1") }, at: agent, "spoilt, to the agent")
            let counted = try Self.shown(fleet)
            for reason in ["malformed", "badMAC1", "forged"] {
                #expect((counted["dropped.\(reason)"] ?? 0) > 0, "\(reason)")
            }
            #expect(try Self.shown(fleet, socket: fleet.agentSocket("agent-1"))["dropped.forged"] ?? 0 > 0)
        }
    }

    @Test func `junk of all sizes up to 64 KiB is refused and counted`() throws {
        try Self.unchanged { fleet, _ in
            var random = Base.Random(Seed(8))
            func junk(_ count: Int, kind: UInt8?) -> [UInt8] {
                var bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
                if let kind, count >= 4 { bytes.replaceSubrange(0..<4, with: [kind, 0, 0, 0]) }
                return bytes
            }
            let sizes = [1, 2, 3, 4, 8, 16, 31, 32, 33, 64, 148, 1200, 1232, 1233, 1500, 9000, 65_506, 65_507]
            var datagrams: [[UInt8]] = []
            for size in sizes {
                for kind: UInt8? in [nil, 0, 1, 2, 3, 4, 5, 255] { datagrams.append(junk(size, kind: kind)) }
            }
            try Self.refused(datagrams, by: { try fleet.counters() }, at: fleet.port, "junk")
            let agent = try #require(try fleet.nodes().first?.address).port
            try Self.refused(datagrams, by: { try fleet.counters(agent: "agent-1") }, at: agent, "junk, to the agent")
            let counted = try Self.shown(fleet)
            for reason in ["malformed", "badMAC1", "unknownSession", "unsolicitedResponse"] {
                #expect((counted["dropped.\(reason)"] ?? 0) > 0, "\(reason)")
            }
        }
    }

    @Test func `junk on the local sockets and on HTTP has no effect`() throws {
        try Self.unchanged { fleet, _ in
            var random = Base.Random(Seed(9))
            let junk = (0..<65_536).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let long = [UInt8](repeating: UInt8(ascii: "["), count: JSONRPC.maxLineBytes + 1000)
            for path in [fleet.controllerSocket, fleet.agentSocket("agent-1")] {
                for bytes in [junk, long, long + [10], [], [10, 10, 10]] {
                    let socket = try LineSocket(unix: path)
                    socket.send(bytes)
                }
                let socket = try LineSocket(unix: path)
                socket.send(Array("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"nothing\"}\n".utf8))
                let answer = try socket.receive(within: 10) { $0.last == 10 }
                #expect(String(decoding: answer, as: UTF8.self).contains("-32601"))
            }
            for bytes in [junk, long] {
                let socket = try LineSocket(port: fleet.httpPort)
                socket.send(bytes)
            }
            #expect(try HTTPAnswer("GET", "/v1/status", nil, port: fleet.httpPort).status == 200)
        }
    }
}
