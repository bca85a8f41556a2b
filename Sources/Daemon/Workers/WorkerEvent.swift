package import Base
package import Wire

/// What a `WorkerHost` tells its owner. Every launch that did not throw ends in exactly one of `launchFailed`, `exited`
/// and `lost`, in this run of the agent or as a finding of `adopt()` in a later one; no process of the generation is left
/// by then.
package enum WorkerEvent: Hashable, Sendable {
    /// The worker executes its program.
    case started(WorkerRef, WorkerStart)
    /// The worker never ran; `problem` names the step and, where a field of the specification is to blame, the field.
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
    /// Fields of `WorkerLimits` that were asked for and that nothing enforces for the worker as a whole.
    package private(set) var unenforced: [String] = []
}

package struct WorkerEnd: Hashable, Sendable {
    package private(set) var exit: WorkerExit
    /// Processes that outlived the main one and were killed.
    package private(set) var leftovers: Int32
    package private(set) var logBytes: Int64
    package private(set) var logBytesDropped: Int64
}

/// A generation that an agent found when it started.
package struct AdoptedWorker: Hashable, Sendable {
    package enum State: Hashable, Sendable {
        /// Its shim lives; an event will tell more.
        case starting
        case running(WorkerStart)
        case exited(WorkerEnd)
        case launchFailed(SpecProblem)
        /// It was lost, and that is settled.
        case lost(at: UnixTime)
        /// Its shim is gone and left no word. What it left running is being killed; `lost` follows when that is done.
        case vanished
        /// Somebody holds its lock who cannot be found among the processes, perhaps in another pid namespace. Nothing is
        /// done to it; an event follows when the lock is free.
        case unknown
        /// Its launch was cut short before a shim was started. Nothing ever ran, and the folder is gone.
        case neverStarted
    }
    package private(set) var worker: WorkerRef
    package private(set) var state: State
    /// The command that asked for the launch.
    package private(set) var operation: String
}
