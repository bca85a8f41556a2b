import Base
import Mesh
import Noise
import Testing
import Wire

@testable import Control

/// The finder by itself: without a controller and without a network.
@Suite struct PeerFinderTests {
    private static let now = Instant.origin + .seconds(100)
    private static let address = IPAddress("100.64.0.9")!
    private let peer = NodeID([UInt8](repeating: 7, count: 32))!
    private let fleet = TestFleet()

    private func request(
        _ purpose: PeerFinder.Purpose, goal: PeerFinder.Goal = .session, controller: Interval? = .seconds(5)
    ) -> PeerFinder.Request {
        let patience = PeerFinder.Patience(total: .seconds(12), controller: controller, answers: [.seconds(2)])
        return PeerFinder.Request(purpose: purpose, asked: .node(peer), name: nil, goal: goal, patience: patience)
    }

    /// Of a node that is in no fleet, so that nobody can be asked.
    private func core() -> AgentCore {
        let endpoint = Endpoint(
            identity: Identity(fleet.agentKey.copy()), credentials: nil, configuration: MeshConfiguration(),
            seed: Seed(1),
            now: Self.now)
        return AgentCore(
            endpoint: endpoint,
            configuration: AgentConfiguration(name: "alpha", version: "0.1.0", containment: .subreaper), member: nil,
            incarnation: 1, random: Random(Seed(2)), now: Self.now, wall: fleet.wall)
    }

    /// What the finder reports for one purpose, from `results`.
    private func outcome(of purpose: PeerFinder.Purpose, in results: [PeerFinder.Result]) -> PeerFinder.Outcome? {
        results.first { $0.purpose == purpose }?.outcome
    }

    @Test func `a request that asks at once is refused where there is no controller, and nothing is searched`() {
        var finder = PeerFinder(), core = core()
        let failure = finder.begin(request(.ping(1), controller: nil), core: &core, now: Self.now)
        #expect(failure == .noController)
        #expect(finder.deadline(canAsk: false) == nil && finder.deadline(canAsk: true) == nil)
        #expect(finder.connected(peer, nil).isEmpty)
    }

    @Test func `a request that waits for a controller ends with that reason when its time is over`() {
        var finder = PeerFinder(), core = core()
        #expect(finder.begin(request(.ping(1)), core: &core, now: Self.now) == nil)
        #expect(finder.deadline(canAsk: false)?.at == Self.now + .seconds(5))
        #expect(finder.deadline(canAsk: true)?.at == Self.now, "the question is due")
        #expect(finder.expire(canAsk: false, now: Self.now + .milliseconds(4999)).isEmpty)
        let results = finder.expire(canAsk: false, now: Self.now + .seconds(5))
        #expect(results == [PeerFinder.Result(purpose: .ping(1), outcome: .failed(.noController))])
        #expect(finder.deadline(canAsk: false) == nil, "it is reported once")
    }

    @Test func `a session is found for each purpose that searches for the node, once`() {
        var finder = PeerFinder(), core = core()
        for purpose in [PeerFinder.Purpose.ping(1), .ping(2)] {
            #expect(finder.begin(request(purpose), core: &core, now: Self.now) == nil)
        }
        let other = NodeID([UInt8](repeating: 8, count: 32))!
        #expect(finder.connected(other, nil).isEmpty)
        let results = finder.connected(peer, nil)
        #expect(outcome(of: .ping(1), in: results) == .found(peer, name: nil))
        #expect(outcome(of: .ping(2), in: results) == .found(peer, name: nil))
        #expect(finder.connected(peer, nil).isEmpty)
    }

    @Test func `a route needs a certificate that shows the address`() {
        let purpose = PeerFinder.Purpose.overlay(Self.address)
        let without = fleet.certificate(of: peer, name: "beta", roles: .agent).certificate
        let with = fleet.certificate(of: peer, name: "beta", roles: .agent, overlay4: Self.address).certificate
        var finder = PeerFinder(), core = core()
        #expect(finder.begin(request(purpose, goal: .route), core: &core, now: Self.now) == nil)
        #expect(finder.connected(peer, nil).isEmpty, "a session without a certificate decides nothing")
        #expect(outcome(of: purpose, in: finder.connected(peer, without)) == .failed(.notShown))

        #expect(finder.begin(request(purpose, goal: .route), core: &core, now: Self.now) == nil)
        #expect(outcome(of: purpose, in: finder.connected(peer, with)) == .found(peer, name: "beta"))
    }

    @Test func `a failed connection ends searches for sessions, and none for relays`() {
        var finder = PeerFinder(), core = core()
        #expect(finder.begin(request(.ping(1)), core: &core, now: Self.now) == nil)
        #expect(finder.begin(request(.relayChain(to: peer), goal: .relays), core: &core, now: Self.now) == nil)
        let results = finder.failed(peer, .timeout)
        #expect(results.map(\.purpose) == [.ping(1)])
        #expect(outcome(of: .ping(1), in: results) == .failed(.noAnswer(name: peer.short, .timeout)))
        #expect(finder.relaySearches(except: NodeID([UInt8](repeating: 8, count: 32))!, now: Self.now) == 1)
        #expect(finder.relaySearches(except: peer, now: Self.now) == 0, "the one for the relay itself is cancelled")
    }

    @Test func `a cancelled search reports nothing`() {
        var finder = PeerFinder(), core = core()
        #expect(finder.begin(request(.ping(1)), core: &core, now: Self.now) == nil)
        finder.cancel(.ping(1))
        #expect(
            finder.connected(peer, nil).isEmpty && finder.expire(canAsk: false, now: Self.now + .minutes(1)).isEmpty)
    }
}
