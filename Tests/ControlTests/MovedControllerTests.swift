import Base
import Control
import Mesh
import Noise
import Testing
import Wire

/// A controller that is found again at another address.
@Suite struct MovedControllerTests {
    static let name = HostPort("controller.example.org:4100")!
    static let newPlace = "192.0.2.9:4100"

    private func named() -> TestPair {
        let pair = TestPair()
        pair.names = [Self.name]
        pair.advertised = []
        pair.resolver = [Self.name: [TestPair.controllerAddress.ip]]
        pair.startController()
        return pair
    }

    private func joined(_ pair: TestPair) throws {
        guard case .success(.joined)? = pair.join(pair.createToken()) else {
            throw Refused()
        }
        pair.run(.seconds(2))
        #expect(pair.node?.state == .online)
    }
    private struct Refused: Error {}

    @Test func `a node joins with a token that holds a host name alone`() throws {
        let pair = named()
        let token = try TokenText(pair.createToken())
        #expect(token.addresses.isEmpty && token.names == [Self.name])
        try joined(pair)
        #expect(pair.membership?.admission.controllers.first?.names == [Self.name])
        #expect(pair.status?.controllers?.first?.names == ["controller.example.org:4100"])
    }

    @Test func `a name that resolves late is asked for again, and not more often than every 3 s`() throws {
        let pair = named()
        pair.resolver = [:]
        let token = pair.createToken()
        pair.notify(.join(token: token))
        pair.run(.seconds(30))
        let times = pair.questions.map(\.at)
        #expect(times.count >= 4)
        for (before, after) in zip(times, times.dropFirst()) { #expect(after - before >= .seconds(3)) }
        #expect(pair.notices.contains { if case .joinWaiting = $0 { true } else { false } })
        #expect(pair.status?.joinProblem?.contains("controller.example.org:4100") ?? false)
        pair.resolver = [Self.name: [TestPair.controllerAddress.ip]]
        pair.run(.seconds(8))
        #expect(pair.node?.state == .online)
        #expect(pair.status?.joinProblem == nil)
    }

    @Test(arguments: [0, 1, 7, 13])
    func `a controller with a name that moves is found within 30 s`(offset: Int64) throws {
        let pair = named()
        try joined(pair)
        pair.run(.milliseconds(offset * 137))
        let node = pair.agent?.nodeID
        pair.moveController(to: Self.newPlace)
        pair.resolver = [Self.name: [SocketAddress(Self.newPlace)!.ip]]
        pair.run(.seconds(20))
        #expect(pair.node?.state == .online)
        #expect(pair.node?.id == node)
        let losses = pair.notices.count { if case .controllerLost = $0 { true } else { false } }
        let finds = pair.notices.compactMap { notice -> Interval? in
            if case .controllerFound(_, let after?) = notice { after } else { nil }
        }
        #expect(finds.count == losses)
        #expect(finds.allSatisfy { $0 < .seconds(20) })
    }

    @Test func `a name server that is down does not move the controller`() throws {
        let pair = named()
        try joined(pair)
        pair.resolver = [:]
        pair.moveController(to: "192.0.2.8:4100")
        pair.run(.seconds(25))
        pair.moveController(to: TestPair.controllerAddress.description)
        pair.run(.seconds(15))
        #expect(pair.node?.state == .online)
    }

    @Test func `a new token of the same fleet leads a member to the controller's new address`() throws {
        let pair = TestPair()
        try joined(pair)
        let worker = WorkersRun(name: "w", spec: WorkerSpec(command: ["/bin/sleep", "9"]))
        _ = pair.ask(.workersRun(worker))
        pair.run(.seconds(1))
        let launches = pair.launches, node = pair.agent?.nodeID
        pair.moveController(to: Self.newPlace)
        pair.startController()
        pair.run(.seconds(40))
        #expect(pair.node?.state != .online)
        #expect(pair.status?.controllerLostAt != nil)
        let used = pair.store.tokens.map(\.used)
        let token = pair.createToken()
        guard case .success(.joined(let view))? = pair.join(token) else {
            Issue.record("the token did not help")
            return
        }
        #expect(view.node == node)
        pair.run(.seconds(2))
        #expect(pair.node?.state == .online)
        #expect(pair.status?.controllerLostAt == nil)
        #expect(pair.launches == launches)
        // It admits no node, so it is not used up.
        #expect(pair.store.tokens.map(\.used) == used + [0])
        let places = pair.membership?.admission.controllers.first?.addresses.map(\.description)
        #expect(places == [Self.newPlace, TestPair.controllerAddress.description])
        // And it stays found.
        pair.startAgent()
        pair.run(.seconds(3))
        #expect(pair.node?.state == .online)
    }

    @Test func `a member that is connected keeps its session with a token that states nothing new`() throws {
        let pair = TestPair()
        try joined(pair)
        let membership = pair.membership
        guard case .success(.joined)? = pair.join(pair.createToken()) else {
            Issue.record("refused")
            return
        }
        #expect(pair.membership == membership)
        #expect(!pair.notices.contains { if case .controllerLost = $0 { true } else { false } })
    }

    @Test func `a token of another fleet is refused with both fleets named, and nothing is lost`() throws {
        let pair = TestPair()
        try joined(pair)
        var token = try TokenText(pair.createToken())
        token.fleet = FleetID(7, 7)
        guard case .failure(let error)? = pair.join(token.text) else {
            Issue.record("taken")
            return
        }
        #expect(error.code == .conflict)
        #expect(error.message.contains(FleetID(7, 7).hex) && error.message.contains(FleetID(1, 2).hex))
        pair.run(.seconds(1))
        #expect(pair.node?.state == .online)
    }

    @Test func `a token of a false authority does not move a member`() throws {
        let pair = TestPair()
        try joined(pair)
        let before = pair.membership
        var token = try TokenText(pair.createToken())
        token.authority = VerifyingKey([UInt8](repeating: 9, count: 32))!
        guard case .failure(let error)? = pair.join(token.text) else {
            Issue.record("taken")
            return
        }
        #expect(error.code == .refused)
        #expect(pair.membership == before)
    }

    @Test func `a token that leads nowhere is reported, and the agent goes on`() throws {
        let pair = TestPair()
        try joined(pair)
        var token = try TokenText(pair.createToken())
        pair.moveController(to: "192.0.2.77:4100")
        pair.run(.seconds(30))
        token.addresses = [SocketAddress("192.0.2.66:4100")!]
        guard case .failure(let error)? = pair.join(token.text) else {
            Issue.record("taken")
            return
        }
        #expect(error.code == .timeout && error.message.contains("192.0.2.66:4100"))
        pair.moveController(to: TestPair.controllerAddress.description)
        pair.run(.seconds(20))
        #expect(pair.node?.state == .online)
    }

    @Test func `a controller that knows no address makes no token`() {
        let pair = TestPair()
        pair.advertised = []
        pair.startController()
        let answer = pair.ask(.tokensCreate(TokensCreate(ttlSeconds: 60, uses: 1)))
        guard case .failure(let error)? = answer else {
            Issue.record("a token without an address: \(String(describing: answer))")
            return
        }
        #expect(error.code == .unavailable && error.message.contains("--advertise"))
        #expect(pair.store.tokens.isEmpty)
    }

    @Test func `the reason of a useless token is in the notices and in the status until one works`() {
        let pair = TestPair()
        pair.notify(.join(token: "foo"))
        #expect(pair.notices.count == 1)
        #expect(pair.status?.joinProblem?.contains("ast1-") ?? false)
        #expect(pair.agent?.summary.contains("ast1-") ?? false)
        let token = pair.createToken(ttlSeconds: 1)
        pair.run(.seconds(2))
        pair.notify(.join(token: token))
        pair.run(.seconds(2))
        #expect(pair.status?.joinProblem?.contains("expired") ?? false)
        #expect(pair.notices.contains { if case .joinRefused(let why) = $0 { why.contains("expired") } else { false } })
        pair.notify(.join(token: pair.createToken()))
        pair.run(.seconds(2))
        #expect(pair.status?.joinProblem == nil)
        #expect(pair.notices.contains { if case .joined("alpha", _) = $0 { true } else { false } })
    }

    @Test func `a token that is missing is reported by a node that needs one, and by no member`() throws {
        let pair = TestPair()
        pair.notify(.noToken("/etc/asterism/token: no such file"))
        #expect(pair.status?.joinProblem?.contains("/etc/asterism/token") ?? false)
        #expect(pair.notices.count == 1)
        try joined(pair)
        pair.notices = []
        pair.notify(.noToken("/etc/asterism/token: no such file"))
        #expect(pair.notices.isEmpty && pair.status?.joinProblem == nil)
    }

    @Test func `a controller that is known by name alone is a relay at the addresses of the name`() throws {
        let pair = named()
        try joined(pair)
        pair.run(.seconds(2))
        #expect(pair.relays == [TestPair.controllerAddress])
        pair.moveController(to: Self.newPlace)
        pair.resolver = [Self.name: [SocketAddress(Self.newPlace)!.ip]]
        pair.run(.seconds(30))
        #expect(pair.relays == [SocketAddress(Self.newPlace)!])
    }

    @Test func `a token that names the node itself as controller is refused, and is no trap at the next start`() throws
    {
        let pair = TestPair()
        try joined(pair)
        var token = try TokenText(pair.createToken())
        let own = pair.agent?.nodeID
        token.controller = try #require(own)
        guard case .failure(let error)? = pair.join(token.text) else {
            Issue.record("taken")
            return
        }
        #expect(error.code == .invalid)
        // As an older agent may have written it.
        var admission = try #require(pair.membership).admission
        admission.controllers.insert(ControllerAddress(node: token.controller, addresses: token.addresses), at: 0)
        pair.membership = MembershipRecord(admission)
        pair.startAgent()
        pair.run(.seconds(3))
        #expect(pair.node?.state == .online)
    }

    @Test func `a member that starts while its controller is away reports it once, and its return`() throws {
        let pair = TestPair()
        try joined(pair)
        pair.moveController(to: "192.0.2.50:4100")
        pair.notices = []
        pair.startAgent()
        for _ in 0..<30 {
            pair.run(.seconds(1))
            pair.notify(.clock(pair.wall))
        }
        let absences = pair.notices.count { if case .controllerAbsent = $0 { true } else { false } }
        #expect(absences == 1)
        #expect(pair.status?.controllerLostAt != nil)
        pair.moveController(to: TestPair.controllerAddress.description)
        pair.run(.seconds(10))
        #expect(pair.notices.contains { if case .controllerFound = $0 { true } else { false } })
        #expect(pair.status?.controllerLostAt == nil)
    }

    @Test func `a token in the configuration adds to what a member knows, and moves nothing`() throws {
        let pair = TestPair()
        try joined(pair)
        var token = try TokenText(pair.createToken())
        token.addresses = [SocketAddress("192.0.2.200:4100")!]
        pair.notify(.join(token: token.text))
        let places = pair.membership?.admission.controllers.first?.addresses.map(\.description)
        #expect(places == [TestPair.controllerAddress.description, "192.0.2.200:4100"])
        pair.notices = []
        pair.notify(.join(token: token.text))
        #expect(pair.notices.isEmpty)
        pair.run(.seconds(2))
        #expect(pair.node?.state == .online)
    }
}
