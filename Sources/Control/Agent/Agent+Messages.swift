import Base
import Mesh
import Wire

// Messages of the controller, by feature.

extension Agent {
    mutating func handle(_ message: ControlMessage, now: Instant, into out: inout AgentOutbox) {
        switch (message, core.standing) {
        case (.enrolReply(let reply), .enrolling(let enrolment)):
            let joined = enroller.apply(reply, enrolment, core: &core, now: now, into: &out)
            reportJoined(joined, now: now, into: &out)
        case (.desired(let desired), .member): apply(desired, now: now, into: &out)
        case (.check(let check), .member):
            out.actions.append(.check(operation: check.operation, check.worker, check.spec))
        case (.readLog(let request), .member): read(request, into: &out)
        case (.certificateRenewed(let renewed), .member(let membership)):
            certificate.apply(renewed, membership, core: &core, now: now, into: &out)
        case (.certificateRefused(let reason, let text), .member):
            certificate.refused("\(reason.rawValue): \(text)", into: &out)
        case (.relays(let relays), .member(let membership)): core.apply(relays, membership, now: now, into: &out)
        case (.lookUpReply(let reply), .member(let membership)):
            apply(finder.apply(reply, membership, core: &core, now: now, into: &out), now: now, into: &out)
        case (.clock(let reading), .member): apply(reading, now: now, into: &out)
        case (.enrol, _), (.register, _), (.lookUp, _), (.report, _), (.checkReply, _), (.logChunk, _), (.goodbye, _),
            (.renewCertificate, _), (.enrolReply, _), (.desired, _), (.check, _), (.readLog, _), (.lookUpReply, _),
            (.certificateRenewed, _), (.relays, _), (.certificateRefused, _), (.clock, _):
            core.counters.add(.messagesUnexpected)
        }
    }

    private mutating func apply(_ desired: Desired, now: Instant, into out: inout AgentOutbox) {
        var actions: [SupervisorAction] = []
        switch supervisor.desired(desired, now: now, into: &actions) {
        case .applied: core.counters.add(.desiredApplied)
        case .known: core.counters.add(.desiredKnown)
        case .otherBase: core.counters.add(.desiredOfOtherBase)
        case .notReady: core.counters.add(.desiredTooEarly)
        }
        report(actions, now: now, into: &out)
    }

    /// The controller's clock, compared when the control stream opens and whenever one of the two clocks was set.
    private mutating func apply(_ reading: ClockReading, now: Instant, into out: inout AgentOutbox) {
        if reading.expectsReply { core.send(.clock(ClockReading(core.clock.own(now), expectsReply: false))) }
        core.learnClock(reading.clock, now: now, into: &out)
        certificate.clockLearned(now: now)
    }

    // MARK: - Logs

    private mutating func read(_ request: ReadLog, into out: inout AgentOutbox) {
        guard let status = supervisor.newest(of: request.worker) else {
            core.send(.logChunk(LogChunk(unknown: request)))
            return
        }
        let limit = Int(max(1, min(request.limit, Int64(Limits.logChunkBytes))))
        out.actions.append(
            .readLog(operation: request.operation, status.worker, offset: request.offset, limit: limit))
    }
}

extension LogChunk {
    /// The answer where there is no such worker.
    fileprivate init(unknown request: ReadLog) {
        self.init(
            operation: request.operation, worker: request.worker, offset: 0, bytes: [], nextOffset: 0, isFinal: true,
            problem: "there is no worker '\(request.worker)' on this node")
    }

    /// What the shell has read.
    init(_ read: LogRead, of supervisor: Supervisor) {
        let isFinal = read.isAtEnd && (supervisor.newest(of: read.worker.name)?.state.isFinal ?? true)
        self.init(
            operation: read.operation, worker: read.worker.name, offset: read.offset,
            bytes: Array(read.bytes.prefix(Limits.logChunkBytes)), nextOffset: read.nextOffset, isFinal: isFinal,
            problem: read.problem)
    }
}
