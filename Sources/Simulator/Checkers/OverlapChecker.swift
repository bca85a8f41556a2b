import Base
import Wire

/// No generation runs twice at once, in the whole fleet, and a newer one never starts before the older one has ended.
final class OverlapChecker: Checker {
    private struct Running {
        var worker: WorkerRef
        var machine: Int
        var pid: Int32
    }
    let name = "one at a time"
    /// By name.
    private var running = Table<String, [Running]>()
    private var newest = Table<String, UInt64>()

    func observe(_ fact: Fact, now: Instant) -> [String] {
        switch fact {
        case .processStarted(let machine, let worker, _, let pid):
            var found: [String] = []
            for other in running[worker.name] ?? [] {
                found.append(
                    "\(worker) started on node-\(machine) (pid \(pid)) while \(other.worker) ran on "
                        + "node-\(other.machine) (pid \(other.pid))")
            }
            if let newest = newest[worker.name], newest > worker.generation {
                found.append("\(worker) started after generation \(newest)")
            }
            newest[worker.name] = max(newest[worker.name] ?? 0, worker.generation)
            running[worker.name, default: []].append(Running(worker: worker, machine: machine, pid: pid))
            return found
        case .processEnded(let machine, let worker, let pid, _, _):
            running[worker.name]?.removeAll { $0.machine == machine && $0.pid == pid }
            return []
        case .launchFailed, .filesRemoved, .asked, .replied, .spun, .held, .silenced, .receivedAgain, .snapshot,
            .overlay:
            return []
        }
    }

    func unsettled(_ snapshot: FleetSnapshot, now: Instant) -> [String] { [] }
}
