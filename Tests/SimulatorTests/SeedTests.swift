import Base
import Foundation
import Simulator
import Testing

/// One line of `Fixtures/seeds/regressions.txt`: `seed nodes seconds # why`, or `seed nodes seconds gateways # why`.
struct Regression: CustomTestStringConvertible {
    var seed: UInt64
    var nodes: Int
    var seconds: Int64
    var isBehindGateways: Bool
    var why: String

    var testDescription: String { "seed \(seed), \(nodes) nodes: \(why)" }

    static let all: [Regression] = {
        let here = URL(fileURLWithPath: #filePath)
        let root = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        var folders = [root.appendingPathComponent("Fixtures/seeds")]
        if let extra = ProcessInfo.processInfo.environment["ASTERISM_EXTRA_FIXTURES"] {
            folders.append(URL(fileURLWithPath: extra).appendingPathComponent("seeds"))
        }
        return folders.flatMap { folder -> [Regression] in
            guard let text = try? String(contentsOf: folder.appendingPathComponent("regressions.txt"), encoding: .utf8)
            else { return [] }
            return text.split(separator: "\n").compactMap(Regression.init)
        }
    }()

    private init?(_ line: Substring) {
        let parts = line.split(separator: "#", maxSplits: 1)
        let numbers = parts.first?.split(separator: " ").compactMap { Int64($0) } ?? []
        guard numbers.count == 3, parts.count == 2 else { return nil }
        self.init(
            seed: UInt64(numbers[0]), nodes: Int(numbers[1]), seconds: numbers[2],
            isBehindGateways: parts[0].split(separator: " ").contains("gateways"),
            why: parts[1].trimmingCharacters(in: .whitespaces))
    }

    init(seed: UInt64, nodes: Int, seconds: Int64, isBehindGateways: Bool, why: String) {
        self.seed = seed
        self.nodes = nodes
        self.seconds = seconds
        self.isBehindGateways = isBehindGateways
        self.why = why
    }
}

@Suite struct SeedTests {
    private func run(
        _ seed: UInt64, nodes: Int, seconds: Int64 = 30, behindGateways: Bool = false
    ) -> Outcome {
        var scenario = Scenario(seed: seed, nodes: nodes, behindGateways: behindGateways)
        scenario.safety = .seconds(seconds)
        let simulation = Simulation(scenario)
        simulation.run()
        return simulation.outcome
    }

    @Test func `there are seeds to replay`() { #expect(!Regression.all.isEmpty) }

    @Test(arguments: Regression.all)
    func `a fault that was fixed once stays fixed`(regression: Regression) {
        let outcome = run(
            regression.seed, nodes: regression.nodes, seconds: regression.seconds,
            behindGateways: regression.isBehindGateways)
        #expect(outcome.findings.map(\.description) == [])
    }

    @Test(arguments: 1001...1024)
    func `a small fleet keeps its laws and settles`(seed: UInt64) {
        let outcome = run(seed, nodes: 3 + Int(seed % 5))
        #expect(outcome.findings.map(\.description) == [])
        #expect(outcome.counts.datagrams > 0)
        #expect(outcome.counts.looks > 0)
    }

    @Test(arguments: 2001...2008)
    func `a fleet behind gateways keeps its laws and settles`(seed: UInt64) {
        let outcome = run(seed, nodes: 5 + Int(seed % 4), behindGateways: true)
        #expect(outcome.findings.map(\.description) == [])
        #expect(outcome.counts.datagrams > 0)
    }

    @Test(arguments: [2002, 2007])
    func `one seed is one timeline, and another without gateways`(seed: UInt64) {
        let first = run(seed, nodes: 8, behindGateways: true), second = run(seed, nodes: 8, behindGateways: true)
        #expect(first.hash == second.hash && first.lines == second.lines)
        #expect(first.hash != run(seed, nodes: 8).hash)
    }

    @Test(arguments: [3, 7, 10, 28, 65])
    func `one seed is one timeline`(seed: UInt64) {
        let first = run(seed, nodes: 6), second = run(seed, nodes: 6)
        #expect(first.hash == second.hash)
        #expect(first.lines == second.lines)
    }

    @Test func `a watched run is the same run`() {
        var lines = 0
        let scenario = Scenario(seed: 12, nodes: 4)
        let watched = Simulation(scenario) { _ in lines += 1 }
        watched.run()
        #expect(lines == watched.outcome.lines)
        #expect(watched.outcome.hash == run(12, nodes: 4).hash)
    }

    @Test func `different seeds are different timelines`() {
        let hashes = Set((1...8).map { run($0, nodes: 3).hash })
        #expect(hashes.count == 8)
    }
}
