import Base
import Simulator

/// Runs one seed in this process, and prints all results.
func runOne(_ options: Options) -> Int32 {
    // `validate` has seen that there is one.
    let scenario = options.scenario(options.seed!)
    if !options.json { printLine(scenario.description) }
    let (outcome, milliseconds) = run(scenario, watcher: options.trace ? { printLine($0) } : nil)
    printLine(options.json ? outcome.json(milliseconds) : outcome.text(milliseconds))
    return outcome.status
}

/// Runs a range of seeds in this process, one line for each; the status is that of the worst.
func runRange(_ options: Options, _ seeds: ClosedRange<UInt64>) -> Int32 {
    var worst: Int32 = 0
    for seed in seeds {
        if options.report { printLine("begin \(seed)") }
        let (outcome, milliseconds) = run(options.scenario(seed), watcher: nil)
        printLine(outcome.json(milliseconds))
        worst = max(worst, outcome.status)
    }
    return worst
}

private func run(_ scenario: Scenario, watcher: ((String) -> Void)?) -> (Outcome, Int64) {
    let start = ContinuousClock.now
    let simulation = Simulation(scenario, watcher: watcher)
    simulation.run()
    let taken = ContinuousClock.now - start
    return (simulation.outcome, taken.components.seconds * 1000 + taken.components.attoseconds / 1_000_000_000_000_000)
}

extension Outcome {
    func text(_ milliseconds: Int64) -> String {
        let c = counts
        var lines = [
            "ran \(virtual) in \(milliseconds) ms: \(c.events) events, \(c.datagrams) datagrams (\(c.lost) lost), "
                + "\(c.faults) faults, \(c.crashes) crashes",
            "commands \(c.commands), answers \(c.replies) (\(c.refusals) refusals), processes \(c.processes), "
                + "snapshots \(c.looks)",
            "timeline \(hash), \(self.lines) lines",
        ]
        lines += findings.map(\.description)
        lines.append(findings.isEmpty ? "no checker has found a fault" : "\(findings.count) findings")
        return lines.joined(separator: "\n")
    }

    func json(_ milliseconds: Int64) -> String {
        let c = counts
        let found = findings.map {
            "{\"checker\":\(quoted($0.checker)),\"kind\":\"\($0.kind.rawValue)\",\"at\":\($0.at.nanoseconds),"
                + "\"text\":\(quoted($0.text))}"
        }
        return "{\"seed\":\(seed),\"nodes\":\(nodes),\"status\":\(status),\"hash\":\"\(hash)\",\"lines\":\(lines),"
            + "\"virtualMilliseconds\":\(virtual.milliseconds),\"milliseconds\":\(milliseconds),"
            + "\"events\":\(c.events),\"datagrams\":\(c.datagrams),\"lost\":\(c.lost),\"faults\":\(c.faults),"
            + "\"crashes\":\(c.crashes),\"commands\":\(c.commands),\"replies\":\(c.replies),"
            + "\"refusals\":\(c.refusals),\"processes\":\(c.processes),"
            + "\"findings\":[\(found.joined(separator: ","))]}"
    }
}

/// A JSON string (RFC 8259, section 7).
private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        default:
            if scalar.value < 0x20 {
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
    }
    return result + "\""
}
