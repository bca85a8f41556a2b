package import Base
package import Wire

/// A generation that an agent found when it started.
package struct AdoptedWorker: Hashable, Sendable {
    package enum State: Hashable, Sendable {
        /// Its shim lives; an event will report more.
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
