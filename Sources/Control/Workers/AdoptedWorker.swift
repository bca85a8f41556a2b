package import Base
package import Wire

/// A worker whose traces the shell found when it started.
package struct AdoptedWorker: Hashable, Sendable {
    package enum State: Hashable, Sendable {
        /// Its shim lives; `launched`, `launchFailed`, `exited` or `lost` will report more.
        case starting
        /// Boot id, pid, start time, cgroup and the shim's nonce all match.
        case running(pid: Int32, startedAt: UnixTime, containment: Containment)
        /// Nothing of it lives, and its shim wrote how it ended.
        case exited(WorkerExit, logBytes: Int64)
        case launchFailed(SpecProblem)
        /// Nothing of it lives, and nothing reports how it ended.
        case lost(at: UnixTime)
        /// Its shim is gone; what it left is being killed, and `lost` follows.
        case vanished
        /// Something holds it that cannot be found; `exited` or `lost` follows when that lets go.
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
