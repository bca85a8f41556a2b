package import Base

/// The result of one run.
package struct Outcome: Sendable {
    package var seed: UInt64
    package var nodes: Int
    package var hash: String
    package var lines: Int
    package var virtual: Interval
    package var counts: Simulation.Counts
    package var findings: [Finding]

    /// The exit status states what kind of fault was found, as TigerBeetle's simulator does: 127 a crash, 128 liveness,
    /// 129 correctness.
    package var status: Int32 {
        if findings.contains(where: { $0.kind == .correctness }) { return 129 }
        return findings.isEmpty ? 0 : 128
    }
}

extension Simulation {
    package var outcome: Outcome {
        Outcome(
            seed: scenario.seed, nodes: scenario.nodes, hash: timeline.hash, lines: timeline.count,
            virtual: now - Instant(nanoseconds: 1_000_000_000), counts: counts, findings: findings)
    }
}
