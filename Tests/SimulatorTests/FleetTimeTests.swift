import Base
import Testing

@testable import Simulator

/// Fleets whose clocks are wrong by weeks, and fleets whose controller moves. Both must come to rest as any other: nodes
/// online, workers as ordered, pings answered.
@Suite struct FleetTimeTests {
    private func scenario(_ seed: UInt64) -> Scenario {
        var scenario = Scenario(seed: seed, nodes: 4 + Int(seed % 4))
        scenario.operators.intruders = 0
        return scenario
    }

    private func outcome(_ scenario: Scenario) -> Outcome {
        let simulation = Simulation(scenario)
        simulation.run()
        return simulation.outcome
    }

    @Test(arguments: 3001...3008)
    func `nodes whose clocks are set wrong by weeks stay in the fleet`(seed: UInt64) {
        var scenario = scenario(seed)
        scenario.faults.clockSteps = 60
        scenario.faults.clockErrorMax = .minutes(60 * 24 * 60)
        #expect(outcome(scenario).findings.map(\.description) == [])
    }

    @Test(arguments: 3101...3108)
    func `a controller with a name that moves under faults is found again by all`(seed: UInt64) {
        var scenario = scenario(seed)
        scenario.controllerHasName = true
        scenario.faults.controllerMoves = 4
        #expect(outcome(scenario).findings.map(\.description) == [])
    }

    /// The names, and nothing else, are what finds it.
    @Test func `without a name a controller that moves is lost`() {
        let lost = (UInt64(3101)...3108).contains { seed in
            var scenario = scenario(seed)
            scenario.network = Scenario.NetworkOptions()
            scenario.faults = Scenario.FaultOptions()
            scenario.faults.controllerMoves = 4
            scenario.settle = .seconds(60)
            return !outcome(scenario).findings.isEmpty
        }
        #expect(lost)
    }
}
