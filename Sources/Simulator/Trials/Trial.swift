package import Base
import Control
package import Mesh
package import Wire

/// # Two nodes that exchange packets
///
/// A trial is a small fleet in virtual time: a controller and two beacons with public addresses, which are the fleet's
/// relays, and two nodes at chosen sites. One begins to send, and then both send a packet every 10 ms. The trial measures
/// what a user would notice: when the first packet arrived, when both directions were direct, and, after a fault, how long
/// nothing arrived and how much was lost. Everything that runs is the real agent, controller and data plane.
package struct Trial: Sendable {
    /// What happens to the path when it has settled.
    package enum Fault: String, Sendable, CaseIterable {
        /// Nothing goes from the left node to the right one directly.
        case blackHoleOneWay
        case blackHole
        /// The left node's gateway forgets everything.
        case natReboot
        /// It gives all mappings other ports.
        case natRebinding
        /// It blocks outgoing UDP.
        case udpBlock
        /// The left node gets another address.
        case addressChange
        /// The relay in use fails; where none is in use, one of the two.
        case relayCrash
        /// The controller, which is a relay as well, fails.
        case controllerCrash
        /// A tenth of everything is lost, in each direction.
        case loss
        /// The right node's process stands still for a second.
        case stall
        /// The left node's line carries no more than 1280 bytes, and drops larger packets without an ICMP error.
        case narrow
    }

    package var left: Scenario.Site
    package var right: Scenario.Site
    package var seed: UInt64
    /// Between any two machines.
    package var roundTrip = Interval.milliseconds(50)
    /// How long the two are watched before the fault, or at all.
    package var watch = Interval.seconds(6)
    package var fault: Fault?
    /// How long they are watched after it.
    package var watchAfter = Interval.seconds(10)

    package init(_ left: Scenario.Site, _ right: Scenario.Site, seed: UInt64) {
        self.left = left
        self.right = right
        self.seed = seed
    }

    /// One direction, after a fault.
    package struct Gap: Hashable, Sendable {
        /// The longest time without a packet, beyond the 10 ms between two.
        package var longest = Interval.zero
        package var lost = 0
    }

    package struct Outcome: Sendable {
        /// From the request to send, the directory's answer included.
        package var firstPacket: Interval?
        package var firstReply: Interval?
        /// Until both ends sent directly.
        package var direct: Interval?
        package var leftPath: PathAddress?
        package var rightPath: PathAddress?
        package var gaps: [Gap] = []
        /// Changes of path at either end after the fault.
        package var switches = 0
        package var isConnectedAtEnd = false
        /// The largest datagram that the left node believes in at the end, and how long after the fault it did so first.
        package var datagramBytes: Int?
        package var sized: Interval?
        /// Why each node reports that it is relayed, if it is.
        package var reason: PathReport.RelayReason?
        package var rightReason: PathReport.RelayReason?
        package var findings: [String] = []
        package var log: [String] = []
    }

    private static let every = Interval.milliseconds(10)
    private static let left = 1, right = 2

    package func run(watcher: ((String) -> Void)? = nil) -> Outcome {
        var scenario = Scenario(seed: seed, nodes: 4, quiet: true)
        scenario.beacons = 2
        scenario.network.latency = roundTrip / 2
        scenario.sites = [Scenario.Site(), left, right]
        let simulation = Simulation(scenario, checkers: [], watcher: watcher)
        simulation.begin()
        var course = Course(simulation)
        // Time to enrol, to learn the relays and to allocate at them.
        simulation.advance(to: simulation.now + .seconds(3))
        course.begin()
        for _ in 0..<(watch.nanoseconds / Trial.every.nanoseconds) { course.step(Trial.every) }
        if let fault {
            course.mark()
            apply(simulation, fault)
            for _ in 0..<(watchAfter.nanoseconds / Trial.every.nanoseconds) { course.step(Trial.every) }
        }
        return course.outcome(afterFault: fault != nil)
    }

    private func apply(_ simulation: Simulation, _ fault: Fault) {
        let left = simulation.machines[Trial.left], right = simulation.machines[Trial.right]
        switch fault {
        case .blackHoleOneWay: simulation.network.sever(Trial.left, Trial.right)
        case .blackHole:
            simulation.network.sever(Trial.left, Trial.right)
            simulation.network.sever(Trial.right, Trial.left)
        case .natReboot:
            simulation.network.changeGateway(of: Trial.left) { $0.reboot() }
            simulation.traffic.endStreams(of: left, onlyMade: true)
        case .natRebinding:
            let now = simulation.now
            simulation.network.changeGateway(of: Trial.left) { $0.rebind(now: now) }
            simulation.traffic.endStreams(of: left, onlyMade: true)
        case .udpBlock: simulation.network.changeGateway(of: Trial.left) { $0.block() }
        case .addressChange: simulation.faults.roam(left)
        case .relayCrash:
            let path = left.report(on: right, now: simulation.now)?.path
            let relay = simulation.machines.first { machine in
                simulation.network.addresses(of: machine.index).contains { $0.ip == path?.remote.ip }
            }
            simulation.programs.crash(
                relay.flatMap { $0.index > 2 || $0.index == 0 ? $0 : nil } ?? simulation.machines[3], restartAfter: nil)
        case .controllerCrash: simulation.programs.crash(simulation.machines[0], restartAfter: nil)
        case .loss: simulation.network.setLoss(527)
        case .stall: simulation.programs.pause(right, .seconds(1))
        case .narrow: simulation.network.setMTU(of: Trial.left, 1280)
        }
    }

    /// The observations during a trial.
    private struct Course {
        let simulation: Simulation
        let arrivals: Arrivals
        var startedAt = Instant.origin
        var markedAt = Instant.origin
        var direct: Interval?
        var transitionsBefore = 0
        /// The largest datagram, and since when.
        var size: (bytes: Int?, since: Instant) = (nil, .origin)
        var sent: [(number: UInt64, at: Instant, to: Int)] = []

        /// By number: when it came.
        final class Arrivals {
            var times = Table<UInt64, Instant>()
        }

        init(_ simulation: Simulation) {
            self.simulation = simulation
            arrivals = Arrivals()
            simulation.overlay.onPacket = { [arrivals, unowned simulation] number, _ in
                if arrivals.times[number] == nil { arrivals.times[number] = simulation.now }
            }
        }

        private var left: Machine { simulation.machines[Trial.left] }
        private var right: Machine { simulation.machines[Trial.right] }
        private func path(_ from: Machine, _ to: Machine) -> PathAddress? {
            from.report(on: to, now: simulation.now)?.path
        }
        private var report: PathReport? {
            left.report(on: right, now: simulation.now)
        }
        private var transitions: Int {
            [(left, right), (right, left)].reduce(0) { sum, pair in
                sum + (pair.0.report(on: pair.1, now: simulation.now)?.transitions.count ?? 0)
            }
        }

        mutating func begin() { startedAt = simulation.now }

        mutating func mark() {
            markedAt = simulation.now
            transitionsBefore = transitions
        }

        mutating func step(_ time: Interval) {
            send(left, right)
            // The other answers once it has received a packet.
            if path(right, left) != nil { send(right, left) }
            simulation.advance(to: simulation.now + time)
            if let bytes = report?.datagramBytes, bytes != size.bytes { size = (bytes, simulation.now) }
            if direct == nil, let a = path(left, right), let b = path(right, left), a.isDirect, b.isDirect {
                direct = simulation.now - startedAt
            }
        }

        private mutating func send(_ from: Machine, _ to: Machine) {
            guard from.isUp else { return }
            let before = simulation.overlay.packetsSent
            let number = simulation.overlay.send(from: from, to: to)
            if number > before { sent.append((number, simulation.now, to.index)) }
        }

        func outcome(afterFault: Bool) -> Outcome {
            var outcome = Outcome()
            func first(to machine: Int) -> Interval? {
                sent.filter { $0.to == machine }.compactMap { arrivals.times[$0.number] }.min().map { $0 - startedAt }
            }
            outcome.firstPacket = first(to: Trial.right)
            outcome.firstReply = first(to: Trial.left)
            outcome.direct = direct
            outcome.leftPath = path(left, right)
            outcome.rightPath = path(right, left)
            outcome.isConnectedAtEnd = outcome.leftPath != nil && outcome.rightPath != nil
            outcome.reason = report?.relayReason
            outcome.rightReason = right.report(on: left, now: simulation.now)?.relayReason
            outcome.datagramBytes = size.bytes
            if size.since >= markedAt, markedAt > .origin { outcome.sized = size.since - markedAt }
            outcome.findings = simulation.findings.map(\.description)
            if afterFault {
                outcome.gaps = [gap(to: Trial.right), gap(to: Trial.left)]
                outcome.switches = transitions - transitionsBefore
            }
            for (from, to) in [(left, right), (right, left)] {
                for transition in from.report(on: to, now: simulation.now)?.transitions ?? [] {
                    let at = from.clock.global(transition.at) - startedAt
                    outcome.log.append("\(from.name) \(at.milliseconds) ms: \(transition.cause) \(transition.to)")
                }
            }
            return outcome
        }

        private func gap(to machine: Int) -> Gap {
            var gap = Gap()
            // Packets of the last second may still be in flight.
            let end = simulation.now + Interval(nanoseconds: -1_000_000_000)
            let after = sent.filter { $0.to == machine && $0.at >= markedAt && $0.at < end }
            gap.lost = after.count { arrivals.times[$0.number] == nil }
            let times = sent.filter { $0.to == machine }.compactMap { arrivals.times[$0.number] }.sorted()
            for (a, b) in zip(times, times.dropFirst()) where b >= markedAt {
                gap.longest = max(gap.longest, b - a - Trial.every)
            }
            if let last = times.last, last < end { gap.longest = max(gap.longest, end - last) }
            return gap
        }
    }
}

extension Machine {
    /// What its agent knows of the paths to another machine.
    fileprivate func report(on other: Machine, now: Instant) -> PathReport? {
        agent?.report(on: other.nodeID, now: local(now))
    }
}

extension Scenario {
    /// A fleet without random faults and without operators' commands.
    init(seed: UInt64, nodes: Int, quiet: Bool) {
        self.seed = seed
        self.nodes = nodes
        operators.commands = 0
        operators.overlayRequests = 0
        operators.startWithin = .zero
        operators.pings = 0
        host.lateMax = .microseconds(200)
        safety = .minutes(60)
    }
}
