package import Base

/// What an agent knows of one worker. The agent is the truth about what runs; this is its report.
package struct WorkerStatus: Hashable, Sendable, Codable {
    package var worker: WorkerRef
    package var state: WorkerState
    /// The worker's own process, not its shim's; present while one runs.
    package var pid: Int32?
    package var startedAt: UnixTime?
    /// How often the worker was started again within this generation.
    package var restarts: Int64 = 0
    package var lastExit: WorkerExit?
    /// Why it is in this state, where the state alone does not show it.
    package var reason: String?
    package var containment: Containment?
    /// Bytes the worker has written to its log in this generation, rotated-away ones included.
    package var logBytes: Int64 = 0

    package init(_ worker: WorkerRef, _ state: WorkerState) {
        self.worker = worker
        self.state = state
    }
}

/// ```
///              ┌───────── restart ─────────┐
///  pending → starting → running → (exit) → backoff
///     │          │         │         ├──→ succeeded   exit status 0, and the policy asks for no restart
///     │          │         │         └──→ failed      anything else, or the restart budget is spent
///     └──────────┴─────────┴→ stopping ──→ stopped    by command
///                              └→ stuck               killed, and still there (a process in D state)
/// ```
package enum WorkerState: String, Hashable, Sendable, Codable, CaseIterable {
    /// Desired, not yet begun.
    case pending
    case starting
    case running
    /// Ended, waits to be started again.
    case backoff
    case stopping
    case succeeded
    case failed
    case stopped
    /// SIGKILL was sent and a process is still there.
    case stuck

    /// No process of this generation is left, and none will be started.
    package var isFinal: Bool {
        switch self {
        case .succeeded, .failed, .stopped: true
        case .pending, .starting, .running, .backoff, .stopping, .stuck: false
        }
    }
}

/// How one process ended.
package struct WorkerExit: Hashable, Sendable, Codable {
    /// The exit status, if it exited.
    package var status: Int32?
    /// The signal that killed it, if one did.
    package var signal: Int32?
    /// The kernel's OOM killer ended it.
    package var outOfMemory = false
    package var at: UnixTime

    package init(status: Int32?, signal: Int32?, at: UnixTime) {
        self.status = status
        self.signal = signal
        self.at = at
    }

    package var isSuccess: Bool { status == 0 }
}

extension WorkerExit: CustomStringConvertible {
    package var description: String {
        if let status { return "exit status \(status)" }
        if let signal { return outOfMemory ? "killed: out of memory" : "killed by signal \(signal)" }
        return "ended in an unknown way"
    }
}

/// How a worker's processes are held together.
package enum Containment: String, Hashable, Sendable, Codable, CaseIterable {
    /// A separate cgroup v2: limits, `cgroup.kill`, `populated 0`.
    case cgroup
    /// No writable cgroup: the shim is a subreaper, and kills its descendants until none is left.
    case subreaper
}
