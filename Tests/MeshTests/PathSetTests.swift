import Base
import Testing
import Wire

@testable import Mesh

/// Paths in virtual time: each answers or not, after its round trip.
@Suite struct PathSetTests {
    private static let direct = PathAddress(SocketAddress("198.51.100.1:1")!)
    private static let other = PathAddress(SocketAddress("198.51.100.2:2")!)
    private static let relayed = PathAddress(
        SocketAddress("203.0.113.1:3")!, allocations: AllocationPair(near: 1, far: 2))

    private struct World {
        var paths: PathSet
        var now = Instant(nanoseconds: 1_000_000_000)
        /// By path: how long an answer takes; none where nothing answers.
        var roundTrips: [PathAddress: Interval] = [:]
        /// Part of a hundred of all probes that get no answer.
        var loss: UInt64 = 0
        var sends = true
        var probes = 0
        private var token: UInt64 = 1
        private var answers: [(at: Instant, token: UInt64, path: PathAddress)] = []
        private var random = Random(Seed(1))

        init(_ addresses: [PathAddress]) { paths = PathSet(addresses) }

        mutating func run(_ time: Interval) {
            let end = now + time
            while now < end {
                if sends { paths.sent(now: now) }
                for index in answers.indices.reversed() where answers[index].at <= now {
                    let answer = answers.remove(at: index)
                    _ = paths.answered(answer.token, from: answer.path, now: now)
                }
                let due = paths.takeProbes(now: now, limit: 100, firstToken: token)
                token += 100
                probes += due.count
                for probe in due {
                    guard let time = roundTrips[probe.address], !random.chance(loss, in: 100) else { continue }
                    answers.append((now + time, probe.token, probe.address))
                }
                now = now + .milliseconds(5)
            }
        }

        /// How long until `done`.
        mutating func time(until done: (PathSet) -> Bool, within limit: Interval = .seconds(5)) -> Interval? {
            let start = now
            while now - start < limit {
                if done(paths) { return now - start }
                run(.milliseconds(5))
            }
            return nil
        }

        static func settled() -> World {
            var world = World([PathSetTests.relayed, PathSetTests.direct])
            world.roundTrips = [PathSetTests.relayed: .milliseconds(90), PathSetTests.direct: .milliseconds(50)]
            world.paths.established(at: PathSetTests.relayed, isNew: true, now: world.now)
            world.paths.punch(now: world.now)
            world.run(.seconds(2))
            return world
        }
    }

    @Test func `of several relays the one with the shortest way is soon in use, and the others are left in peace`() {
        let relays = (0..<3).map { number in
            PathAddress(
                SocketAddress(.v4(0xcb00_7100 + number), 3),
                allocations: AllocationPair(near: number + 1, far: number + 11))
        }
        var world = World(relays)
        for (relay, time) in zip(relays, [200, 90, 120] as [Int64]) { world.roundTrips[relay] = .milliseconds(time) }
        world.paths.established(at: relays[0], isNew: true, now: world.now)
        world.paths.tryRelays(now: world.now)
        let time = world.time { $0.primary == relays[1] }
        #expect(time.map { $0 <= .seconds(1) } ?? false, "\(String(describing: time))")
        world.run(.seconds(2))
        #expect(world.paths.primary == relays[1] && world.paths.transitions.map(\.cause) == [.first, .faster])
        // The one in use ten times a second; of the two others one is kept warm.
        let before = world.probes
        world.run(.seconds(30))
        #expect(world.probes - before <= 300 + 3)
    }

    @Test func `a session begins where it was made and goes direct with the first answer`() {
        var world = World([Self.relayed, Self.direct])
        world.roundTrips = [Self.relayed: .milliseconds(90), Self.direct: .milliseconds(50)]
        world.paths.established(at: Self.relayed, isNew: true, now: world.now)
        #expect(world.paths.primary == Self.relayed)
        world.paths.punch(now: world.now)
        let time = world.time { $0.primary == Self.direct }
        #expect(time.map { $0 <= .milliseconds(60) } ?? false)
        #expect(world.paths.transitions.map(\.cause) == [.first, .better])
    }

    @Test func `probes go on for twelve seconds, and again after a while if the peer is talked to`() {
        var world = World([Self.relayed, Self.direct])
        world.roundTrips = [Self.relayed: .milliseconds(90)]
        world.paths.established(at: Self.relayed, isNew: true, now: world.now)
        world.paths.punch(now: world.now)
        world.sends = false
        world.run(.seconds(15))
        let idle = world.probes
        #expect((15...17).contains(idle))
        world.run(.seconds(60))
        #expect(world.probes == idle)
        world.sends = true
        world.roundTrips[Self.direct] = .milliseconds(40)
        #expect(world.time(until: { $0.primary == Self.direct }, within: .seconds(20)) != nil)
    }

    @Test func `a path that goes silent is doubted at once, and left when the other one answers`() {
        var world = World.settled()
        world.roundTrips[Self.direct] = nil
        let doubt = world.time { $0.second == Self.relayed }
        #expect(doubt.map { $0 <= .milliseconds(300) } ?? false, "\(String(describing: doubt))")
        let left = world.time { $0.primary == Self.relayed }
        #expect(left.map { $0 <= .milliseconds(600) } ?? false, "\(String(describing: left))")
        #expect(world.paths.second == nil && world.paths.transitions.last?.cause == .silent)
    }

    @Test func `a path that failed is not taken back for half a minute`() {
        var world = World.settled()
        world.roundTrips[Self.direct] = nil
        world.run(.seconds(2))
        world.roundTrips[Self.direct] = .milliseconds(50)
        world.run(.seconds(25))
        #expect(world.paths.primary == Self.relayed)
        world.run(.seconds(80))
        #expect(world.paths.primary == Self.direct)
    }

    @Test func `loss alone does not move data from its path`() {
        var world = World.settled()
        world.loss = 19
        let before = world.paths.transitions.count
        world.run(.seconds(60))
        #expect(world.paths.primary == Self.direct && world.paths.transitions.count == before)
    }

    @Test func `a peer that stands still keeps its path`() {
        var world = World.settled()
        let roundTrips = world.roundTrips
        world.roundTrips = [:]
        world.run(.seconds(1))
        world.roundTrips = roundTrips
        world.run(.seconds(3))
        #expect(world.paths.primary == Self.direct && world.paths.transitions.count == 2)
    }

    @Test func `this machine's own suspension does not count against a path`() {
        var world = World.settled()
        world.now = world.now + .seconds(3)
        world.paths.slept(.seconds(3))
        _ = world.paths.takeProbes(now: world.now, limit: 100, firstToken: 1 << 40)
        #expect(world.paths.second == nil)
    }

    @Test func `a peer that moves is followed, with data on both paths until it is known`() {
        var world = World.settled()
        world.roundTrips[Self.direct] = nil
        world.roundTrips[Self.other] = .milliseconds(50)
        world.paths.noteReceived(from: Self.other, isNewest: true, now: world.now)
        #expect(world.paths.second == Self.other)
        let time = world.time { $0.primary == Self.other }
        #expect(time.map { $0 <= .milliseconds(200) } ?? false)
        #expect(world.paths.transitions.last?.cause == .moved && world.paths.second == nil)
    }

    @Test func `the source of a replayed datagram does not move the peer`() {
        var world = World.settled()
        world.paths.noteReceived(from: Self.other, isNewest: false, now: world.now)
        #expect(world.paths.addresses.count == 2 && world.paths.second == nil)
        // Newest, but there is no answer from there.
        world.paths.noteReceived(from: Self.other, isNewest: true, now: world.now)
        world.run(.seconds(2))
        #expect(world.paths.primary == Self.direct && world.paths.second == nil)
    }

    @Test func `after a long silence data goes both ways until the path has answered`() {
        var world = World.settled()
        world.sends = false
        world.run(.seconds(60))
        world.sends = true
        world.run(.milliseconds(10))
        #expect(world.paths.second == Self.relayed)
        world.run(.milliseconds(100))
        #expect(world.paths.second == nil && world.paths.primary == Self.direct)
    }

    @Test func `a faster path of the same class is taken after three samples, a little faster one never`() {
        var world = World([Self.direct, Self.other])
        world.roundTrips = [Self.direct: .milliseconds(50), Self.other: .milliseconds(47)]
        world.paths.established(at: Self.direct, isNew: true, now: world.now)
        world.paths.punch(now: world.now)
        world.run(.seconds(100))
        #expect(world.paths.primary == Self.direct)
        world.roundTrips[Self.other] = .milliseconds(20)
        world.run(.seconds(100))
        #expect(world.paths.primary == Self.other && world.paths.transitions.last?.cause == .faster)
    }

    @Test func `what only chance makes faster is not taken, and what stays faster is`() {
        var paths = PathSet([Self.direct, Self.other]), random = Random(Seed(5))
        var now = Instant(nanoseconds: 1_000_000_000), token: UInt64 = 1
        func answer(for seconds: Int, _ roundTrip: () -> Int64) {
            for _ in 0..<seconds * 2 {
                now = now + .milliseconds(500)
                paths.sent(now: now)
                let due = paths.takeProbes(now: now, limit: 10, firstToken: token)
                token += UInt64(due.count)
                for probe in due {
                    let time = Interval.milliseconds(probe.address == Self.other ? 140 : roundTrip())
                    _ = paths.answered(probe.token, from: probe.address, now: now + time)
                }
            }
        }
        paths.established(at: Self.direct, isNew: true, now: now)
        paths.punch(now: now)
        // As over a connection on which much is sent again: 200 ms in the mean.
        answer(for: 600) { random.chance(1, in: 2) ? 100 : 300 }
        #expect(paths.primary == Self.direct && paths.transitions.count == 1)
        answer(for: 100) { 200 }
        #expect(paths.primary == Self.other && paths.transitions.last?.cause == .faster)
    }

    @Test func `a relay that is gone takes its paths along`() {
        var world = World.settled()
        world.paths.withdraw(where: { $0 == Self.direct }, now: world.now)
        #expect(world.paths.primary == Self.relayed && world.paths.transitions.last?.cause == .withdrawn)
        world.paths.withdraw(where: { $0 == Self.relayed }, now: world.now)
        #expect(world.paths.primary == nil)
    }

    @Test func `an unauthenticated peer cannot make the list grow without a limit`() {
        var paths = PathSet()
        for host in 1..<100 {
            paths.noteReceived(from: PathAddress(SocketAddress(.v4(UInt32(host)), 1)), isNewest: true, now: .origin)
        }
        #expect(paths.addresses.count == Limits.addressesPerPeer)
    }

    @Test
    func `of many ports of a peer's host a few become paths, and a move to another is followed`() {
        var world = World.settled()
        let host = Self.direct.remote.ip
        for port in 1000..<1016 {
            world.paths.noteReceived(
                from: PathAddress(SocketAddress(host, UInt16(port))), isNewest: true, now: world.now)
        }
        #expect(world.paths.addresses.count { $0.remote.ip == host } == PathTable.portsOfHost)
        world.run(.seconds(2))
        #expect(world.paths.primary == Self.direct && world.paths.second == nil)
        // The host's NAT begins again.
        let moved = PathAddress(SocketAddress(host, 2000))
        world.roundTrips[Self.direct] = nil
        world.roundTrips[moved] = .milliseconds(50)
        world.paths.noteReceived(from: moved, isNewest: true, now: world.now)
        let time = world.time { $0.primary == moved }
        #expect(time.map { $0 <= .milliseconds(200) } ?? false)
    }

    @Test func `a peer that is reached over a relay is tried over TCP again too`() {
        let stream = PathAddress.tcp(SocketAddress("198.51.100.1:443")!)
        var world = World([Self.relayed, Self.direct, stream])
        world.roundTrips = [Self.relayed: .milliseconds(90)]
        world.paths.established(at: Self.relayed, isNew: true, now: world.now)
        world.run(.seconds(2))
        #expect(world.paths.primary == Self.relayed)
        world.roundTrips[stream] = .milliseconds(50)
        #expect(world.time(until: { $0.primary == stream }, within: .seconds(16)) != nil)
    }

    @Test func `an idle peer costs nothing, and one that is kept warm one probe in its time`() {
        var world = World.settled()
        world.sends = false
        world.run(.seconds(60))
        let before = world.probes
        world.run(.minutes(10))
        #expect(world.probes == before)
        world.paths.keepsWarm = .seconds(20)
        world.paths.sent(now: world.now)
        world.run(.minutes(10))
        #expect((28...36).contains(world.probes - before))
    }
}
