import Base
import Testing
import Wire

@testable import Mesh

/// What people do to paths, and what is counted of them.
@Suite struct PathDebugTests {
    private static let direct = PathAddress(SocketAddress("198.51.100.1:1")!)
    private static let other = PathAddress(SocketAddress("198.51.100.2:2")!)
    private static let relayed = PathAddress(
        SocketAddress("203.0.113.1:3")!, allocations: AllocationPair(near: 1, far: 2))
    private static let second = PathAddress(
        SocketAddress("203.0.113.2:3")!, allocations: AllocationPair(near: 3, far: 4))

    /// A peer that is reached by all paths of `alive`, until `end`.
    private static func run(
        _ paths: inout PathSet, _ alive: [PathAddress], from start: Instant, for time: Interval
    ) -> (now: Instant, probed: [PathAddress]) {
        var now = start, token: UInt64 = start.nanoseconds, probed: [PathAddress] = []
        while now - start < time {
            paths.sent(now: now)
            for probe in paths.takeProbes(now: now, limit: 100, firstToken: token) {
                probed.append(probe.address)
                if alive.contains(probe.address) {
                    _ = paths.answered(probe.token, from: probe.address, now: now + .milliseconds(1))
                }
            }
            token += 100
            now = now + .milliseconds(5)
        }
        return (now, probed)
    }

    private static func settled() -> (paths: PathSet, now: Instant) {
        var paths = PathSet([relayed, direct])
        let now = Instant(nanoseconds: 1_000_000_000)
        paths.established(at: relayed, isNew: true, now: now)
        paths.punch(now: now)
        let end = run(&paths, [direct, relayed], from: now, for: .seconds(2)).now
        return (paths, end)
    }

    @Test func `a path that is dropped is left at once, and taken back after half a minute`() {
        var (paths, now) = Self.settled()
        #expect(paths.primary == Self.direct)
        let isDropped = paths.drop(Self.direct, now: now)
        #expect(isDropped && paths.primary == Self.relayed && paths.second == nil)
        #expect(paths.transitions.last?.cause == .debug && paths.transitions.last?.elapsed == nil)
        let barred = paths.facts(now: now).first { $0.address == Self.direct }?.barredFor
        #expect(barred == .seconds(30))
        now = Self.run(&paths, [Self.direct, Self.relayed], from: now, for: .seconds(29)).now
        #expect(paths.primary == Self.relayed)
        now = Self.run(&paths, [Self.direct, Self.relayed], from: now, for: .seconds(60)).now
        #expect(paths.primary == Self.direct)
        // And each time for twice as long.
        _ = paths.drop(Self.direct, now: now)
        #expect(paths.facts(now: now).first { $0.address == Self.direct }?.barredFor == .seconds(60))
    }

    @Test func `the path in use is not shown as alive when nothing answers`() {
        var (paths, now) = Self.settled()
        #expect(!paths.facts(now: now).contains { !$0.isAlive })
        now = Self.run(&paths, [], from: now, for: .seconds(3)).now
        #expect(paths.primary == Self.direct && !paths.facts(now: now).contains(where: \.isAlive))
        now = Self.run(&paths, [Self.direct], from: now, for: .seconds(1)).now
        #expect(paths.facts(now: now).filter(\.isAlive).map(\.address) == [Self.direct])
    }

    @Test func `an answer that comes late, after its path has been left, does not keep the path from being taken back`()
    {
        var (paths, now) = Self.settled()
        paths.sent(now: now)
        now = now + .milliseconds(100)
        let late = paths.takeProbes(now: now, limit: 100, firstToken: 1).first { $0.address == Self.direct }
        _ = paths.drop(Self.direct, now: now)
        _ = paths.answered(late?.token ?? 0, from: Self.direct, now: now + .milliseconds(40))
        #expect(late != nil && paths.primary == Self.relayed)
        _ = Self.run(&paths, [Self.direct, Self.relayed], from: now + .milliseconds(50), for: .seconds(60))
        #expect(paths.primary == Self.direct)
    }

    @Test func `the only path cannot be dropped, nor one that is not there`() {
        var paths = PathSet([Self.direct])
        paths.established(at: Self.direct, isNew: true, now: .origin)
        let (only, none) = (paths.drop(Self.direct, now: .origin), paths.drop(Self.other, now: .origin))
        #expect(!only && !none && paths.primary == Self.direct)
        #expect(paths.facts(now: .origin).first?.barredFor == nil)
    }

    @Test func `on relays only, nothing goes directly, whatever is received and announced meanwhile`() {
        var (paths, now) = Self.settled()
        paths.relayOnly(true, now: now)
        #expect(paths.isRelayOnly && paths.primary == Self.relayed && paths.addresses == [Self.relayed])
        #expect(paths.transitions.last?.cause == .debug)
        paths.noteReceived(from: Self.other, isNewest: true, now: now)
        paths.established(at: Self.direct, isNew: false, now: now)
        paths.add([Self.second])
        paths.punch(now: now)
        let all = Self.run(&paths, [Self.direct, Self.other, Self.relayed, Self.second], from: now, for: .seconds(40))
        #expect(all.probed.allSatisfy(\.isRelayed) && paths.primary?.isRelayed == true && paths.second == nil)
        // Then all that is known is tried.
        paths.relayOnly(false, now: all.now)
        now = Self.run(&paths, [Self.direct, Self.relayed], from: all.now, for: .seconds(1)).now
        #expect(paths.primary == Self.direct && paths.addresses.contains(Self.other))
    }

    @Test func `an unauthenticated peer cannot make the list of what is set aside grow without a limit`() {
        var paths = PathSet([Self.relayed])
        paths.relayOnly(true, now: .origin)
        for port in 1..<100 {
            paths.noteReceived(from: PathAddress(SocketAddress(.loopback4, UInt16(port))), isNewest: true, now: .origin)
        }
        #expect(paths.setAside?.count == Limits.addressesPerPeer && paths.addresses == [Self.relayed])
    }

    @Test func `a failover is as long as data was in doubt`() {
        var (paths, now) = Self.settled()
        let start = now
        now = Self.run(&paths, [Self.relayed], from: now, for: .seconds(2)).now
        let change = paths.transitions.last
        #expect(change?.cause == .silent && change?.to == Self.relayed)
        let elapsed = change?.elapsed ?? .zero
        // From the first probe without an answer, which is at most one interval younger than the silence.
        #expect(elapsed > .milliseconds(150) && elapsed <= (change?.at ?? start) - start)
    }

    @Test func `the result of each path's last probe is known`() {
        var (paths, now) = Self.settled()
        #expect(paths.facts(now: now).first { $0.address == Self.direct }?.probe == .answered)
        now = Self.run(&paths, [Self.relayed], from: now, for: .milliseconds(400)).now
        _ = Self.run(&paths, [], from: now, for: .seconds(3))
        #expect(paths.facts(now: now + .seconds(3)).allSatisfy { $0.probe == .unanswered || $0.probe == .waiting })
        #expect(PathSet([Self.direct]).facts(now: now).first?.probe == nil)
    }

    @Test func `counters have names that can be split`() {
        var metrics = PathMetrics()
        for milliseconds in [0, 50, 51, 210, 5000, 5001] { metrics.failedOver(.milliseconds(Int64(milliseconds))) }
        let punch = PathMetrics.Punch(
            own: .endpointDependent, peer: .endpointIndependent, method: .prediction, isDirect: true)
        metrics.ended(punch)
        metrics.ended(punch)
        let all = metrics.all
        func count(_ name: String) -> Int? { all.first { $0.name == name }?.count }
        #expect(count("failovers.50") == 2 && count("failovers.100") == 1 && count("failovers.250") == 1)
        #expect(count("failovers.5000") == 1 && count("failovers.more") == 1 && count("failoverMilliseconds") == 10_312)
        #expect(count("punches.endpointDependent.endpointIndependent.prediction.direct") == 2 && metrics[punch] == 2)
        #expect(all.count { $0.name.hasPrefix("punches.") } == 1)
    }

    @Test func `a ping by a chosen path uses that path and names it`() throws {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.seconds(1))
        let before = pair.recorded.count
        let path = PathAddress(pair.b.address)
        let isSent = pair.a.endpoint.ping(pair.b.node, token: 7, by: [path], now: pair.now)
        pair.drain(pair.a)
        pair.run(.seconds(1))
        #expect(isSent && pair.recorded[before].to == pair.b.address)
        #expect(pair.a.events.contains(.pong(pair.b.node, token: 7, roundTrip: .milliseconds(20), by: path)))
        // There is no answer, and the session is not affected.
        let nowhere = pair.a.endpoint.ping(
            pair.b.node, token: 8, by: [PathAddress(SocketAddress(.loopback4, 9))], now: pair.now)
        pair.drain(pair.a)
        pair.run(.seconds(5))
        #expect(nowhere && pair.a.endpoint.isConnected(pair.b.node))
        #expect(pair.a.endpoint.report(on: pair.b.node, now: pair.now)?.path == path)
        #expect(!pair.a.events.contains { if case .pong(_, token: 8, _, _) = $0 { true } else { false } })
    }

    @Test func `a peer without a relay cannot be kept on relays`() {
        let pair = TestPair.members()
        pair.connect()
        pair.run(.seconds(1))
        let isKept = pair.a.endpoint.relayOnly(pair.b.node, true, now: pair.now)
        #expect(!isKept && pair.a.endpoint.traversal.relayOnly.isEmpty)
        let unknownPeer = NodeID([UInt8](repeating: 9, count: 32))!
        let isUnknownPeer = pair.a.endpoint.relayOnly(unknownPeer, true, now: pair.now)
        #expect(!isUnknownPeer)
        #expect(pair.a.endpoint.report(on: pair.b.node, now: pair.now)?.path == PathAddress(pair.b.address))
    }
}
