import ArgumentParser
import Glibc

// Usage errors are 1 here, since the statuses of a run state what kind of fault it found.
do {
    let options = try Options.parse()
    try options.checkChoice()
    if let seeds = options.grid { exit(runGrid(seeds: seeds, trace: options.trace)) }
    if let seeds = options.failovers { exit(runFailovers(seeds: seeds, trace: options.trace)) }
    exit(options.list == nil ? runOne(options) : runMany(options))
} catch {
    let isHelp = Options.exitCode(for: error) == .success
    printLine(Options.fullMessage(for: error), to: isHelp ? 1 : 2)
    exit(isHelp ? 0 : 1)
}
