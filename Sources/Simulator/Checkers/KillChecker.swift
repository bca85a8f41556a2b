import Base
import Control
import Wire

/// No worker outlives a kill. A worker that is reported to have ended has ended, and never runs again. In the end nothing
/// runs that is not desired, and every worker that is reported to run does run.
final class KillChecker: Checker {
    private struct Living {
        var worker: WorkerRef
        var machine: Int
        var pid: Int32
    }
    let name = "kills"
    private var living = Table<WorkerRef, [Living]>()
    /// Reported to be over.
    private var over = Table<WorkerRef, WorkerState>()

    func observe(_ fact: Fact, now: Instant) -> [String] {
        switch fact {
        case .processStarted(let machine, let worker, _, let pid):
            living[worker, default: []].append(Living(worker: worker, machine: machine, pid: pid))
            return over[worker].map { ["\(worker) started (pid \(pid)) after it had been reported to be \($0)"] } ?? []
        case .processEnded(let machine, let worker, let pid, _, _):
            living[worker]?.removeAll { $0.machine == machine && $0.pid == pid }
            return []
        case .filesRemoved(let machine, let worker, let isAlive):
            return isAlive ? ["node-\(machine) removed the files of \(worker), which lives"] : []
        case .snapshot(let snapshot): return find(in: snapshot)
        case .launchFailed, .asked, .replied, .spun, .held, .silenced, .receivedAgain, .overlay: return []
        }
    }

    private func find(in snapshot: FleetSnapshot) -> [String] {
        var found: [String] = []
        for view in snapshot.workers ?? [] {
            guard let state = view.state, state.isFinal else { continue }
            let worker = WorkerRef(view.name, generation: view.generation)
            guard over[worker] == nil else { continue }
            over[worker] = state
            for process in living[worker] ?? [] {
                found.append(
                    "\(worker) is reported to be \(state) and lives on node-\(process.machine), pid \(process.pid)")
            }
        }
        return found
    }

    func unsettled(_ snapshot: FleetSnapshot, now: Instant) -> [String] {
        guard let views = snapshot.workers else { return [] }
        var expected = Table<WorkerRef, WorkerView>()
        for view in views { expected[WorkerRef(view.name, generation: view.generation)] = view }
        var found: [String] = []
        var seen = Table<WorkerRef, Int32>()
        for machine in snapshot.machines where machine.isUp && machine.isWelcome {
            for process in machine.processes {
                seen[process.worker] = process.pid
                guard let view = expected[process.worker] else {
                    found.append("\(process.worker) runs on node-\(machine.index), and the controller does not know it")
                    continue
                }
                if view.desired != .run {
                    found.append(
                        "\(process.worker) runs on node-\(machine.index), and the desired state is \(view.desired)")
                }
                if view.state != .running || view.pid != process.pid {
                    let reported = view.state.map(\.rawValue) ?? "unknown"
                    found.append("\(process.worker) runs on node-\(machine.index), and is reported to be \(reported)")
                }
            }
        }
        let upNodes = snapshot.machines.filter { $0.isUp && $0.isWelcome }.map(\.node)
        for view in views where view.node.map({ upNodes.contains($0) }) ?? false {
            found += problems(of: view, runs: seen[WorkerRef(view.name, generation: view.generation)] != nil)
        }
        return found
    }

    private func problems(of view: WorkerView, runs: Bool) -> [String] {
        let what = "\(view.name)/\(view.generation)"
        guard let state = view.state else { return ["\(what) has no state"] }
        switch state {
        case .running: return runs ? [] : ["\(what) is reported to run and does not"]
        case .pending, .starting: return ["\(what) is still \(state)"]
        case .stopping, .stuck: return ["\(what) is still \(state)"]
        case .backoff, .succeeded, .failed:
            return view.desired == .run || state.isFinal
                ? [] : ["\(what) is \(state), and the desired state is \(view.desired)"]
        case .stopped: return view.desired == .run ? ["\(what) is stopped, and it is desired to run"] : []
        }
    }
}
