import Base
import Control
import Testing
import Wire

@testable import Simulator

/// A checker that cannot fail is a defect: here the simulated machines misbehave, each in one way, and the responsible
/// checker must report it.
@Suite struct MutationTests {
    private func findings(
        _ mutation: Scenario.Mutation, seeds: ClosedRange<UInt64>, _ change: (inout Scenario) -> Void = { _ in }
    ) -> [Finding] {
        for seed in seeds {
            var scenario = Scenario(seed: seed, nodes: 4)
            scenario.network = Scenario.NetworkOptions()
            scenario.faults = Scenario.FaultOptions()
            scenario.safety = .seconds(20)
            scenario.settle = .seconds(40)
            scenario.operators.commands = 120
            scenario.operators.names = 12
            scenario.operators.intruders = 0
            scenario.mutation = mutation
            change(&scenario)
            let simulation = Simulation(scenario)
            simulation.run()
            if !simulation.findings.isEmpty { return simulation.findings }
        }
        return []
    }

    private func scripts(_ kinds: WorkerScript.Kind...) -> [UInt64] {
        WorkerScript.Kind.allCases.map { kinds.contains($0) ? 1 : 0 }
    }

    @Test func `without a mutation no checker complains`() {
        for seed in UInt64(1)...4 {
            var scenario = Scenario(seed: seed, nodes: 4)
            scenario.network = Scenario.NetworkOptions()
            scenario.faults = Scenario.FaultOptions()
            scenario.safety = .seconds(20)
            scenario.operators.commands = 120
            let simulation = Simulation(scenario)
            simulation.run()
            #expect(simulation.findings.map(\.description) == [])
        }
    }

    @Test func `a worker that is started twice is seen`() {
        let found = findings(.startsTwice, seeds: 1...3).map(\.checker)
        #expect(found.contains("exactly once"))
        #expect(found.contains("one at a time"))
    }

    @Test func `a kill that is forgotten is seen`() {
        let found = findings(.forgetsKills, seeds: 1...4) { $0.host.scripts = self.scripts(.ignoresTerm) }
        #expect(found.map(\.checker).contains("kills"))
    }

    @Test func `an exit status that is not the true one is seen`() {
        let found = findings(.changesExits, seeds: 1...3) { $0.host.scripts = self.scripts(.finishes, .fails) }
        #expect(found.map(\.checker).contains("exit codes"))
    }

    @Test func `an exit status that is lost is seen`() {
        let found = findings(.losesExits, seeds: 1...3) { $0.host.scripts = self.scripts(.finishes, .fails) }
        #expect(found.map(\.checker).contains("exit codes"))
    }

    @Test func `finished work that runs again is seen`() {
        let found = findings(.revives, seeds: 1...3) { $0.host.scripts = self.scripts(.finishes) }
        #expect(found.map(\.checker).contains("exactly once"))
    }

    @Test func `an agent's disk that forgets is seen`() {
        let found = findings(.forgetsRecords, seeds: 1...12) {
            $0.faults.agentCrashes = 60
            $0.host.scripts = self.scripts(.finishes, .fails)
        }
        #expect(found.contains { ["exactly once", "kills", "exit codes", "registry"].contains($0.checker) })
    }

    @Test func `a controller's store that forgets is seen`() {
        let found = findings(.controllerForgets, seeds: 1...12) { $0.faults.controllerCrashes = 30 }
        #expect(!found.isEmpty)
    }

    @Test func `a node whose network never heals is seen`() {
        let found = findings(.neverHeals, seeds: 1...2)
        #expect(found.contains { $0.checker == "registry" && $0.kind == .liveness })
    }

    // MARK: - Checkers by themselves

    private static let node = NodeID((0..<32).map { UInt8($0) })!

    private func snapshot(_ state: NodeState, isUp: Bool, isWelcome: Bool = true) -> FleetSnapshot {
        let certificate = UnixTime(seconds: 1)
        let view = NodeView(
            id: MutationTests.node, name: "node-1", site: "", labels: [], roles: [], state: state,
            enrolledAt: certificate, certificateExpiresAt: certificate)
        let machine = FleetSnapshot.Machine(
            index: 1, node: MutationTests.node, name: "node-1", isUp: isUp, isWelcome: isWelcome, lastReceived: .origin,
            processes: [])
        return FleetSnapshot(machines: [machine], nodes: [view], workers: [], pairs: [])
    }

    @Test func `a dead node that is still online after four seconds is seen, and not before`() {
        let checker = DetectionChecker(nodes: 100)
        _ = checker.observe(.silenced(machine: 1), now: Instant.origin + .seconds(10))
        let early = checker.observe(.snapshot(snapshot(.online, isUp: false)), now: Instant.origin + .seconds(15))
        #expect(early == [])
        let late = checker.observe(.snapshot(snapshot(.suspect, isUp: false)), now: Instant.origin + .seconds(16))
        #expect(late.count == 1)
        let right = checker.observe(.snapshot(snapshot(.offline, isUp: false)), now: Instant.origin + .seconds(16))
        #expect(right == [])
    }

    @Test func `a member without a good token is seen`() {
        let checker = RegistryChecker()
        #expect(checker.observe(.snapshot(snapshot(.online, isUp: true, isWelcome: false)), now: .origin).count == 1)
        #expect(checker.observe(.snapshot(snapshot(.online, isUp: true)), now: .origin) == [])
    }

    @Test func `a registry that is wrong in the end is seen`() {
        let checker = RegistryChecker()
        #expect(checker.unsettled(snapshot(.offline, isUp: true), now: .origin).count == 1)
        #expect(checker.unsettled(snapshot(.online, isUp: false), now: .origin).count == 1)
        #expect(checker.unsettled(snapshot(.suspect, isUp: true), now: .origin).count == 1)
        #expect(checker.unsettled(snapshot(.online, isUp: true), now: .origin) == [])
    }

    @Test func `a newer generation while an older one runs is seen`() {
        let checker = OverlapChecker(), spec = WorkerSpec(command: ["/sim/runs", "0", "1"])
        func start(_ generation: UInt64, on machine: Int) -> [String] {
            let worker = WorkerRef("w", generation: generation)
            return checker.observe(
                .processStarted(machine: machine, worker: worker, spec: spec, pid: Int32(generation)), now: .origin)
        }
        #expect(start(1, on: 1) == [])
        #expect(start(2, on: 2).count == 1)
    }

    @Test func `an operation that becomes two workers is seen`() {
        let checker = LaunchChecker(), spec = WorkerSpec(command: ["/sim/runs", "0", "1"])
        let run = WorkersRun(name: "w", spec: spec, operation: "op")
        let command = Command(index: 0, request: .workersRun(run), isNonsense: false)
        func reply(_ generation: UInt64) -> [String] {
            let view = WorkerView(WorkerRef("w", generation: generation), desired: .run, command: spec.command)
            return checker.observe(.replied(command, .success(.worker(view))), now: .origin)
        }
        #expect(checker.observe(.asked(command), now: .origin) == [])
        #expect(reply(1) == [])
        #expect(reply(1) == [])
        #expect(reply(2).count == 1)
    }

    @Test func `nonsense that is granted is seen`() {
        let checker = LaunchChecker()
        let get = ControllerRequest.nodesGet(NodesGet(node: "no-such-node"))
        let command = Command(index: 0, request: get, isNonsense: true)
        #expect(checker.observe(.replied(command, .success(.nodes([]))), now: .origin).count == 1)
        #expect(checker.observe(.replied(command, .failure(APIError(.notFound, ""))), now: .origin) == [])
    }

    @Test func `busy loops and growth are seen`() {
        #expect(SpinChecker().observe(.spun(machine: 1, ticks: 2000, reason: "heartbeat"), now: .origin).count == 1)
        #expect(
            MemoryChecker().observe(.held(machine: 1, what: "sessions", count: 3, limit: 2), now: .origin).count == 1)
        #expect(MemoryChecker().observe(.held(machine: 1, what: "sessions", count: 2, limit: 2), now: .origin) == [])
    }

    @Test func `a request that never ends, or ends twice, or reaches no node is seen`() {
        let here = IPAddress("100.64.0.2")!, nobodys = IPAddress("100.127.0.1")!
        func see(_ checker: OverlayChecker, _ fact: OverlayFact) -> Int {
            checker.observe(.overlay(machine: 1, fact), now: .origin).count
        }
        let late = Instant.origin + .seconds(17), checker = OverlayChecker()
        #expect(see(checker, .overlayRequested(here, isNobodys: false)) == 0)
        #expect(see(checker, .overlayRequested(here, isNobodys: false)) == 0)
        func isOverdue(isUp: Bool = true) -> Bool {
            checker.observe(.snapshot(snapshot(.online, isUp: isUp)), now: late).contains {
                $0.contains("never reported")
            }
        }
        #expect(isOverdue())
        #expect(!isOverdue(isUp: false))
        #expect(see(checker, .ended(here, .noAnswer)) == 0)
        #expect(see(checker, .ended(here, .noAnswer)) == 1)
        #expect(see(checker, .overlayRequested(nobodys, isNobodys: true)) == 0)
        #expect(see(checker, .ended(nobodys, nil)) == 1)
        #expect(see(checker, .overlayRequested(here, isNobodys: false)) == 0)
        #expect(see(checker, .forgotten) == 0)
        #expect(!isOverdue())
        var apart = snapshot(.online, isUp: true)
        apart.overlayRequests = [(from: 1, to: 2, isReached: false), (from: 2, to: 1, isReached: true)]
        #expect(checker.unsettled(apart, now: .origin).count == 1)
    }

    @Test func `a packet that is changed, duplicated or misdelivered is seen`() {
        let checker = OverlayChecker()
        func see(_ machine: Int, _ fact: OverlayFact) -> Int {
            checker.observe(.overlay(machine: machine, fact), now: .origin).count
        }
        #expect(see(1, .packetSent(1, to: 2)) == 0)
        #expect(see(1, .packetSent(2, to: 2)) == 0)
        #expect(see(2, .packetCame(1)) == 0)
        #expect(see(2, .packetCame(1)) == 1)
        #expect(see(3, .packetCame(2)) == 1)
        #expect(see(2, .packetCame(nil)) == 1)
    }

    @Test func `an address that moves, is shared or is missing is seen`() {
        /// The addresses on the nodes' disks, and those that the controller reports.
        func snapshot(_ held: [String?], reported: [String?]) -> Fact {
            var all = self.snapshot(.online, isUp: true)
            func id(_ index: Int) -> NodeID { NodeID([UInt8](repeating: UInt8(index), count: 32))! }
            let time = UnixTime(seconds: 1), one = all.machines[0]
            all.machines = held.enumerated().map { index, address in
                var machine = one
                (machine.node, machine.overlay4) = (id(index), address.flatMap { IPAddress($0) })
                return machine
            }
            all.nodes = reported.enumerated().map { index, address in
                return NodeView(
                    id: id(index), name: "n\(index)", site: "", labels: [], roles: [], state: .online,
                    overlay4: address.flatMap { IPAddress($0) }, enrolledAt: time, certificateExpiresAt: time)
            }
            return .snapshot(all)
        }
        let checker = OverlayChecker(), two = "100.64.0.2", three = "100.64.0.3", five = "100.64.0.5"
        func count(_ held: [String?], _ reported: [String?]) -> Int {
            checker.observe(snapshot(held, reported: reported), now: .origin).count
        }
        // An address that a crash undoes before a node has it does not count.
        #expect(count([nil, nil], [two, three]) == 0)
        #expect(count([nil, nil], [three, two]) == 0)
        #expect(count([two, three], [two, three]) == 0)
        #expect(count([two, three], [five, three]) == 1)
        #expect(count([two, two], [two, three]) == 3)
        #expect(count([two], [two, two]) == 2)
        #expect(count([two], [two, nil]) == 1)
    }

    @Test func `a pair that cannot talk and a command without an answer are seen`() {
        var late = snapshot(.online, isUp: true)
        late.pairs = [(from: 1, to: 2, answered: false), (from: 2, to: 1, answered: true)]
        #expect(ReachChecker().unsettled(late, now: .origin).count == 1)
        let checker = AnswerChecker(), command = Command(index: 4, request: .status, isNonsense: false)
        _ = checker.observe(.asked(command), now: .origin)
        #expect(checker.unsettled(late, now: .origin).count == 1)
        _ = checker.observe(.replied(command, .failure(APIError(.limit, ""))), now: .origin)
        #expect(checker.unsettled(late, now: .origin) == [])
    }
}
