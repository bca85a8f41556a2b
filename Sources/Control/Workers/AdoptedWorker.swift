package import Base
package import Wire

/// A worker whose traces the shell found when it started.
package struct AdoptedWorker: Hashable, Sendable {
    package enum State: Hashable, Sendable {
        /// Its shim runs; `launched`, `launchFailed`, `exited` or `lost` follows.
        case starting
        /// Boot id, pid, start time, cgroup and the shim's nonce all match.
        case running(pid: Int32, startedAt: UnixTime, containment: Containment)
        /// Nothing of it lives, and its shim wrote how it ended.
        case exited(WorkerExit, logBytes: Int64)
        case launchFailed(SpecProblem)
        /// No process of it is left, and there is no record of how it ended.
        case lost(at: UnixTime)
        /// Its shim is gone; what it left is being killed, and `lost` follows.
        case vanished
        /// A process that cannot be found holds its lock; `exited` or `lost` follows when the lock is free.
        case unknown
        /// Its launch was cut short before anything ran.
        case neverStarted
    }
    package let worker: WorkerRef
    package var state: State

    package init(_ worker: WorkerRef, _ state: State) {
        self.worker = worker
        self.state = state
    }
}
