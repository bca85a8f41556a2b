package import Base
package import Wire

/// A generation that an agent found when it started.
package struct AdoptedWorker: Hashable, Sendable {
    package enum State: Hashable, Sendable {
        /// Its shim lives; an event reports the rest later.
        case starting
        case running(WorkerStart)
        case exited(WorkerEnd)
        case launchFailed(SpecProblem)
        /// It was lost, and that is on record.
        case lost(at: UnixTime)
        /// Its shim is gone and left no record. What it left running is being killed; `lost` follows when that is done.
        case vanished
        /// A process holds its lock and cannot be found, perhaps because it is in another pid namespace. Nothing is
        /// done to it; an event follows when the lock is free.
        case unknown
        /// Its launch was cut short before a shim was started. Nothing ever ran, and the folder is gone.
        case neverStarted
    }
    package private(set) var worker: WorkerRef
    package private(set) var state: State
    /// The command that requested the launch.
    package private(set) var operation: String
}
