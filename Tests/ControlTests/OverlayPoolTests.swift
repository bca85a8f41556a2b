import Base
import Control
import Mesh
import Testing
import Wire

/// Which node gets which IPv4 address, and keeps it.
@Suite struct OverlayPoolTests {
    private func address(_ text: String) -> IPAddress { IPAddress(text)! }

    private func joined(_ network: String = "100.64.0.0/10") -> TestPair {
        let pair = TestPair()
        pair.overlayNetwork = IPPrefix(network)!
        pair.startController()
        join(pair)
        return pair
    }

    private func join(_ pair: TestPair) {
        guard case .success(.joined)? = pair.join(pair.createToken()) else {
            Issue.record("the node was not let in")
            return
        }
        pair.run(.seconds(2))
    }

    private func nodes(_ pair: TestPair) -> [NodeView] {
        guard case .success(.nodes(let nodes))? = pair.ask(.nodesList) else { return [] }
        return nodes
    }

    @Test func `the controller has the first address, nodes have the next ones, each its own`() {
        let pair = joined()
        pair.replaceAgent(name: "beta")
        join(pair)
        #expect(nodes(pair).map(\.overlay4) == [address("100.64.0.2"), address("100.64.0.3")])
        #expect(nodes(pair).allSatisfy { $0.overlay6 == OverlayAddress.v6(of: $0.id, fleet: FleetID(1, 2)) })
        guard case .success(.status(let status))? = pair.ask(.status) else { return }
        #expect(status.overlay4 == address("100.64.0.1"))
        #expect(status.overlay6 == OverlayAddress.v6(of: status.node, fleet: FleetID(1, 2)))
        #expect(pair.agent?.overlay?.v4 == address("100.64.0.3"))
        #expect(pair.store.counters.overlay == 4)
    }

    @Test func `restarts, renewals and a second enrolment leave a node its address`() {
        let pair = joined()
        let token = pair.createToken(uses: 2)
        pair.startController()
        pair.run(.seconds(5))
        #expect(pair.node?.overlay4 == address("100.64.0.2"))
        // Past two thirds of a certificate's life.
        pair.now = pair.now + .minutes(21 * 24 * 60)
        pair.run(.minutes(90))
        #expect(pair.store.events.contains { $0.kind == .certificateRenewed })
        #expect(pair.node?.overlay4 == address("100.64.0.2"))
        pair.membership = nil
        pair.startAgent()
        guard case .success(.joined(let view))? = pair.join(pair.createToken(ttlSeconds: 600)) else {
            Issue.record("the node was not let in again: \(token)")
            return
        }
        #expect(view.overlay4 == address("100.64.0.2"))
    }

    @Test func `a full network admits nodes without an address, and reports that`() {
        let pair = joined("10.9.0.0/28")
        for index in 0..<13 {
            pair.replaceAgent(name: "n\(index)")
            join(pair)
        }
        let given = nodes(pair).map(\.overlay4)
        #expect(given.prefix(13) == (2...14).map { address("10.9.0.\($0)") }[...])
        #expect(given.last == .some(nil))
        #expect(pair.agent?.overlay?.v4 == nil)
        #expect(pair.agent?.overlay?.network4 == IPPrefix("10.9.0.0/28"))
        #expect(pair.store.events.contains { $0.message.contains("10.9.0.0/28 is full") })
        // Coming again changes nothing.
        let certificates = pair.store.counters.serial
        pair.startAgent()
        pair.run(.seconds(5))
        #expect(pair.store.counters.serial == certificates)
    }

    @Test func `a member from before there were addresses gets one when it comes`() {
        let pair = joined()
        let old = pair.certificateWithoutAddress()
        pair.store.nodes[0].certificate = old
        pair.store.counters.overlay = OverlayPool.firstOfNodes
        pair.store.counters.overlayNetwork = nil
        pair.membership?.admission.certificate = old.encoded()
        pair.membership?.admission.overlayNetwork = nil
        pair.startController()
        pair.startAgent()
        #expect(pair.agent?.overlay?.v4 == nil)
        pair.run(.seconds(5))
        #expect(pair.node?.overlay4 == address("100.64.0.2"))
        #expect(pair.agent?.overlay?.v4 == address("100.64.0.2"))
        #expect(pair.agent?.overlay?.network4 == OverlayPool.defaultNetwork)
        // The answer was lost: the node comes with the old one again, and gets the same address.
        pair.membership?.admission.certificate = old.encoded()
        pair.startAgent()
        pair.run(.seconds(5))
        #expect(pair.agent?.overlay?.v4 == address("100.64.0.2"))
        #expect(pair.store.counters.overlay == 3)
    }

    @Test func `a store that has forgotten how far it had counted gives no address twice`() {
        let pair = joined()
        pair.store.counters.overlay = OverlayPool.firstOfNodes
        pair.startController()
        pair.replaceAgent(name: "beta")
        join(pair)
        #expect(nodes(pair).map(\.overlay4) == [address("100.64.0.2"), address("100.64.0.3")])
    }

    @Test func `the controller finds its nodes and itself by address and by name`() {
        let pair = joined()
        pair.replaceAgent(name: "beta")
        join(pair)
        func ping(_ peer: String) -> APIError.Code? {
            let id = RequestID(900)
            pair.agentReplies[id] = nil
            pair.notify(.request(id, .ping(PingPeer(peer: peer, count: 1))))
            for _ in 0..<150 where pair.agentReplies[id] == nil { pair.run(.milliseconds(100)) }
            guard case .failure(let error)? = pair.agentReplies[id] else { return nil }
            return error.code
        }
        // The first node is gone, so there is no answer; but the node and its last address are known.
        #expect(ping("alpha") == .unavailable)
        #expect(ping("100.64.0.2") == .unavailable)
        #expect(ping("gamma") == .notFound)
        #expect(ping("100.64.0.4") == .notFound)
        #expect(ping("100.64.0.1") == nil)
        pair.notify(.overlayRequested(address("100.64.0.1")))
        pair.notify(.overlayRequested(address("100.64.0.77")))
        pair.run(.seconds(1))
        #expect(pair.overlayActions.contains(.overlayReachable(address("100.64.0.1"))))
        #expect(pair.overlayActions.contains(.overlayUnreachable(address("100.64.0.77"), .noSuchAddress)))
    }

    @Test func `a network that makes sense is taken, and one in use does not change`() throws {
        func choose(_ asked: String?, given: UInt64 = 0, from kept: String? = nil) throws -> String {
            var counters = StoredCounters()
            counters.overlay += given
            counters.overlayNetwork = kept.flatMap { IPPrefix($0) }
            return try OverlayPool.network(asked: asked.flatMap { IPPrefix($0) }, kept: counters).description
        }
        #expect(try choose(nil) == "100.64.0.0/10")
        #expect(try choose("10.0.0.0/8") == "10.0.0.0/8")
        #expect(try choose("10.9.0.0/28") == "10.9.0.0/28")
        #expect(try choose(nil, given: 1, from: "10.9.0.0/16") == "10.9.0.0/16")
        #expect(try choose("10.9.0.0/16", given: 1, from: "10.9.0.0/16") == "10.9.0.0/16")
        #expect(try choose("10.8.0.0/16", from: "10.9.0.0/16") == "10.8.0.0/16")
        for wrong in ["fd00::/8", "10.0.0.0/7", "10.0.0.0/29", "0.0.0.0/0", "10.0.0.1/32"] {
            #expect(throws: OverlayPool.Fault.self, "\(wrong)") { try choose(wrong) }
        }
        let changed = OverlayPool.Fault.changed(from: IPPrefix("10.9.0.0/16")!, to: IPPrefix("10.8.0.0/16")!)
        #expect(throws: changed) { try choose("10.8.0.0/16", given: 1, from: "10.9.0.0/16") }
        #expect(changed.description.contains("10.9.0.0/16") && changed.description.contains("10.8.0.0/16"))
    }
}
