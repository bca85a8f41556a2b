import Base
import Simulator

/// Every kind of gateway against every other, with and without IPv6, some seeds each. Prints a line per pair with the
/// outcome, and a summary. The status is that of `Options` where the outcome is not what the oracle predicted or takes longer
/// than it may.
func runGrid(seeds: UInt64, trace: Bool) -> Int32 {
    var worst: Int32 = 0
    var sum = GridSum()
    for family in GridFamily.allCases {
        for a in GridSite.allCases {
            for b in GridSite.allCases where !runPair(a, b, family, seeds: seeds, trace: trace, &sum) { worst = 129 }
        }
    }
    return sum.printSum() ? worst : 129
}

/// All pairs together: how soon those are direct that can be.
private struct GridSum {
    /// `nil`: not in the time that the trial had.
    private var plain: [Interval?] = [], predicted: [Interval?] = [], spoilt: [Interval?] = []
    private static let plainLimit = Interval.seconds(3), predictedLimit = Interval.seconds(5)

    mutating func add(_ time: Interval?, _ reach: Reach, isSpoilt: Bool) {
        switch reach {
        case .direct: plain.append(time)
        case .predicted: if isSpoilt { spoilt.append(time) } else { predicted.append(time) }
        case .relayed, .unlikely: break
        }
    }

    /// False where a limit is exceeded.
    func printSum() -> Bool {
        func soon(_ times: [Interval?], _ limit: Interval) -> Int {
            times.count { $0.map { $0 <= limit } ?? false }
        }
        func text(_ times: [Interval?], _ limit: Interval) -> String {
            let slowest = times.compactMap { $0 }.max() ?? .zero
            return
                "\(soon(times, limit)) of \(times.count) within \(limit), the slowest after \(slowest.milliseconds) ms"
        }
        printLine("by plain probes: \(text(plain, GridSum.plainLimit))")
        printLine("by port prediction: \(text(predicted, GridSum.predictedLimit))")
        printLine("by port prediction at a Linux machine without a firewall: \(text(spoilt, GridSum.predictedLimit))")
        let late = predicted.count - soon(predicted, GridSum.predictedLimit)
        return soon(plain, GridSum.plainLimit) == plain.count && late * 50 <= predicted.count
    }
}

/// Whether all was as predicted.
private func runPair(
    _ a: GridSite, _ b: GridSite, _ family: GridFamily, seeds: UInt64, trace: Bool, _ sum: inout GridSum
) -> Bool {
    let (left, right) = family.sites(a, b)
    let reach = Reach(left, right)
    var direct: [Interval] = [], first: [Interval] = [], failures = 0, missing = 0, liars = 0
    var reasons: Set<String> = []
    for seed in 1...seeds {
        var trial = Trial(left, right, seed: seed)
        trial.watch = reach.watch
        let outcome = trial.run()
        if let time = outcome.firstPacket { first.append(time) } else { failures += 1 }
        if let time = outcome.direct { direct.append(time) } else { missing += 1 }
        sum.add(outcome.direct, reach, isSpoilt: [a, b].contains(.masqueradeWithoutFirewall))
        if let reason = outcome.reason { reasons.insert("\(reason)") }
        if !outcome.hasTrueReasons(left, right) { liars += 1 }
        if trace, outcome.direct == nil {
            printLine("  \(a) \(b) seed \(seed): \(outcome.log.joined(separator: "; ")) \(outcome.findings)")
        }
    }
    let isAsExpected =
        switch reach {
        case .direct: missing == 0
        // One in fifty may miss, and few are tried here.
        case .predicted: missing * 10 <= Int(seeds)
        case .relayed: direct.isEmpty
        case .unlikely: true
        }
    let isRight = failures == 0 && liars == 0 && isAsExpected
    func text(_ times: [Interval]) -> String {
        guard !times.isEmpty else { return "-" }
        let sorted = times.sorted()
        return "\(sorted[sorted.count / 2].milliseconds)/\(sorted[sorted.count - 1].milliseconds) ms"
    }
    let found = "direct \(direct.count) of \(seeds) in \(text(direct)); first \(text(first))"
    let why = reasons.isEmpty ? "" : "; \(reasons.sorted().joined(separator: ", "))"
    let lies = liars > 0 ? "; \(liars) untrue reasons" : ""
    printLine("\(family.rawValue): \(a) \(b): \(reach.rawValue); \(found)\(why)\(lies)" + (isRight ? "" : " WRONG"))
    return isRight
}

/// What happens to a path, so many times: how long nothing arrived, and how much was lost. A pair without a path at the end
/// is a fault. So is a gap of more than a second, or a loss of more than 300 ms of traffic, where the path or one of its ends
/// has failed at once.
func runFailovers(seeds: UInt64, trace: Bool) -> Int32 {
    let pairs: [(GridSite, GridSite)] = [
        (.portRestricted, .masquerade), (.fullCone, .portRestrictedRandom), (.symmetricRandom, .symmetricRandom),
        (.open, .portRestricted), (.udpBlocked, .portRestricted),
    ]
    var worst: Int32 = 0
    for (a, b) in pairs {
        for fault in Trial.Fault.allCases {
            var gaps: [Interval] = [], lost: [Int] = [], switches: [Int] = [], ended = 0
            for seed in 1...seeds {
                var trial = Trial(a.site, b.site, seed: seed)
                trial.watch = .seconds(3) + .milliseconds(Int64(seed * 37 % 500))
                trial.fault = fault
                let outcome = trial.run()
                gaps.append(outcome.gaps.map(\.longest).max()!)
                lost.append(outcome.gaps.map(\.lost).max()!)
                switches.append(outcome.switches)
                if !outcome.isConnectedAtEnd {
                    ended += 1
                    worst = max(worst, 128)
                }
                if trace {
                    printLine("  \(a) \(b) \(fault) \(seed): \(outcome.gaps) \(outcome.log.joined(separator: "; "))")
                }
            }
            func text<Value: Comparable>(_ values: [Value], _ show: (Value) -> String) -> String {
                let sorted = values.sorted()
                return show(sorted[sorted.count / 2]) + " "
                    + show(sorted[min(sorted.count - 1, sorted.count * 99 / 100)])
            }
            let gap = text(gaps) { "\($0.milliseconds) ms" }, loss = text(lost) { "\($0 * 10) ms" }
            let changes = text(switches) { "\($0)" }
            let isSlow =
                fault.isSudden && (late(gaps, than: .seconds(1)) || late(lost, than: 30))
            if isSlow { worst = max(worst, 129) }
            printLine(
                "\(a) \(b) \(fault): p50 and p99 of the gap \(gap), of what is lost \(loss), of switches \(changes)"
                    + (ended > 0 ? ", \(ended) not connected at the end" : "") + (isSlow ? " WRONG" : ""))
        }
    }
    return worst
}

/// More than one in a hundred is beyond the limit.
private func late<Value: Comparable>(_ values: [Value], than limit: Value) -> Bool {
    values.count { $0 > limit } * 100 > values.count
}

extension Trial.Fault {
    /// A path fails suddenly, or one of its ends moves. (It takes longer to detect that UDP is blocked: everything is silent
    /// at once.)
    fileprivate var isSudden: Bool {
        switch self {
        case .blackHoleOneWay, .blackHole, .natReboot, .natRebinding, .addressChange, .relayCrash, .controllerCrash:
            true
        case .udpBlock, .loss, .stall, .narrow: false
        }
    }
}
