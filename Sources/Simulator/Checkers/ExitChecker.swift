import Base
import Control
import Wire

/// Reported exit codes are true, and none is lost, even if a program was down when the worker ended.
final class ExitChecker: Checker {
    private struct End {
        var exit: WorkerExit
        var hasRecord: Bool
    }
    let name = "exit codes"
    private var ends = Table<WorkerRef, [End]>()

    func observe(_ fact: Fact, now: Instant) -> [String] {
        switch fact {
        case .processEnded(_, let worker, _, let exit, let hasRecord):
            ends[worker, default: []].append(End(exit: exit, hasRecord: hasRecord))
            return []
        case .snapshot(let snapshot): return (snapshot.workers ?? []).flatMap(untrue)
        case .processStarted, .launchFailed, .filesRemoved, .asked, .replied, .spun, .held, .silenced, .receivedAgain,
            .overlay:
            return []
        }
    }

    private func untrue(_ view: WorkerView) -> [String] {
        guard let reported = view.lastExit else { return [] }
        let worker = WorkerRef(view.name, generation: view.generation)
        let all = ends[worker] ?? []
        if all.contains(where: { $0.hasRecord && isSame($0.exit, reported) }) { return [] }
        return ["\(worker) is reported to have ended with \(reported), and ended with \(all.map(\.exit.description))"]
    }

    func unsettled(_ snapshot: FleetSnapshot, now: Instant) -> [String] {
        var found: [String] = []
        let upNodes = snapshot.machines.filter { $0.isUp && $0.isWelcome }.map(\.node)
        for view in snapshot.workers ?? [] where view.node.map({ upNodes.contains($0) }) ?? false {
            let worker = WorkerRef(view.name, generation: view.generation)
            guard let last = ends[worker]?.last, last.hasRecord else { continue }
            if !(view.lastExit.map { isSame($0, last.exit) } ?? false) {
                let reported = view.lastExit?.description ?? "nothing"
                found.append("\(worker) ended with \(last.exit), and what is known of it is \(reported)")
            }
        }
        return found
    }

    private func isSame(_ a: WorkerExit, _ b: WorkerExit) -> Bool { a.status == b.status && a.signal == b.signal }
}
