import Base
import Mesh
import Wire

// What the controller says.

extension Agent {
    mutating func handle(_ message: ControlMessage, now: Instant, into out: inout AgentOutbox) {
        switch (message, standing) {
        case (.enrolReply(let reply), .enrolling(let enrolment)):
            apply(reply, enrolment, now: now, into: &out)
        case (.desired(let desired), .member): took(desired, now: now, into: &out)
        case (.check(let check), .member):
            out.actions.append(.check(operation: check.operation, check.worker, check.spec))
        case (.readLog(let request), .member): read(request, into: &out)
        case (.certificateRenewed(let renewed), .member(let membership)):
            apply(renewed, membership, now: now, into: &out)
        case (.relays(let relays), .member(let membership)): use(relays, membership, now: now, into: &out)
        case (.lookUpReply(let reply), .member(let membership)):
            took(reply, membership, now: now, into: &out)
        case (.certificateRefused(let reason, let text), .member):
            descriptionRefused("\(reason.rawValue): \(text)", into: &out)
        case (.clock(let reading), .member): apply(reading, now: now, into: &out)
        case (.enrol, _), (.register, _), (.lookUp, _), (.report, _), (.checkReply, _), (.logChunk, _), (.goodbye, _),
            (.renewCertificate, _), (.enrolReply, _), (.desired, _), (.check, _), (.readLog, _), (.lookUpReply, _),
            (.certificateRenewed, _), (.relays, _), (.certificateRefused, _), (.clock, _):
            counters.messagesUnexpected += 1
        }
    }

    private mutating func took(_ desired: Desired, now: Instant, into out: inout AgentOutbox) {
        var actions: [SupervisorAction] = []
        switch supervisor.desired(desired, now: now, into: &actions) {
        case .applied: counters.desiredApplied += 1
        case .known: counters.desiredKnown += 1
        case .otherBase: counters.desiredOfOtherBase += 1
        case .notReady: counters.desiredTooEarly += 1
        }
        took(actions, now: now, into: &out)
    }

    private mutating func read(_ request: ReadLog, into out: inout AgentOutbox) {
        guard let status = supervisor.newest(of: request.worker) else {
            send(
                .logChunk(
                    LogChunk(
                        operation: request.operation, worker: request.worker, offset: 0, bytes: [], nextOffset: 0,
                        isFinal: true, problem: "there is no worker '\(request.worker)' on this node")))
            return
        }
        let limit = Int(max(1, min(request.limit, Int64(Limits.logChunkBytes))))
        out.actions.append(
            .readLog(operation: request.operation, status.worker, offset: request.offset, limit: limit))
    }
}
