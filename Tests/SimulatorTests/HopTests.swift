import Base
import Control
import Mesh
import Testing
import Wire

@testable import Simulator

/// Nodes that reach only some of the relays: whole agents, of whose network lines are cut.
@Suite struct HopTests {
    /// Two nodes, and beacons of which each node reaches some.
    private final class Fleet {
        let simulation: Simulation
        let beacons: [Int]
        private(set) var arrived: [UInt64: Instant] = [:]
        private(set) var sent: [(number: UInt64, at: Instant, to: Int)] = []
        private(set) var begunAt = Instant.origin

        /// `left` and `right` name the beacons, counted from 0, that the nodes reach; they never reach each other.
        init(beacons count: Int = 2, left: Set<Int>, right: Set<Int>, seed: UInt64) {
            var scenario = Scenario(seed: seed, nodes: 2 + count, quiet: true)
            scenario.beacons = count
            scenario.controllerIsRelay = false
            scenario.network.latency = .milliseconds(25)
            simulation = Simulation(scenario, checkers: [])
            beacons = Array(3..<3 + count)
            cut(1, 2)
            for beacon in 0..<count {
                if !left.contains(beacon) { cut(1, beacons[beacon]) }
                if !right.contains(beacon) { cut(2, beacons[beacon]) }
            }
            simulation.begin()
            simulation.overlay.onPacket = { [unowned self] number, _ in
                if arrived[number] == nil { arrived[number] = simulation.now }
            }
            simulation.advance(to: simulation.now + .seconds(5))
            begunAt = simulation.now
        }

        private func cut(_ a: Int, _ b: Int) {
            simulation.network.sever(a, b)
            simulation.network.sever(b, a)
        }
        func reconnect(_ a: Int, _ b: Int) {
            simulation.network.reconnect(a, b)
            simulation.network.reconnect(b, a)
        }

        var left: Machine { simulation.machines[1] }
        var right: Machine { simulation.machines[2] }

        func report(_ from: Machine, _ to: Machine) -> PathReport? {
            from.agent?.report(on: to.nodeID, now: from.local(simulation.now))
        }
        /// Of the way there and the way back, which need not be the same: how many relays each end knows of.
        var hops: [Int?] { [report(left, right)?.path?.hops, report(right, left)?.path?.hops] }
        var log: [String] {
            [(left, right), (right, left)].flatMap { from, to in
                (report(from, to)?.transitions ?? []).map {
                    "\(from.name) \((from.clock.global($0.at) - begunAt).milliseconds) ms: \($0.cause) \($0.to)"
                }
            }
        }
        func figure(_ name: String, of machine: Int) -> Int {
            let figures = simulation.machines[machine].agent?.figures ?? []
            return figures.first { $0.name == name }?.count ?? 0
        }

        /// Both send all the time.
        func talk(_ time: Interval, every: Interval = .milliseconds(10)) {
            for _ in 0..<(time.nanoseconds / every.nanoseconds) {
                send(left, right)
                if report(right, left)?.path != nil { send(right, left) }
                simulation.advance(to: simulation.now + every)
            }
        }
        private func send(_ from: Machine, _ to: Machine) {
            let number = simulation.overlay.send(from: from, to: to)
            sent.append((number, simulation.now, to.index))
        }

        func firstArrival(at machine: Int) -> Interval? {
            sent.filter { $0.to == machine }.compactMap { arrived[$0.number] }.min().map { $0 - begunAt }
        }
        /// The numbers of packets sent since then that have not come, of what has had a second to come.
        func lost(since time: Instant) -> [UInt64] {
            let end = simulation.now - .seconds(1)
            return sent.filter { $0.at >= time && $0.at < end && arrived[$0.number] == nil }.map(\.number)
        }
        /// The longest time without a packet since then, either way, of what has had a second to come.
        func longestGap(since time: Instant) -> Interval {
            let end = simulation.now - .seconds(1)
            return [1, 2].map { machine in
                let times = sent.filter { $0.to == machine }.compactMap { arrived[$0.number] }.filter { $0 >= time }
                let marks = ([time] + times.sorted() + [end]).filter { $0 <= end }
                return zip(marks, marks.dropFirst()).map { $1 - $0 }.max() ?? end - time
            }.max() ?? .zero
        }
    }

    /// Which relays the two reach, and how many hops lead from the one to the other.
    private static func oracle(_ left: Set<Int>, _ right: Set<Int>) -> Int? {
        if left.isEmpty || right.isEmpty { return nil }
        return left.isDisjoint(with: right) ? 2 : 1
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func `nodes without a common relay communicate over two, and others over as few as possible`(seed: UInt64) {
        for (left, right) in [([0], [1]), ([1], [0]), ([0], [0]), ([0, 1], [1]), ([], [1])] as [(Set<Int>, Set<Int>)] {
            let fleet = Fleet(left: left, right: right, seed: seed)
            fleet.talk(.seconds(4))
            let desired = Self.oracle(left, right), case_ = "\(left) \(right): \(fleet.hops) \(fleet.log)"
            // One end may know of the far relay alone, which knows the rest.
            #expect(fleet.hops.compactMap { $0 }.max() == desired, "\(case_)")
            let there = fleet.firstArrival(at: 2), back = fleet.firstArrival(at: 1)
            #expect((there != nil && back != nil) == (desired != nil), "\(case_)")
            if desired == 2 {
                // Two answers of the directory, and a third of a second for the relay's own.
                #expect(there.map { $0 <= .milliseconds(1500) } ?? false, "\(there as Interval?) \(case_)")
                #expect(fleet.longestGap(since: fleet.begunAt + .seconds(2)) <= .milliseconds(200), "\(case_)")
            } else if desired == 1 {
                #expect(fleet.report(fleet.left, fleet.right)?.paths.allSatisfy { $0.address.hops < 2 } == true)
            }
            #expect(fleet.simulation.findings.isEmpty, "\(fleet.simulation.findings)")
        }
    }

    @Test func `a relay that goes down is bypassed, where there is another path`() {
        for seed in 1...3 as ClosedRange<UInt64> {
            for near in [true, false] {
                let fleet = Fleet(beacons: 4, left: [0, 1], right: [2, 3], seed: seed)
                fleet.talk(.seconds(6))
                #expect(fleet.hops.compactMap { $0 }.max() == 2, "\(seed): \(fleet.hops) \(fleet.log)")
                let end = near ? fleet.left : fleet.right, other = near ? fleet.right : fleet.left
                let remote = fleet.report(end, other)?.path?.remote
                let relay = fleet.beacons.first {
                    fleet.simulation.network.addresses(of: $0).contains { $0 == remote }
                }
                guard let relay else {
                    Issue.record("\(String(describing: remote)) is no beacon's")
                    continue
                }
                let crashedAt = fleet.simulation.now
                fleet.simulation.programs.crash(fleet.simulation.machines[relay], restartAfter: nil)
                fleet.talk(.seconds(6))
                let gap = fleet.longestGap(since: crashedAt)
                // The near relay is missed first, then the way to the far one is changed, and the allocation there bound again.
                #expect(gap <= .milliseconds(1500), "\(seed) \(near): \(gap) \(fleet.log)")
            }
        }
    }

    @Test func `the path becomes shorter as soon as possible`() {
        for seed in 1...2 as ClosedRange<UInt64> {
            let fleet = Fleet(left: [0], right: [1], seed: seed)
            fleet.talk(.seconds(4))
            #expect(fleet.hops.compactMap { $0 }.max() == 2, "\(fleet.log)")
            // Each reaches the other's relay from now on; to each other there is no way yet.
            fleet.reconnect(1, 4)
            fleet.reconnect(2, 3)
            let reconnectedAt = fleet.simulation.now
            fleet.talk(.seconds(40), every: .milliseconds(20))
            #expect(fleet.hops == [1, 1], "\(seed): \(fleet.log)")
            // What is on its way over the longer path arrives too.
            #expect(fleet.lost(since: reconnectedAt).isEmpty, "\(seed): \(fleet.log)")
            fleet.reconnect(1, 2)
            fleet.talk(.seconds(70), every: .milliseconds(100))
            #expect(fleet.hops == [0, 0], "\(seed): \(fleet.log)")
        }
    }
}
