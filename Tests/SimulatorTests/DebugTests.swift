import Base
import Control
import Mesh
import Testing
import Wire

@testable import Simulator

/// Whole agents with two relays between them, and the debug commands of people.
@Suite struct DebugTests {
    private final class Fleet {
        let simulation: Simulation
        var arrived: Set<UInt64> = []
        var sent: [UInt64] = []
        private var requests: UInt64 = 1 << 40

        init(_ left: GridSite, _ right: GridSite, seed: UInt64) {
            var scenario = Scenario(seed: seed, nodes: 4, quiet: true)
            scenario.beacons = 2
            scenario.network.latency = .milliseconds(25)
            scenario.sites = [Scenario.Site(), left.site, right.site]
            simulation = Simulation(scenario, checkers: [])
            simulation.begin()
            simulation.overlay.onPacket = { [unowned self] number, _ in arrived.insert(number) }
            simulation.advance(to: simulation.now + .seconds(3))
        }

        var left: Machine { simulation.machines[1] }
        var right: Machine { simulation.machines[2] }

        func report(_ from: Machine, _ to: Machine) -> PathReport? {
            from.agent?.report(on: to.nodeID, now: from.local(simulation.now))
        }

        /// Both send every 10 ms, or the left one alone.
        func talk(_ time: Interval, bothWays: Bool = true) {
            for _ in 0..<(time.nanoseconds / 10_000_000) {
                sent.append(simulation.overlay.send(from: left, to: right))
                if bothWays, report(right, left)?.path != nil {
                    sent.append(simulation.overlay.send(from: right, to: left))
                }
                simulation.advance(to: simulation.now + .milliseconds(10))
            }
        }

        func ask(_ request: AgentRequest) {
            requests += 1
            guard let agent = left.agent else { return }
            agent.handle(.request(RequestID(requests), request), now: left.local(simulation.now))
            simulation.programs.flush(left)
        }

        /// The left node has other sockets from now on.
        func rebind() { simulation.faults.roam(left) }

        var areDirect: Bool {
            report(left, right)?.path?.isRelayed == false && report(right, left)?.path?.isRelayed == false
        }

        /// At the left node.
        var failovers: (count: Int, milliseconds: Int) {
            let figures = left.agent?.figures ?? []
            return (
                figures.filter { $0.name.hasPrefix("failovers.") }.reduce(0) { $0 + $1.count },
                figures.first { $0.name == "failoverMilliseconds" }?.count ?? 0
            )
        }

        /// Of what was sent until now, so many have not come.
        var lost: Int {
            let all = sent
            simulation.advance(to: simulation.now + .seconds(1))
            return all.count { !arrived.contains($0) }
        }
    }

    @Test func `a path that is dropped is left without a loss, and for a while`() {
        let fleet = Fleet(.portRestricted, .masquerade, seed: 21)
        fleet.talk(.seconds(3))
        #expect(fleet.report(fleet.left, fleet.right)?.path?.isRelayed == false)
        fleet.ask(.debugDropPath(.init(peer: fleet.right.nodeID.hex, path: "direct")))
        fleet.talk(.seconds(10))
        let report = fleet.report(fleet.left, fleet.right)
        #expect(report?.path?.isRelayed == true && report?.relayReason == .failed)
        #expect(report?.transitions.last?.cause == .debug)
        #expect(fleet.lost == 0)
        fleet.talk(.seconds(60))
        let later = fleet.report(fleet.left, fleet.right)
        #expect(later?.path?.isRelayed == false, "\(later?.paths as Any) \(later?.transitions as Any)")
    }

    @Test func `on relays only both ends are relayed, and state why, until it is over`() {
        let fleet = Fleet(.portRestricted, .masquerade, seed: 22)
        fleet.talk(.seconds(3))
        #expect(fleet.report(fleet.left, fleet.right)?.path?.isRelayed == false)
        fleet.ask(.debugRelayOnly(.init(peer: fleet.right.nodeID.hex, isOn: true)))
        fleet.talk(.seconds(20))
        let here = fleet.report(fleet.left, fleet.right), there = fleet.report(fleet.right, fleet.left)
        #expect(here?.path?.isRelayed == true && here?.relayReason == .relayOnly)
        #expect(here?.paths.allSatisfy(\.address.isRelayed) == true)
        // The peer gets no answers directly.
        #expect(there?.path?.isRelayed == true && there?.relayReason == .failed)
        #expect(fleet.lost == 0)
        fleet.ask(.debugRelayOnly(.init(peer: fleet.right.nodeID.hex, isOn: false)))
        fleet.talk(.seconds(60))
        #expect(fleet.report(fleet.left, fleet.right)?.path?.isRelayed == false)
        #expect(fleet.report(fleet.right, fleet.left)?.path?.isRelayed == false)
    }

    /// The NATs of the two are new to each other, and silence counts against no path until they have found each other.
    @Test(arguments: [1, 5], [true, false])
    func `new sockets cost the direct path for a moment and no longer`(times: Int, bothWays: Bool) {
        for right in [GridSite.masquerade, .portRestricted] {
            for isRelayed in [false, true] {
                let fleet = Fleet(.portRestricted, right, seed: UInt64(30 + times))
                fleet.talk(.seconds(3), bothWays: bothWays)
                #expect(fleet.areDirect)
                if isRelayed {
                    // Its path is barred for half a minute when it moves.
                    fleet.ask(.debugDropPath(.init(peer: fleet.right.nodeID.hex, path: "direct")))
                    fleet.talk(.seconds(1), bothWays: bothWays)
                    #expect(fleet.report(fleet.left, fleet.right)?.path?.isRelayed == true)
                }
                for _ in 0..<times {
                    fleet.rebind()
                    fleet.talk(.milliseconds(200), bothWays: bothWays)
                }
                fleet.talk(.seconds(3), bothWays: bothWays)
                let report = fleet.report(fleet.left, fleet.right)
                #expect(
                    fleet.areDirect,
                    """
                    \(right), relayed before: \(isRelayed): \(report?.paths as Any) \
                    \(fleet.report(fleet.right, fleet.left)?.paths as Any)
                    """)
                #expect(report?.ownMapping == .endpointIndependent && fleet.lost < 200)
            }
        }
    }

    @Test func `a dead beacon's view of closed sockets does not count as another mapping`() {
        let fleet = Fleet(.portRestricted, .masquerade, seed: 26)
        fleet.talk(.seconds(3))
        fleet.simulation.programs.pause(fleet.simulation.machines[0], .seconds(8))
        fleet.talk(.seconds(1))
        fleet.rebind()
        var mappings: Set<NATMapping> = []
        for _ in 0..<50 {
            fleet.talk(.milliseconds(100))
            if let mapping = fleet.report(fleet.left, fleet.right)?.ownMapping { mappings.insert(mapping) }
        }
        #expect(
            !mappings.contains(.endpointDependent)
                && fleet.report(fleet.left, fleet.right)?.ownMapping == .endpointIndependent)
        #expect(fleet.areDirect)
        // Only the NAT has moved, and this node was not informed.
        let now = fleet.simulation.now
        fleet.simulation.network.changeGateway(of: 1) { $0.rebind(now: now) }
        for _ in 0..<20 {
            fleet.talk(.milliseconds(100))
            #expect(fleet.report(fleet.left, fleet.right)?.ownMapping != .endpointDependent)
        }
    }

    @Test func `a failover is counted once at each end, with the time that data was in doubt`() {
        let fleet = Fleet(.portRestricted, .masquerade, seed: 24)
        fleet.talk(.seconds(3))
        let before = fleet.failovers
        fleet.simulation.network.sever(1, 2)
        fleet.simulation.network.sever(2, 1)
        fleet.talk(.seconds(3))
        #expect(fleet.report(fleet.left, fleet.right)?.path?.isRelayed == true)
        let after = fleet.failovers
        #expect(before.count == 0 && after.count == 1)
        // Six probes lost 50 ms apart, of 50 ms of round trip and their patience.
        #expect((150...600).contains(after.milliseconds), "\(after)")
    }

    @Test func `punching is counted by what is before both, with its method and its result`() {
        func figures(_ left: GridSite, _ right: GridSite) -> [String: Int] {
            let fleet = Fleet(left, right, seed: 23)
            fleet.talk(.seconds(20))
            let figures = fleet.left.agent?.figures ?? []
            return Dictionary(figures.map { ($0.name, $0.count) }) { $0 + $1 }
        }
        let probes = figures(.portRestricted, .masquerade)
        #expect(
            probes["punches.endpointIndependent.endpointIndependent.punchProbes.direct"] == 1,
            "\(probes.filter { $0.key.hasPrefix("punches") })")
        let predicted = figures(.symmetricRandom, .portRestrictedRandom)
        #expect(
            predicted["punches.endpointDependent.endpointIndependent.prediction.direct"] == 1,
            "\(predicted.filter { $0.key.hasPrefix("punches") })")
        let unreachable = figures(.symmetricRandom, .doubleSymmetric)
        #expect(
            unreachable["punches.endpointDependent.endpointDependent.punchProbes.failed"] == 1,
            "\(unreachable.filter { $0.key.hasPrefix("punches") })")
        // 20 s, 100 packets a second of a few dozen bytes and more, over a relay all the time.
        #expect(
            (unreachable["relayedBytes.sent"] ?? 0) > 100_000 && (unreachable["relayedBytes.received"] ?? 0) > 100_000)
        #expect((probes["relayedBytes.sent"] ?? 0) < (unreachable["relayedBytes.sent"] ?? 0) / 10)
    }
}
