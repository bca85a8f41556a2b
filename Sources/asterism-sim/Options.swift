import ArgumentParser
import Base
import Simulator

struct Options: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "asterism-sim",
        abstract: "Runs fleets in virtual time, with faults, and checks invariants.",
        discussion: """
            A seed is a scenario: the faults of the network and the machines, and the operators' commands. The same \
            seed and the same options give the same run, byte for byte. \
            Exit status: 0 no fault, 1 usage, 127 the simulated program crashed, 128 the fleet did not settle, \
            129 an invariant was violated.
            """)

    @Option(help: "The seed of the one run.")
    var seed: UInt64?

    @Option(help: "Many seeds: how many (1, 2, ...), or FIRST...LAST.")
    var seeds: String?

    @Option(help: "Every kind of NAT against every other, so many seeds each.")
    var grid: UInt64?

    @Option(help: "Faults of paths, this many runs each.")
    var failovers: UInt64?

    @Option(help: "Agents in the fleet.")
    var nodes = 100

    @Flag(
        inversion: .prefixedNo,
        help: "Machines behind NATs and firewalls of all kinds, in most scenarios.")
    var gateways = true

    @Option(help: "Seconds of virtual time with faults, before the fleet settles.")
    var seconds: Int64 = 30

    @Option(help: "Processes that share many seeds.")
    var jobs = 2

    @Flag(help: "Prints each event.")
    var trace = false

    @Flag(help: "Prints results as JSON, one line a seed.")
    var json = false

    @Option(help: ArgumentHelp("Makes the simulated machines lie, to try the checkers.", visibility: .hidden))
    var mutation: String?

    /// For the processes of many seeds: prints a line before each seed begins.
    @Flag(help: .hidden)
    var report = false

    /// The seeds, where several were requested.
    var list: ClosedRange<UInt64>? {
        guard let seeds else { return nil }
        return Options.range(seeds)
    }

    static func range(_ text: String) -> ClosedRange<UInt64>? {
        if let count = UInt64(text) { return count > 0 ? 1...count : nil }
        guard let dots = text.firstRange(of: "..."), let first = UInt64(text[..<dots.lowerBound]),
            let last = UInt64(text[dots.upperBound...]), first <= last
        else { return nil }
        return first...last
    }

    /// Exactly one of four modes must be chosen. Checked after everything else, so that an unknown word is reported first.
    func checkChoice() throws {
        let given = [seed != nil, seeds != nil, grid != nil, failovers != nil].count { $0 }
        guard given == 1 else { throw ValidationError("Give one of --seed, --seeds, --grid and --failovers.") }
        if json, seed == nil, seeds == nil { throw ValidationError("--json is for --seed and --seeds.") }
    }

    func validate() throws {
        if let failovers, !(1...10_000).contains(failovers) {
            throw ValidationError("--failovers must be from 1 to 10000.")
        }
        if let grid, !(1...10_000).contains(grid) { throw ValidationError("--grid must be from 1 to 10000.") }
        if let seeds {
            guard let range = Options.range(seeds) else {
                throw ValidationError("--seeds takes a number or FIRST...LAST, not '\(seeds)'.")
            }
            guard range.upperBound < .max else { throw ValidationError("--seeds must end below \(UInt64.max).") }
        }
        if !(1...10_000).contains(nodes) { throw ValidationError("--nodes must be from 1 to 10000.") }
        if !(1...86_400).contains(seconds) { throw ValidationError("--seconds must be from 1 to 86400.") }
        if !(1...256).contains(jobs) { throw ValidationError("--jobs must be from 1 to 256.") }
        if let mutation, Scenario.Mutation(rawValue: mutation) == nil {
            let known = Scenario.Mutation.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--mutation is one of \(known).")
        }
    }

    func scenario(_ seed: UInt64) -> Scenario {
        var scenario = Scenario(seed: seed, nodes: nodes, behindGateways: gateways)
        scenario.safety = .seconds(seconds)
        scenario.mutation = mutation.flatMap { Scenario.Mutation(rawValue: $0) }
        return scenario
    }

    /// The command that runs one of the seeds again.
    func replay(_ seed: UInt64) -> String {
        var command = "asterism-sim --seed \(seed) --nodes \(nodes)"
        if seconds != 30 { command += " --seconds \(seconds)" }
        if !gateways { command += " --no-gateways" }
        return command
    }
}
