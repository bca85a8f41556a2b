package import Base
package import Wire

/// What a `WorkerHost` reports to its owner. Every launch that did not throw ends in exactly one of `launchFailed`, `exited`
/// and `lost`, in this run of the agent or as a finding of `adopt()` in a later one; no process of the generation is left
/// by then.
package enum WorkerEvent: Hashable, Sendable {
    /// The worker executes its program.
    case started(WorkerRef, WorkerStart)
    /// The worker never ran; `problem` names the step and, where a field of the specification is the cause, the field.
    case launchFailed(WorkerRef, SpecProblem)
    /// SIGKILL was sent, and after five seconds these processes are still there. The killing goes on.
    case stuck(WorkerRef, processes: [Int32])
    case exited(WorkerRef, WorkerEnd)
    /// The shim was killed, the worker with it; how the worker would have ended is not known.
    case lost(WorkerRef, at: UnixTime)
}

package struct WorkerStart: Hashable, Sendable {
    package private(set) var pid: Int32
    package private(set) var at: UnixTime
    package private(set) var containment: Containment
    /// Fields of `WorkerLimits` that were requested and that nothing enforces for the worker as a whole.
    package private(set) var unenforced: [String] = []
}

package struct WorkerEnd: Hashable, Sendable {
    package private(set) var exit: WorkerExit
    /// Processes that outlived the main one and were killed.
    package private(set) var leftovers: Int32
    package private(set) var logBytes: Int64
    package private(set) var logBytesDropped: Int64
}
