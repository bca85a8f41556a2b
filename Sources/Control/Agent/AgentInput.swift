package import Base
package import Mesh
package import Wire

/// What an agent is told when it is made; it does not change while the process lives.
package struct AgentConfiguration: Sendable {
    /// The name to enrol under.
    package var name: String
    /// Whether somebody chose that name. If not, it is the host's, and a member keeps the name that it has.
    package var isNameChosen = false
    package var site = ""
    /// Sorted by name, no name twice.
    package var labels: [Label] = []
    /// Where this node listens, as far as it knows itself.
    package var addresses: [SocketAddress] = []
    /// Ports at which it takes datagrams over TCP, where it is a beacon.
    package var tcpPorts: [UInt16] = []
    /// The program's version.
    package var version: String
    package var containment: Containment
    package var mesh = MeshConfiguration()
    package var bench = BenchPermission.auto

    package init(name: String, version: String, containment: Containment) {
        self.name = name
        self.version = version
        self.containment = containment
    }
}

/// What happened to an agent.
package enum AgentInput: Hashable, Sendable {
    /// All traces of workers that the machine has. Told once, first.
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
    /// There should be a token, and there is none, with the reason. A member needs none.
    case noToken(String)
    case request(RequestID, AgentRequest)
    case clock(UnixTime)
    /// The answer to `AgentAction.resolve`, for one name: none where it has no address, or no name server answered.
    case resolved(HostPort, [IPAddress])
    /// The configuration was read again.
    case reconfigured(NodeDescription)
    /// Where this node listens has changed.
    case addresses([SocketAddress])
    /// A TCP connection that was made for a datagram is over, or did not come about.
    case connectionLost(SocketAddress)
    /// Gateways keep ports open that lead to this node's; none any more where there are none.
    case mapped([SocketAddress])
    /// How long the translators before this node remember a conversation over IPv4; `nil`: that is not known (any more).
    case mappingsLive(NATLifetime?)
    /// A packet waits for this overlay address, and there is no session with whoever has it. May be said for each packet:
    /// what is wanted already is not wanted twice. Answered by `overlayReachable` or `overlayUnreachable`, within twelve
    /// seconds.
    case overlayWanted(IPAddress)
    /// The answer to `AgentAction.benchServe`: a server listens, and serves whoever shows the token.
    case benchServing(UInt64, tcpPort: UInt16, udpPort: UInt16, token: [UInt8])
    /// A server has ended, or never began.
    case benchEnded(UInt64)
    /// The process is about to end. With `leave` the node says goodbye to its fleet; else it will be back.
    case stopping(leave: Bool)
}

/// The answer to `AgentAction.readLog`.
package struct LogRead: Hashable, Sendable {
    package var operation: UInt64
    package var worker: WorkerRef
    package var offset: Int64
    package var bytes: [UInt8]
    package var nextOffset: Int64
    /// Nothing is in the log after `nextOffset` now.
    package var isAtEnd: Bool
    package var problem: String?

    package init(
        operation: UInt64, worker: WorkerRef, offset: Int64, bytes: [UInt8], nextOffset: Int64, isAtEnd: Bool,
        problem: String? = nil
    ) {
        self.operation = operation
        self.worker = worker
        self.offset = offset
        self.bytes = bytes
        self.nextOffset = nextOffset
        self.isAtEnd = isAtEnd
        self.problem = problem
    }
}

/// What the shell is to do for an agent, in this order, and before it sends the datagrams of the same outbox: so that
/// nobody hears of what a crash could still undo.
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
    /// A session with the owner of an address that was wanted is there.
    case overlayReachable(IPAddress)
    /// An address that was wanted cannot be reached now. Its packets may be dropped; wanted again, it is tried again.
    case overlayUnreachable(IPAddress, OverlayFailure)
    /// Run a server for measuring, and end it when its time is over. Answer with `benchServing` or `benchEnded`.
    case benchServe(BenchService)
    /// End that server; nobody waits for it.
    case benchEnd(UInt64)
    /// A controller has answered a heartbeat for the first time.
    case ready
    /// After `stopping`: all is said, the process may end.
    case stopped
}

/// What an `Agent` wants done. The driver owns one, hands it to every call, and empties it after each.
package struct AgentOutbox: ~Copyable {
    package var mesh = MeshOutbox()
    package var actions: [AgentAction] = []

    package init() {}
}
