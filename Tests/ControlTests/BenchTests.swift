import Base
import Control
import Mesh
import Noise
import Testing
import Wire

/// Measuring the path to a peer: whom an agent serves, within which limits, and what it reports to its own users.
@Suite struct BenchTests {
    private static let token = [UInt8](repeating: 0xab, count: BenchAnswer.Server.tokenCount)
    private static let request = BenchRequest(seconds: 20).encoded()

    private func member(_ bench: BenchPermission = .auto, hasDataPlane: Bool = true, peer labels: [Label] = [])
        -> TestFleet
    {
        let fleet = TestFleet()
        fleet.membership = MembershipRecord(fleet.admission())
        fleet.bench = bench
        fleet.hasDataPlane = hasDataPlane
        fleet.startAgent()
        fleet.startPeer(labels: labels)
        fleet.peer?.connect(to: fleet.agentID, at: [TestFleet.agentAddress], now: fleet.now, into: &fleet.peerOut)
        fleet.run(.seconds(1))
        #expect(fleet.peer?.isConnected(fleet.agentID) == true)
        return fleet
    }

    /// The peer sends bytes on a new stream.
    private func report(_ fleet: TestFleet, _ bytes: [UInt8], isWhole: Bool = true) throws -> StreamID {
        let opened = fleet.peer?.openStream(to: fleet.agentID)
        let stream = try #require(opened)
        let taken = fleet.peer?.write(bytes, to: stream, of: fleet.agentID)
        #expect(taken == bytes.count)
        if isWhole { fleet.peer?.finish(stream, of: fleet.agentID) }
        fleet.run(.milliseconds(100))
        return stream
    }

    private func answer(_ fleet: TestFleet, _ stream: StreamID) -> BenchAnswer? {
        guard let read = fleet.peer?.read(stream, of: fleet.agentID, into: &fleet.peerOut), read.isFinished else {
            return nil
        }
        var reader = ByteReader(read.bytes.span.bytes)
        return try? BenchAnswer(reading: &reader)
    }

    private func isReset(_ fleet: TestFleet, _ stream: StreamID) -> Bool {
        fleet.peerEvents.contains(.stream(fleet.agentID, .reset(stream, code: 1)))
    }

    private func services(_ fleet: TestFleet) -> [BenchService] {
        fleet.actions.compactMap { if case .benchServe(let service) = $0 { service } else { nil } }
    }

    private func ends(_ fleet: TestFleet) -> [UInt64] {
        fleet.actions.compactMap { if case .benchEnd(let number) = $0 { number } else { nil } }
    }

    private func serve(_ fleet: TestFleet, _ number: UInt64) {
        fleet.notify(.benchServing(number, tcpPort: 4001, udpPort: 4002, token: Self.token))
        fleet.run(.milliseconds(100))
    }

    // MARK: - A peer asks

    @Test func `a peer of the same application gets a server at the overlay address, and its token`() throws {
        let fleet = member()
        let stream = try report(fleet, Self.request)
        #expect(
            services(fleet) == [BenchService(number: 1, address: TestFleet.agentOverlay, seconds: 20)])
        #expect(answer(fleet, stream) == nil)
        serve(fleet, 1)
        let server = BenchAnswer.Server(isIPv4: true, tcpPort: 4001, udpPort: 4002, token: Self.token)
        #expect(answer(fleet, stream) == .serving(server))
        #expect(fleet.counter("benchesServed") == 1 && fleet.counter("streamsRefused") == 0)
        fleet.run(.seconds(22))
        #expect(ends(fleet).isEmpty)
        fleet.run(.seconds(2))
        #expect(ends(fleet) == [1])
    }

    @Test func `a peer without an IPv4 address of the overlay is served at the address of the key`() throws {
        let fleet = member()
        fleet.startPeer(overlay4: .any4)
        fleet.peer?.connect(to: fleet.agentID, at: [TestFleet.agentAddress], now: fleet.now, into: &fleet.peerOut)
        fleet.run(.seconds(1))
        _ = try report(fleet, Self.request)
        #expect(services(fleet).map(\.address) == [OverlayAddress.v6(of: fleet.agentID, fleet: fleet.fleet)])
    }

    @Test func `two are served at a time, and a third one is refused until one is over`() throws {
        let fleet = member()
        for number in 1...2 {
            _ = try report(fleet, Self.request)
            serve(fleet, UInt64(number))
        }
        #expect(answer(fleet, try report(fleet, Self.request)) == .refused(.busy))
        #expect(services(fleet).count == 2)
        fleet.notify(.benchEnded(1))
        _ = try report(fleet, Self.request)
        #expect(services(fleet).map(\.number) == [1, 2, 3])
    }

    @Test func `a node without an interface refuses with that reason`() throws {
        let fleet = member(hasDataPlane: false)
        #expect(answer(fleet, try report(fleet, Self.request)) == .refused(.noOverlay))
        #expect(services(fleet).isEmpty)
    }

    static let nonsense: [[UInt8]] = [
        [], Array("bench 1".utf8), Array("bench 2".utf8) + [20], Array("bench 1".utf8) + [0],
        Array("bench 1".utf8) + [121], BenchRequest(seconds: 20).encoded() + [0], Array("GET / HTTP/1.1\r\n".utf8),
        [UInt8](repeating: 0, count: 5000),
    ]

    @Test(arguments: nonsense.indices)
    func `anything else on a stream is refused and counted`(_ index: Int) throws {
        let fleet = member()
        let stream = try report(fleet, Self.nonsense[index])
        #expect(isReset(fleet, stream) && services(fleet).isEmpty)
        #expect(fleet.counter("streamsRefused") == 1)
        fleet.run(.seconds(10))
        #expect(fleet.counter("streamsRefused") == 1)
    }

    @Test func `a silent stream is given up, and only four may be silent at once`() throws {
        let fleet = member()
        var streams: [StreamID] = []
        for _ in 0..<6 { streams.append(try report(fleet, Array("ben".utf8), isWhole: false)) }
        #expect(streams.map { isReset(fleet, $0) } == [false, false, false, false, true, true])
        fleet.run(.seconds(3))
        #expect(streams.allSatisfy { isReset(fleet, $0) })
        #expect(fleet.counter("streamsRefused") == 6)
        _ = try report(fleet, Self.request)
        #expect(services(fleet).count == 1)
    }

    @Test func `this node decides which peers it serves`() throws {
        let other = [Label(PolicyRule.applicationLabel, "other")]
        let cases: [(BenchPermission, [Label], Bool)] = [
            (.auto, [], true), (.auto, other, false), (.allow, other, true), (.allow, [], true), (.off, [], false),
        ]
        for (permission, labels, isServed) in cases {
            let fleet = member(permission, peer: labels)
            let stream = try report(fleet, Self.request)
            #expect(services(fleet).count == (isServed ? 1 : 0), "\(permission) \(labels)")
            #expect(isReset(fleet, stream) == !isServed)
            #expect(fleet.counter("streamsRefused") == (isServed ? 0 : 1))
        }
    }

    @Test func `a server that cannot be started, or does not listen in time, is reported`() throws {
        let fleet = member()
        let first = try report(fleet, Self.request)
        fleet.notify(.benchEnded(1))
        fleet.run(.milliseconds(100))
        #expect(answer(fleet, first) == .refused(.failed))
        let second = try report(fleet, Self.request)
        fleet.run(.seconds(6))
        #expect(answer(fleet, second) == .refused(.failed) && ends(fleet) == [2])
        // Its port comes too late.
        serve(fleet, 2)
        #expect(ends(fleet) == [2, 2] && fleet.counter("benchesServed") == 0)
    }

    @Test func `the server of a peer that gives up before the answer is ended`() throws {
        let fleet = member()
        let stream = try report(fleet, Self.request)
        fleet.peer?.reset(stream, of: fleet.agentID, code: 0, into: &fleet.peerOut)
        fleet.run(.milliseconds(100))
        #expect(ends(fleet) == [1])
        _ = try report(fleet, Self.request)
        fleet.peer?.disconnect(fleet.agentID, now: fleet.now, into: &fleet.peerOut)
        fleet.run(.milliseconds(100))
        #expect(ends(fleet) == [1, 2])
    }

    // MARK: - This node asks

    private func ask(_ fleet: TestFleet, _ peer: String, seconds: Int64? = 20) {
        fleet.ask(7, .benchStart(BenchStart(peer: peer, seconds: seconds)))
        fleet.run(.milliseconds(100))
    }

    private func error(_ fleet: TestFleet) -> APIError? {
        if case .failure(let error)? = fleet.replies(to: 7).last { error } else { nil }
    }

    /// The stream on which the agent asks, once its request was read.
    private func asked(_ fleet: TestFleet) throws -> StreamID {
        let streams = fleet.peerEvents.compactMap { event -> StreamID? in
            if case .stream(_, .opened(let stream)) = event { stream } else { nil }
        }
        let stream = try #require(streams.last)
        let read = fleet.peer?.read(stream, of: fleet.agentID, into: &fleet.peerOut)
        #expect(read == ReadResult(bytes: Self.request, isFinished: true))
        return stream
    }

    private func reply(_ fleet: TestFleet, _ bytes: [UInt8]) throws {
        let stream = try asked(fleet)
        _ = fleet.peer?.write(bytes, to: stream, of: fleet.agentID)
        fleet.peer?.finish(stream, of: fleet.agentID)
        fleet.run(.milliseconds(100))
    }

    @Test(arguments: [true, false])
    func `the answer names a peer's server with the address of its certificate`(isIPv4: Bool) throws {
        let fleet = member()
        ask(fleet, "beta")
        try reply(
            fleet,
            BenchAnswer.serving(.init(isIPv4: isIPv4, tcpPort: 1, udpPort: 2, token: Self.token)).encoded())
        guard case .success(.bench(let view))? = fleet.replies(to: 7).last else {
            Issue.record("no answer: \(fleet.replies(to: 7))")
            return
        }
        let v6 = OverlayAddress.v6(of: fleet.peerID, fleet: fleet.fleet)
        #expect(view.address == (isIPv4 ? TestFleet.peerOverlay : v6) && view.node == fleet.peerID)
        #expect(view.tcpPort == 1 && view.udpPort == 2 && view.token == Self.token.hex && view.name == "beta")
        fleet.run(.seconds(20))
        #expect(fleet.replies(to: 7).count == 1)
    }

    @Test func `a node without a session is looked up and connected to first`() throws {
        let fleet = TestFleet()
        fleet.membership = MembershipRecord(fleet.admission())
        fleet.hasDataPlane = true
        fleet.startAgent()
        fleet.startPeer()
        fleet.onMessage = { message in
            guard case .lookUp(let asked) = message else { return }
            let certificate = fleet.peerCertificate().encoded()
            fleet.send(
                .lookUpReply(
                    LookUpReply(
                        asked, node: fleet.peerID, addresses: [TestFleet.peerAddress], certificate: certificate)))
        }
        fleet.run(.seconds(1))
        ask(fleet, TestFleet.peerOverlay.description)
        try reply(fleet, BenchAnswer.refused(.busy).encoded())
        #expect(error(fleet)?.code == .unavailable && error(fleet)?.message.contains("by others") == true)
    }

    static let refusals: [([UInt8], APIError.Code, String)] = [
        (BenchAnswer.refused(.noOverlay).encoded(), .unavailable, "beta has no network interface"),
        (BenchAnswer.refused(.failed).encoded(), .unavailable, "cannot start"),
        (Array("nonsense".utf8), .refused, "cannot be read"), ([], .refused, "cannot be read"),
        ([UInt8](repeating: 0, count: 5000), .refused, "cannot be read"),
    ]

    @Test(arguments: refusals.indices)
    func `a peer's answer is passed on`(_ index: Int) throws {
        let (bytes, code, text) = Self.refusals[index]
        let fleet = member()
        ask(fleet, "beta")
        try reply(fleet, bytes)
        #expect(error(fleet)?.code == code && error(fleet)?.message.contains(text) == true, "\(fleet.replies(to: 7))")
    }

    @Test func `a peer that refuses the stream, or sends nothing, is an error in time`() throws {
        let fleet = member()
        ask(fleet, "beta")
        let stream = try asked(fleet)
        fleet.peer?.reset(stream, of: fleet.agentID, code: 1, into: &fleet.peerOut)
        fleet.run(.milliseconds(100))
        #expect(error(fleet)?.code == .refused && error(fleet)?.message.contains("--bench") == true)
        ask(fleet, "beta")
        fleet.run(.seconds(9))
        #expect(error(fleet)?.code == .timeout && fleet.replies(to: 7).count == 2)
        ask(fleet, "beta")
        fleet.peer?.disconnect(fleet.agentID, now: fleet.now, into: &fleet.peerOut)
        fleet.run(.milliseconds(100))
        #expect(error(fleet)?.code == .unavailable && fleet.replies(to: 7).count == 3)
    }

    @Test func `an invalid request is refused at once`() {
        let fleet = member()
        for seconds in [0, 121, -1, .max] as [Int64] {
            ask(fleet, "beta", seconds: seconds)
            #expect(error(fleet)?.code == .invalid && error(fleet)?.field == "seconds")
        }
        ask(fleet, "alpha")
        #expect(error(fleet)?.code == .invalid && error(fleet)?.field == "peer")
        ask(fleet, "a b")
        #expect(error(fleet)?.code == .notFound)
        for id in 0..<UInt64(Limits.benchJobs) { fleet.ask(100 + id, .benchStart(.init(peer: "beta"))) }
        ask(fleet, "beta")
        #expect(error(fleet)?.code == .limit)
        let bare = member(hasDataPlane: false)
        ask(bare, "beta")
        #expect(error(bare)?.code == .unavailable && error(bare)?.message.contains("no network interface") == true)
    }
}
