import Base
import Control
import Mesh
import Noise
import Testing
import Wire

/// Packets that wait for a session: whom the agent asks, what it accepts, and how each request ends.
@Suite struct OverlayTests {
    private static let desired = TestFleet.peerOverlay

    private func member() -> TestFleet {
        let fleet = TestFleet()
        fleet.membership = MembershipRecord(fleet.admission())
        fleet.startAgent()
        fleet.run(.seconds(1))
        return fleet
    }

    private func questions(_ fleet: TestFleet) -> Int {
        fleet.messages.count { if case .lookUp = $0 { true } else { false } }
    }

    private func ends(_ fleet: TestFleet) -> [AgentAction] {
        fleet.actions.filter { action in
            switch action {
            case .overlayReachable, .overlayUnreachable: true
            default: false
            }
        }
    }

    /// Answers every request, as an honest controller does unless a test sets otherwise.
    private func answer(
        _ fleet: TestFleet, node: NodeID? = nil, at addresses: [SocketAddress] = [TestFleet.peerAddress],
        certificate: SignedCertificate? = nil
    ) {
        fleet.onMessage = { message in
            guard case .lookUp(let asked) = message else { return }
            let certificate = certificate ?? fleet.peerCertificate()
            fleet.send(
                .lookUpReply(
                    LookUpReply(
                        asked, node: node ?? fleet.peerID, addresses: addresses, certificate: certificate.encoded())))
        }
    }

    @Test func `an address that a node has becomes a session with it, and is reported once`() {
        let fleet = member()
        fleet.startPeer()
        answer(fleet)
        for _ in 0..<100 { fleet.notify(.overlayRequested(Self.desired)) }
        fleet.run(.seconds(2))
        #expect(questions(fleet) == 1)
        #expect(ends(fleet) == [.overlayReachable(Self.desired)])
        fleet.run(.seconds(20))
        #expect(ends(fleet).count == 1)
        fleet.ask(1, .peersList)
        guard case .success(.peers(let peers))? = fleet.replies(to: 1).first else {
            Issue.record("no peers")
            return
        }
        let beta = peers.first { $0.name == "beta" }
        #expect(beta?.isConnected == true && beta?.overlay4 == Self.desired)
        #expect(beta?.overlay6 == OverlayAddress.v6(of: fleet.peerID, fleet: fleet.fleet))
    }

    @Test func `the address of a node's key is found as well, and one session answers for both`() {
        let fleet = member()
        fleet.startPeer()
        answer(fleet)
        let v6 = OverlayAddress.v6(of: fleet.peerID, fleet: fleet.fleet)
        fleet.notify(.overlayRequested(v6))
        fleet.notify(.overlayRequested(Self.desired))
        fleet.run(.seconds(2))
        #expect(Set(ends(fleet)) == [.overlayReachable(v6), .overlayReachable(Self.desired)])
        #expect(ends(fleet).count == 2)
    }

    @Test func `an unused address is asked for once in five seconds, however many packets there are`() {
        let fleet = member()
        fleet.onMessage = { message in
            if case .lookUp(let asked) = message { fleet.send(.lookUpReply(LookUpReply(asked, node: nil))) }
        }
        for _ in 0..<90 {
            fleet.notify(.overlayRequested(Self.desired))
            fleet.run(.milliseconds(50))
        }
        #expect(questions(fleet) == 1)
        #expect(ends(fleet).allSatisfy { $0 == .overlayUnreachable(Self.desired, .noSuchAddress) })
        #expect(ends(fleet).count >= 89)
        fleet.run(.seconds(1))
        fleet.notify(.overlayRequested(Self.desired))
        fleet.run(.milliseconds(100))
        #expect(questions(fleet) == 2)
    }

    @Test func `a silent controller is asked three times, and the request is over within twelve seconds`() {
        let fleet = member()
        let start = fleet.now
        fleet.notify(.overlayRequested(Self.desired))
        while ends(fleet).isEmpty, fleet.now - start < .seconds(20) { fleet.run(.milliseconds(100)) }
        #expect(ends(fleet) == [.overlayUnreachable(Self.desired, .noAnswer)])
        #expect(questions(fleet) == 3)
        #expect(fleet.now - start <= .seconds(12))
        // It was no answer, so it is asked again at once.
        fleet.notify(.overlayRequested(Self.desired))
        fleet.run(.milliseconds(100))
        #expect(questions(fleet) == 4)
    }

    @Test func `an owner that does not answer is given up within twelve seconds`() {
        let fleet = member()
        answer(fleet)
        let start = fleet.now
        fleet.notify(.overlayRequested(Self.desired))
        while ends(fleet).isEmpty, fleet.now - start < .seconds(20) { fleet.run(.milliseconds(100)) }
        #expect(ends(fleet) == [.overlayUnreachable(Self.desired, .noAnswer)])
        #expect(fleet.now - start <= .seconds(12))
    }

    @Test func `an owner with an unknown location counts as unreachable for now`() {
        let fleet = member()
        answer(fleet, at: [])
        fleet.notify(.overlayRequested(Self.desired))
        fleet.run(.seconds(1))
        #expect(ends(fleet) == [.overlayUnreachable(Self.desired, .noAnswer)])
        fleet.notify(.overlayRequested(Self.desired))
        fleet.run(.seconds(1))
        #expect(questions(fleet) == 1)
    }

    @Test func `without a controller a request waits for one, and not for long`() {
        let fleet = member()
        fleet.isCut = true
        fleet.run(.seconds(30))
        let start = fleet.now
        fleet.notify(.overlayRequested(Self.desired))
        while ends(fleet).isEmpty, fleet.now - start < .seconds(20) { fleet.run(.milliseconds(100)) }
        #expect(ends(fleet) == [.overlayUnreachable(Self.desired, .noController)])
        #expect(fleet.now - start <= .seconds(6))
        fleet.startPeer()
        answer(fleet)
        fleet.notify(.overlayRequested(Self.desired))
        fleet.isCut = false
        fleet.run(.seconds(10))
        #expect(ends(fleet).last == .overlayReachable(Self.desired))
    }

    @Test func `outside of a fleet, and for addresses of no node of it, the answer is there at once`() {
        let outside = TestFleet()
        outside.startAgent()
        outside.notify(.overlayRequested(Self.desired))
        #expect(ends(outside) == [.overlayUnreachable(Self.desired, .noController)])
        let fleet = member()
        let mine = [TestFleet.agentOverlay, OverlayAddress.v6(of: fleet.agentID, fleet: fleet.fleet)]
        let others = [IPAddress("10.0.0.1")!, OverlayAddress.v6(of: fleet.peerID, fleet: FleetID(1, 1)), .loopback6]
        for address in mine + others { fleet.notify(.overlayRequested(address)) }
        #expect(
            ends(fleet)
                == mine.map { .overlayUnreachable($0, .refused) }
                + others.map { .overlayUnreachable($0, .noSuchAddress) })
        fleet.run(.seconds(2))
        #expect(questions(fleet) == 0)
    }

    @Test func `a lie of the controller is refused`() {
        let other = IPAddress("100.64.0.9")!
        for lie in 0..<4 {
            let fleet = member()
            fleet.startPeer()
            switch lie {
            case 0: answer(fleet, certificate: fleet.peerCertificate(other))
            case 1: answer(fleet, node: fleet.controllerID)
            case 2:
                answer(
                    fleet,
                    certificate: fleet.certificate(
                        of: fleet.peerID, name: "beta", roles: .agent, signedBy: true, overlay4: Self.desired))
            default:
                answer(
                    fleet, node: fleet.agentID,
                    certificate: fleet.certificate(
                        of: fleet.agentID, name: "alpha", roles: .agent, overlay4: Self.desired))
            }
            fleet.notify(.overlayRequested(Self.desired))
            fleet.run(.seconds(1))
            #expect(ends(fleet) == [.overlayUnreachable(Self.desired, .refused)], "lie \(lie)")
            #expect(fleet.counter("certificatesRefused") == (lie < 3 ? 1 : 0))
        }
    }

    @Test func `a node that still shows a certificate without the address is not asked for with each packet`() {
        let fleet = member()
        fleet.startPeer(overlay4: .any4)
        answer(fleet)
        for _ in 0..<20 {
            fleet.notify(.overlayRequested(Self.desired))
            fleet.run(.milliseconds(100))
        }
        #expect(questions(fleet) == 1)
        #expect(ends(fleet).allSatisfy { $0 == .overlayUnreachable(Self.desired, .refused) })
    }

    @Test func `addresses beyond the limit are answered at once, and the table empties itself`() {
        let fleet = member()
        let all = (0..<UInt32(Limits.overlayRequested + 10)).map { IPAddress.v4(0x6441_0000 + $0) }
        for address in all { fleet.notify(.overlayRequested(address)) }
        #expect(ends(fleet) == all.suffix(10).map { .overlayUnreachable($0, .tooMany) })
        fleet.run(.seconds(13))
        #expect(ends(fleet).count == all.count)
        fleet.notify(.overlayRequested(all[0]))
        #expect(ends(fleet).count == all.count)
    }

    // MARK: - Ping

    private func ping(_ fleet: TestFleet, _ peer: String) -> Result<AgentReply, APIError>? {
        fleet.ask(7, .ping(PingPeer(peer: peer, count: 2, intervalMilliseconds: 100)))
        fleet.run(.seconds(4))
        return fleet.replies(to: 7).last
    }

    @Test(arguments: ["beta", "100.64.0.3", "6"])
    func `a ping finds a node by name and by both of its addresses`(peer: String) {
        let fleet = member()
        fleet.startPeer()
        answer(fleet)
        let v6 = OverlayAddress.v6(of: fleet.peerID, fleet: fleet.fleet).description
        for _ in 0..<2 {
            guard case .success(.ping(let view))? = ping(fleet, peer == "6" ? v6 : peer) else {
                Issue.record("no answer: \(fleet.replies(to: 7))")
                return
            }
            #expect(view.name == "beta" && view.node == fleet.peerID && view.roundTripsMicroseconds.count == 2)
        }
        // The second time it was a peer.
        #expect(questions(fleet) == 1)
    }

    @Test func `a ping of a name or address that no node has, or of a false one, is an error`() {
        let fleet = member()
        fleet.onMessage = { message in
            if case .lookUp(let asked) = message { fleet.send(.lookUpReply(LookUpReply(asked, node: nil))) }
        }
        for peer in ["nobody", "100.64.9.9"] {
            guard case .failure(let error)? = ping(fleet, peer) else {
                Issue.record("an answer")
                return
            }
            #expect(error.code == .notFound && error.field == "peer" && error.message.contains(peer))
        }
        answer(fleet)
        guard case .failure(let lie)? = ping(fleet, "gamma"), case .failure(let own)? = ping(fleet, "alpha"),
            case .failure(let ownAddress)? = ping(fleet, "100.64.0.2"), case .failure(let word)? = ping(fleet, "a b")
        else {
            Issue.record("an answer")
            return
        }
        #expect(lie.code == .refused)
        #expect(own.code == .invalid && ownAddress.code == .invalid && word.code == .notFound)
    }

    // MARK: - What an agent reports about itself

    @Test func `an agent knows its place, and takes a later one over`() throws {
        let fleet = member()
        #expect(fleet.status?.overlay4 == TestFleet.agentOverlay)
        #expect(fleet.status?.overlay6 == OverlayAddress.v6(of: fleet.agentID, fleet: fleet.fleet))
        #expect(fleet.agent?.overlay?.network4 == OverlayPool.defaultNetwork)
        let later = fleet.certificate(
            of: fleet.agentID, name: "alpha", roles: .agent, overlay4: IPAddress("10.9.0.7")!)
        fleet.send(
            .certificateRenewed(
                CertificateRenewed(
                    certificate: later.encoded(), authorities: [fleet.authority.verifyingKey.bytes],
                    overlayNetwork: IPPrefix("10.9.0.0/16"))))
        fleet.run(.milliseconds(100))
        #expect(fleet.agent?.overlay?.v4 == IPAddress("10.9.0.7"))
        #expect(fleet.membership?.admission.overlayNetwork == IPPrefix("10.9.0.0/16"))
    }
}
