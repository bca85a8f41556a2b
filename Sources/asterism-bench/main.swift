import ArgumentParser

/// Micro benchmarks of what each packet passes through, with the code that the agent runs.
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "asterism-bench", abstract: "Measures the steps of the packet path, one at a time.",
        subcommands: [AEAD.self, Packets.self, Peers.self], defaultSubcommand: AEAD.self)
}

Bench.main()
