package import Wire

/// What the shell is to do for workers, in this order. Whatever follows a `persist` waits until that is durable.
package enum SupervisorAction: Hashable, Sendable {
    /// Start it, and answer with `launched` or `launchFailed`.
    case launch(WorkerRef, WorkerSpec)
    /// To every process of it, which then have the grace of its stop policy. If it is gone already, its `exited` is on the
    /// way.
    case signal(WorkerRef, Int32)
    /// SIGKILL to every descendant. Answer with `exited` or `lost` when none is left, with `stillThere` if one stays.
    case killTree(WorkerRef)
    /// It is dead and nobody needs its record: delete its files. Deleting what is not there is no fault.
    case remove(WorkerRef)
    /// Write this encoded `AgentRecord` to the disk, in place of the one before.
    case persist([UInt8])
}
