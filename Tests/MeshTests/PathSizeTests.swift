import Base
import Testing
import Wire

@testable import Mesh

/// How large a datagram may be, over a path that drops larger ones without an ICMP error.
@Suite struct PathSizeTests {
    private struct Path {
        var size = PathSize(ceiling: 1472, isIPv4: true)
        var now = Instant(nanoseconds: 1_000_000_000)
        /// Bytes of UDP payload that pass.
        var carries = 1472
        var loss: UInt64 = 0
        var isAlive = true
        var probes = 0
        private var token: UInt64 = 1
        private var random = Random(Seed(2))
        private var answers: [(at: Instant, token: UInt64)] = []

        mutating func run(_ time: Interval, uses: Bool = true) {
            let end = now + time
            while now < end {
                if uses { size.used(now) }
                for index in answers.indices.reversed() where answers[index].at <= now {
                    _ = size.answered(answers.remove(at: index).token, now: now)
                }
                let due = size.due(now, patience: .milliseconds(150), isAlive: isAlive, firstToken: token)
                token += 100
                probes += due.count
                // A wake-up without work would repeat forever.
                #expect(size.deadline.map { $0 > now } ?? true)
                for probe in due where probe.size <= carries && isAlive && !random.chance(loss, in: 100) {
                    answers.append((now + .milliseconds(50), probe.token))
                }
                now = now + .milliseconds(5)
            }
        }
    }

    /// Ten thousand peers that become active at once must not cause a dozen large probes each.
    @Test func `a search waits for room among the probes of others, and is not forgotten`() {
        var size = PathSize(ceiling: 1472, isIPv4: true)
        var now = Instant(nanoseconds: 1_000_000_000)
        size.used(now)
        for _ in 0..<3 {
            #expect(size.due(now, patience: .milliseconds(150), isAlive: true, room: 5, firstToken: 1).isEmpty)
            let again = size.deadline ?? .distantFuture
            #expect(again > now && again <= now + .milliseconds(200))
            now = again
        }
        #expect(size.due(now, patience: .milliseconds(150), isAlive: true, room: 100, firstToken: 1).count > 5)
    }

    @Test(arguments: [1472, 1452, 1392, 1252, 1096])
    func `the largest size that passes is found in one search`(bytes: Int) {
        var path = Path()
        path.carries = bytes
        path.run(.milliseconds(220))
        #expect(path.size.limit == bytes)
        #expect(path.probes <= PathSize.links.count + 1)
    }

    @Test func `the kernel is believed until something was sent, and an idle path is not probed`() {
        var path = Path()
        path.run(.minutes(1), uses: false)
        #expect(path.probes == 0 && path.size.limit == 1472 && path.size.deadline == nil)
    }

    @Test func `a path that narrows is noticed, and the least size holds until the right one is known`() {
        var path = Path()
        path.run(.seconds(2))
        path.carries = 1252
        var least = Int.max
        for _ in 0..<240 {
            path.run(.milliseconds(5))
            least = min(least, path.size.limit)
        }
        #expect(least == PathSize.floor && path.size.limit == 1252)
    }

    @Test func `random loss does not lower the size for long`() {
        var path = Path()
        path.loss = 10
        path.run(.seconds(10))
        #expect([1472, 1464, 1452].contains(path.size.limit))
    }

    @Test func `a dead path does not change the size`() {
        var path = Path()
        path.run(.seconds(2))
        path.isAlive = false
        path.run(.seconds(5))
        #expect(path.size.limit == 1472)
    }

    @Test func `a narrow path is measured again after ten minutes`() {
        var path = Path()
        path.carries = 1252
        path.run(.seconds(1))
        path.carries = 1472
        path.run(.minutes(9))
        #expect(path.size.limit == 1252)
        path.run(.minutes(2))
        #expect(path.size.limit == 1472)
    }

    @Test func `a new value of the kernel starts a new measurement`() {
        var path = Path()
        path.run(.seconds(1))
        path.size.believe(1252)
        #expect(path.size.limit == 1252)
        path.size.believe(8972)
        path.run(.seconds(1))
        #expect(path.size.limit == 1472)
    }
}
