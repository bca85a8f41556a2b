import Base
import Wire

extension Supervisor {
    /// What the shell reports of workers.
    mutating func apply(
        _ input: AgentInput, at wall: UnixTime, now: Instant, into actions: inout [SupervisorAction]
    ) {
        switch input {
        case .adopted(let found): adopted(found, at: wall, now: now, into: &actions)
        case .launched(let ref, let pid, let startedAt, let containment):
            launched(ref, pid: pid, startedAt: startedAt, containment: containment, now: now, into: &actions)
        case .launchFailed(let ref, let problem): launchFailed(ref, problem, at: wall, now: now, into: &actions)
        case .exited(let ref, let exit, let logBytes):
            exited(ref, exit, logBytes: logBytes, now: now, into: &actions)
        case .lost(let ref, let at): lost(ref, at: at, now: now, into: &actions)
        case .stillThere(let ref): stillThere(ref)
        case .host, .accelerators, .checked, .logRead, .join, .noToken, .request, .clock, .addresses, .connectionLost,
            .mapped, .mappingsLive, .overlayRequested, .benchServing, .benchEnded, .stopping, .resolved, .reconfigured:
            preconditionFailure("\(input) is not about a worker")
        }
    }
}
