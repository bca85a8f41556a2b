package import Base
package import Mesh
package import Wire

/// What happened to an agent.
package enum AgentInput: Hashable, Sendable {
    /// All traces of workers that the machine has. Reported once, first.
    case adopted([AdoptedWorker])
    case launched(WorkerRef, pid: Int32, startedAt: UnixTime, containment: Containment)
    case launchFailed(WorkerRef, SpecProblem)
    /// No process of it is left.
    case exited(WorkerRef, WorkerExit, logBytes: Int64)
    case lost(WorkerRef, at: UnixTime)
    /// SIGKILL was sent to all of it, and a process is still there.
    case stillThere(WorkerRef)
    case host(HostStatus)
    case accelerators([AcceleratorStatus])
    /// The answer to `AgentAction.check`: nothing is wrong where there are no problems.
    case checked(operation: UInt64, problems: [SpecProblem])
    case logRead(LogRead)
    /// A token from a file: tried until it is accepted or refused.
    case join(token: String)
    /// A token is configured but cannot be read, with the reason. A member needs none.
    case noToken(String)
    case request(RequestID, AgentRequest)
    case clock(UnixTime)
    /// The answer to `AgentAction.resolve`, for one name: none where it has no address, or no name server answered.
    case resolved(HostPort, [IPAddress])
    /// The configuration was read again.
    case reconfigured(NodeDescription)
    /// Where this node listens has changed.
    case addresses([SocketAddress])
    /// A TCP connection that was made for a datagram has ended, or could not be made.
    case connectionLost(SocketAddress)
    /// Gateways keep ports open that lead to this node's; none any more where there are none.
    case mapped([SocketAddress])
    /// How long the NATs in front of this node keep an IPv4 mapping; `nil`: that is not known (any more).
    case mappingsLive(NATLifetime?)
    /// A packet waits for this overlay address, and there is no session with the node that has it. May be sent for each
    /// packet: an address that is already requested is not requested twice. Answered by `overlayReachable` or
    /// `overlayUnreachable`, within twelve seconds.
    case overlayRequested(IPAddress)
    /// The answer to `AgentAction.benchServe`: a server listens, and serves anyone who shows the token.
    case benchServing(UInt64, tcpPort: UInt16, udpPort: UInt16, token: [UInt8])
    /// A server has ended, or never began.
    case benchEnded(UInt64)
    /// The process is about to end. With `leave` the node announces that it leaves its fleet; else it will return.
    case stopping(leave: Bool)
}
