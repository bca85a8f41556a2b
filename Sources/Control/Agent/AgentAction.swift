package import Base
package import Wire

/// What the shell is to do for an agent, in this order, before it sends the datagrams of the same outbox. So no peer
/// learns of a change that a crash could still undo.
package enum AgentAction: Hashable, Sendable {
    case worker(SupervisorAction)
    /// Is the user there, is the binary? Answer with `checked`.
    case check(operation: UInt64, WorkerRef, WorkerSpec)
    /// At most `limit` bytes; a negative offset counts from the end. Answer with `logRead`.
    case readLog(operation: UInt64, WorkerRef, offset: Int64, limit: Int)
    /// Write this encoded `MembershipRecord` to the disk. What follows waits until it is durable.
    case persistMembership([UInt8])
    case reply(RequestID, Result<AgentReply, APIError>)
    /// Look these names up. Answer with `resolved` for each, however long it takes.
    case resolve([HostPort])
    /// A line for the log.
    case notice(AgentNotice)
    /// There is a session with the owner of a requested address.
    case overlayReachable(IPAddress)
    /// A requested address cannot be reached now. Its packets may be dropped. A new request starts a new attempt.
    case overlayUnreachable(IPAddress, OverlayFailure)
    /// Run a server for measuring, and end it when its time is over. Answer with `benchServing` or `benchEnded`.
    case benchServe(BenchService)
    /// End that server; its result is not needed.
    case benchEnd(UInt64)
    /// A controller has answered a heartbeat for the first time.
    case ready
    /// After `stopping`: everything has been sent, the process may end.
    case stopped
}
