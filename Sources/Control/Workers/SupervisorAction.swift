package import Wire

/// What the shell is to do for workers, in this order. Whatever follows a `persist` waits until that is durable.
package enum SupervisorAction: Hashable, Sendable {
    /// Start it, and answer with `launched` or `launchFailed`.
    case launch(WorkerRef, WorkerSpec)
    /// Send it to every process of the worker. They then have the grace period of its stop policy. If the worker has ended
    /// already, its `exited` follows.
    case signal(WorkerRef, Int32)
    /// SIGKILL to every descendant. Answer with `exited` or `lost` when none is left, with `stillThere` if one stays.
    case killTree(WorkerRef)
    /// It is dead and its record is not needed: delete its files. Missing files are no error.
    case remove(WorkerRef)
    /// Write this encoded `AgentRecord` to the disk, in place of the one before.
    case persist([UInt8])
}
