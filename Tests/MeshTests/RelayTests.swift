import Base
import Noise
import Testing
import Wire

@testable import Mesh

/// A relay by itself, and attempts to misuse it.
@Suite struct RelayTests {
    private static let a = SocketAddress("198.51.100.1:1000")!, b = SocketAddress("198.51.100.2:2000")!
    private static let victim = SocketAddress("203.0.113.66:53")!
    private static let start = Instant(nanoseconds: 1)
    private static func node(_ number: UInt8) -> NodeID { NodeID([UInt8](repeating: number, count: 32))! }

    /// A relay, and nodes that know how to bind.
    private struct Bench: ~Copyable {
        var relay: Relay
        var now = RelayTests.start

        init(bytesPerSecond: Int64 = 1 << 30, allocations: Int = 100) {
            var generator = KeyGenerator(Seed(5))
            relay = Relay(using: &generator, bytesPerSecond: bytesPerSecond, allocations: allocations, now: now)
        }

        struct Node {
            var allocation: UInt32
            var key: BindKey
            var challenge: [UInt8]
            var number: UInt64 = 0

            mutating func bind(_ challenge: [UInt8]? = nil) -> [UInt8] {
                number += 1
                return BindMessage(allocation: allocation, number: number, challenge: challenge ?? self.challenge)
                    .encoded(.bind, key: key)
            }
        }

        mutating func join(_ number: UInt8, tenant: String = "", at address: SocketAddress) -> Node {
            join(number, tenant: tenant, at: PathAddress(address))
        }

        mutating func join(_ number: UInt8, tenant: String = "", at address: PathAddress) -> Node {
            let allocation = relay.allocation(for: RelayTests.node(number), tenant: tenant, at: address, now: now)!
            return Node(allocation: allocation.number, key: BindKey(allocation.key)!, challenge: allocation.challenge)
        }

        mutating func bound(_ number: UInt8, tenant: String = "", at address: SocketAddress) -> Node {
            var node = join(number, tenant: tenant, at: address)
            let answer = relay.bind(node.bind(), from: PathAddress(address), now: now).flatMap { BindMessage($0) }
            precondition(answer?.challenge == BindMessage.none, "not bound")
            return node
        }

        mutating func carry(_ from: Node, _ to: Node, count: Int = 500, at address: SocketAddress) -> Relay.Verdict {
            relay.carry(
                AllocationPair(near: from.allocation, far: to.allocation), count: count, from: PathAddress(address),
                now: now)
        }
    }

    @Test func `what names two bound allocations and comes from the one goes to the other`() {
        var bench = Bench()
        let a = bench.bound(1, at: Self.a), b = bench.bound(2, at: Self.b)
        let there = bench.carry(a, b, at: Self.a), back = bench.carry(b, a, at: Self.b)
        #expect(there == .forward(PathAddress(Self.b)) && back == .forward(PathAddress(Self.a)))
        #expect(bench.relay.forwardedDatagrams == 2 && bench.relay.forwardedBytes == 1000)
    }

    @Test func `nothing is sent to an address that has not proven that it receives`() {
        var bench = Bench()
        let a = bench.bound(1, at: Self.a), b = bench.join(2, at: Self.b)
        let unbound = bench.carry(a, b, at: Self.a)
        #expect(unbound == .dropped(.relayUnbound))
        let nowhere = bench.relay.carry(
            AllocationPair(near: a.allocation, far: 7), count: 100, from: PathAddress(Self.a), now: bench.now)
        #expect(nowhere == .dropped(.relayUnknownAllocation))
        let nobody = bench.relay.carry(
            AllocationPair(near: 7, far: a.allocation), count: 100, from: PathAddress(Self.a), now: bench.now)
        #expect(nobody == .dropped(.relayUnknownSender))
    }

    @Test func `a bind without the key is not answered, whatever it states`() {
        var bench = Bench()
        let node = bench.join(1, at: Self.a)
        let unknownPeer = BindKey([UInt8](repeating: 9, count: 32))!
        let forged = BindMessage(allocation: node.allocation, number: 5, challenge: node.challenge).encoded(
            .bind, key: unknownPeer)
        #expect(bench.relay.bind(forged, from: PathAddress(Self.victim), now: bench.now) == nil)
        for length in [0, 1, 47, 49] {
            let short = Array((forged + forged).prefix(length))
            #expect(bench.relay.bind(short, from: PathAddress(Self.victim), now: bench.now) == nil)
        }
    }

    @Test func `a recorded bind binds no other address, and its answer is no longer than itself`() throws {
        var bench = Bench()
        var a = bench.bound(1, at: Self.a)
        let b = bench.bound(2, at: Self.b)
        // Seen on the wire, not yet arrived: sent once more with the victim's address as its source.
        let recorded = a.bind()
        let answer = bench.relay.bind(recorded, from: PathAddress(Self.victim), now: bench.now)
        let length = try #require(answer).count
        #expect(length <= recorded.count)
        let before = bench.carry(b, a, at: Self.b)
        #expect(before == .forward(PathAddress(Self.a)))
        // It arrives; then once more from where it came from is too late.
        _ = bench.relay.bind(recorded, from: PathAddress(Self.a), now: bench.now)
        #expect(bench.relay.bind(recorded, from: PathAddress(Self.a), now: bench.now) == nil)
        #expect(bench.relay.bind(recorded, from: PathAddress(Self.victim), now: bench.now) == nil)
    }

    @Test func `an old bind does not move a node back to where it was`() {
        var bench = Bench()
        var a = bench.bound(1, at: Self.a)
        let b = bench.bound(2, at: Self.b)
        let old = a.bind()
        _ = bench.relay.bind(old, from: PathAddress(Self.a), now: bench.now)
        // It moves: a first bind brings the challenge for the new address, the second one counts.
        let challenge = bench.relay.bind(a.bind(), from: PathAddress(Self.victim), now: bench.now).flatMap {
            BindMessage($0)
        }
        _ = bench.relay.bind(a.bind(challenge!.challenge), from: PathAddress(Self.victim), now: bench.now)
        let moved = bench.carry(b, a, at: Self.b)
        #expect(moved == .forward(PathAddress(Self.victim)))
        #expect(bench.relay.bind(old, from: PathAddress(Self.a), now: bench.now) == nil)
        let stays = bench.carry(b, a, at: Self.b)
        #expect(stays == .forward(PathAddress(Self.victim)))
    }

    @Test func `what a node sent before its allocation was bound elsewhere still goes on, for three seconds`() {
        var bench = Bench()
        let c = SocketAddress("198.51.100.3:3000")!
        var a = bench.bound(1, at: Self.a)
        var b = bench.bound(2, at: Self.b)
        func move(_ bench: inout Bench, to address: SocketAddress) {
            let answer = bench.relay.bind(a.bind(), from: PathAddress(address), now: bench.now)
            let challenge = answer.flatMap { BindMessage($0)?.challenge }
            _ = bench.relay.bind(a.bind(challenge), from: PathAddress(address), now: bench.now)
        }
        func isForwarded(_ bench: inout Bench, from address: SocketAddress) -> Bool {
            bench.carry(a, b, at: address) == .forward(PathAddress(Self.b))
        }
        move(&bench, to: c)
        // A second bind at the same address, because the answer to the first one was lost.
        bench.now = bench.now + .seconds(1)
        move(&bench, to: c)
        var forwarded = [isForwarded(&bench, from: Self.a), isForwarded(&bench, from: c)]
        #expect(forwarded == [true, true])
        // Nothing is forwarded to the old address.
        let back = bench.carry(b, a, at: Self.b)
        #expect(back == .forward(PathAddress(c)))
        bench.now = bench.now + .seconds(2)
        forwarded = [isForwarded(&bench, from: Self.a), isForwarded(&bench, from: c)]
        #expect(forwarded == [false, true])
        // An address from which the allocation was bound so long ago that the bind is over is no former address.
        bench.now = bench.now + Relay.bindLife
        move(&bench, to: Self.victim)
        b = bench.bound(2, at: Self.b)
        forwarded = [isForwarded(&bench, from: c), isForwarded(&bench, from: Self.victim)]
        #expect(forwarded == [false, true])
    }

    @Test func `a sender at another address is sometimes challenged, with fewer bytes than it sent`() {
        var bench = Bench()
        let a = bench.bound(1, at: Self.a), b = bench.bound(2, at: Self.b)
        var sent = 0, received = 0, challenges = 0
        for step in 0..<1000 {
            bench.now = Self.start + .milliseconds(Int64(step))
            sent += 60
            switch bench.carry(a, b, count: 60, at: Self.victim) {
            case .challenge(let bytes):
                received += bytes.count
                challenges += 1
            case .forward: Issue.record("carried for somebody who is not bound")
            case .dropped(let reason): #expect(reason == .relayUnknownSender)
            }
        }
        #expect(received <= sent && (40...51).contains(challenges))
        // What is shorter than a challenge is not answered at all.
        bench.now = Self.start + .seconds(5)
        let short = bench.carry(a, b, count: 47, at: Self.victim)
        #expect(short == .dropped(.relayUnknownSender))
    }

    @Test func `challenges and binds run out`() {
        var bench = Bench()
        var a = bench.join(1, at: Self.a)
        let early = a.bind()
        bench.now = Self.start + BindChallenger.lifetime * 2 + .seconds(1)
        let late = bench.relay.bind(early, from: PathAddress(Self.a), now: bench.now).flatMap { BindMessage($0) }
        #expect(late?.challenge != BindMessage.none)
        let b = bench.bound(2, at: Self.b), c = bench.bound(3, at: Self.a)
        let carried = bench.carry(b, c, at: Self.b)
        #expect(carried == .forward(PathAddress(Self.a)))
        bench.now = bench.now + Relay.bindLife
        guard case .challenge = bench.carry(b, c, at: Self.b) else {
            Issue.record("a bind holds for ever")
            return
        }
    }

    @Test func `one tenant's flood leaves the others their share`() {
        var bench = Bench(bytesPerSecond: 1_000_000)
        let loud = bench.bound(1, tenant: "loud", at: Self.a), quiet = bench.bound(2, tenant: "quiet", at: Self.b)
        var carried = (loud: 0, quiet: 0)
        for step in 0..<20_000 {
            bench.now = Self.start + .microseconds(Int64(step) * 100)
            // 100 MB/s against 0.5 MB/s.
            for _ in 0..<10 {
                if case .forward = bench.carry(loud, quiet, count: 1000, at: Self.a) { carried.loud += 1000 }
            }
            if step % 20 == 0, case .forward = bench.carry(quiet, loud, count: 1000, at: Self.b) {
                carried.quiet += 1000
            }
        }
        #expect(carried.quiet == 1_000_000)
        // Two seconds' share, and the quarter of a second that may come at once.
        #expect((2_000_000...2_300_000).contains(carried.loud))
    }

    @Test func `a node has one allocation, and a new one when it comes again`() {
        var bench = Bench(allocations: 2)
        let first = bench.join(1, at: Self.a), again = bench.join(1, at: Self.a)
        #expect(first.allocation == again.allocation)
        _ = bench.bound(2, at: Self.b)
        let full = bench.relay.allocation(for: Self.node(3), tenant: "", at: PathAddress(Self.a), now: bench.now) == nil
        #expect(full && bench.relay.allocationCount == 2)
        let renewed = bench.join(2, at: Self.b)
        #expect(bench.relay.allocationCount == 2)
        bench.now = Self.start + .seconds(1)
        let toOld = bench.relay.carry(
            AllocationPair(near: renewed.allocation, far: first.allocation), count: 90, from: PathAddress(Self.b),
            now: bench.now)
        guard case .challenge = toOld else {
            Issue.record("a new allocation was bound from the beginning")
            return
        }
        bench.relay.release(Self.node(1))
        #expect(bench.relay.allocationCount == 1)
    }

    // MARK: - Two hops

    /// The addresses at which nodes behind a relay at `x` are seen here: this relay's allocation there is 70.
    private static func behind(_ x: SocketAddress, _ allocation: UInt32) -> PathAddress {
        PathAddress(x, allocations: AllocationPair(near: 70, far: allocation))
    }

    @Test func `an allocation may be bound over another relay, where its challenge holds for the way as a whole`()
        throws
    {
        var bench = Bench()
        let b = bench.bound(2, at: Self.b)
        let far = Self.behind(Self.a, 71)
        var a = bench.join(1, at: far)
        // The same bind from elsewhere behind that relay, from the relay itself, or from behind another one.
        for other in [
            Self.behind(Self.a, 72), PathAddress(Self.a), Self.behind(Self.victim, 71),
            PathAddress(Self.a, allocations: AllocationPair(near: 71, far: 70)),
        ] {
            let answer = bench.relay.bind(a.bind(), from: other, now: bench.now).flatMap { BindMessage($0) }
            let challenge = try #require(answer).challenge
            #expect(challenge != BindMessage.none && challenge != a.challenge, "bound at \(other)")
        }
        // Nothing binds two relays away.
        let further = PathAddress(
            Self.a, allocations: AllocationPair(near: 5, far: 6), via: AllocationPair(near: 70, far: 71))
        let once = a.bind()
        #expect(bench.relay.bind(once, from: further, now: bench.now) == nil)
        let none = bench.carry(b, a, at: Self.b)
        #expect(none == .dropped(.relayUnbound))
        let bound = bench.relay.bind(a.bind(), from: far, now: bench.now).flatMap { BindMessage($0) }
        #expect(bound?.challenge == BindMessage.none)
        let there = bench.carry(b, a, at: Self.b)
        #expect(there == .forward(far))
        let back = bench.relay.carry(
            AllocationPair(near: a.allocation, far: b.allocation), count: 500, from: far, now: bench.now)
        #expect(back == .forward(PathAddress(Self.b)))
    }

    @Test func `nothing goes over a third relay, or in a circle`() {
        var bench = Bench()
        let b = bench.bound(2, at: Self.b)
        var behind: [(node: Bench.Node, at: PathAddress)] = []
        for (number, allocation) in [(1, 71), (3, 73)] as [(UInt8, UInt32)] {
            let at = Self.behind(Self.a, allocation)
            var node = bench.join(number, at: at)
            _ = bench.relay.bind(node.bind(), from: at, now: bench.now)
            behind.append((node, at))
        }
        // Both ends behind relays: each has one already.
        let third = bench.relay.carry(
            AllocationPair(near: behind[0].node.allocation, far: behind[1].node.allocation), count: 500,
            from: behind[0].at,
            now: bench.now)
        #expect(third == .dropped(.relayTooFar))
        // A datagram to be relayed, or a bind: from behind a relay to a relay, and to a node behind one.
        let out = bench.relay.carry(
            AllocationPair(near: behind[0].node.allocation, far: b.allocation), count: 500, isForRelays: true,
            from: behind[0].at,
            now: bench.now)
        let back = bench.relay.carry(
            AllocationPair(near: b.allocation, far: behind[0].node.allocation), count: 500, isForRelays: true,
            from: PathAddress(Self.b),
            now: bench.now)
        #expect(out == .dropped(.relayTooFar) && back == .dropped(.relayTooFar))
        // Between two that are near it is the first of two hops.
        let c = bench.bound(4, at: Self.victim)
        let first = bench.relay.carry(
            AllocationPair(near: b.allocation, far: c.allocation), count: 500, isForRelays: true,
            from: PathAddress(Self.b), now: bench.now
        )
        #expect(first == .forward(PathAddress(Self.victim)))
        #expect(bench.relay.forwardedDatagrams == 1)
    }

    /// Peers' paths are tried again only where an allocation is bound at a new address: a renewal each minute must not wake
    /// all idle peers.
    @Test func `a renewed allocation is no change, and a moved one is`() throws {
        var bench = Bench()
        let node = Self.node(1), place = ControllerAddress(node: Self.node(9), addresses: [Self.victim])
        var client = RelayClient(place, isHome: true, now: bench.now)
        client.connected(at: PathAddress(Self.victim), now: bench.now)
        #expect(client.due(now: bench.now) == .ask)
        let allocation = bench.relay.allocation(for: node, tenant: "", at: PathAddress(Self.a), now: bench.now)
        let granted = try #require(allocation)
        client.granted(granted.number, key: granted.key, challenge: granted.challenge, now: bench.now)
        for isNew in [true, false] {
            guard case .bind(let bytes) = client.due(now: bench.now) else {
                Issue.record("nothing to bind")
                return
            }
            let answer = bench.relay.bind(bytes, from: PathAddress(Self.a), now: bench.now)
            let isBound = client.answered(try #require(answer), now: bench.now)
            #expect(isBound == true && client.isNew == isNew)
            // As the endpoint does when it has tried them.
            _ = client.openedPath()
            bench.now = bench.now + RelayClient.renewAfter
        }
        client.moved(now: bench.now)
        #expect(client.isNew)
    }
}
