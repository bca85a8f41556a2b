import Base
import Mesh
import Wire

// Messages of agents on the control stream, by feature.

extension Controller {
    mutating func handle(_ message: ControlMessage, from slot: Int, now: Instant, into out: inout ControllerOutbox) {
        switch message {
        case .register(let register): directory.apply(register, of: slot, core: &core, now: now)
        case .lookUp(let asked):
            core.send(.lookUpReply(directory.lookUp(asked, overlay: overlay, core: core, now: now)), to: slot)
        case .report(let report): apply(report, of: slot, now: now, into: &out)
        case .checkReply(let reply): apply(reply, of: slot, now: now, into: &out)
        case .logChunk(let chunk): apply(chunk, of: slot, into: &out)
        case .goodbye(let reason):
            guard core.registry[slot].state != .left else { return }
            core.registry.left(slot)
            out.persist([core.record(.nodeLeft, reason, slot: slot, now: now)])
        case .renewCertificate(let requested):
            certificates.renew(slot, requested, overlay: overlay, core: &core, now: now, into: &out)
        case .clock(let reading): clocks.apply(reading, of: slot, core: &core, now: now, into: &out)
        // A member does not enrol again; the rest is what a controller sends.
        case .enrol, .enrolReply, .desired, .check, .readLog, .lookUpReply, .certificateRenewed, .relays,
            .certificateRefused:
            break
        }
    }

    // MARK: - Reports

    private mutating func apply(_ report: Report, of slot: Int, now: Instant, into out: inout ControllerOutbox) {
        let changes = core.registry[slot].apply(report).map { status in
            core.record(
                .workerChanged, status.change, slot: slot, worker: status.worker.name, now: now)
        }
        if !changes.isEmpty { out.persist(changes) }
    }

    // MARK: - Answers

    /// The node's answer on a worker: only now does the worker become desired, or is refused.
    private mutating func apply(_ reply: CheckReply, of slot: Int, now: Instant, into out: inout ControllerOutbox) {
        let isCheck = { (kind: Question.Kind) in if case .check = kind { true } else { false } }
        guard let question = questions.take(reply.operation, from: slot, where: isCheck),
            case .check(let asked) = question.kind
        else { return }
        guard reply.problems.isEmpty else {
            for asker in question.askers { out.refuse(asker, APIError(reply.problems)) }
            return
        }
        let worker = desired.start(asked, on: slot, core: &core, now: now, into: &out)
        let view = core.registry[slot].view(of: worker)
        for asker in question.askers { out.reply(asker, WorkersRun.reply(view)) }
    }

    /// A piece of a log.
    private mutating func apply(_ chunk: LogChunk, of slot: Int, into out: inout ControllerOutbox) {
        let isLog = { (kind: Question.Kind) in if case .log = kind { true } else { false } }
        guard let question = questions.take(chunk.operation, from: slot, where: isLog),
            case .log(let worker) = question.kind
        else { return }
        if let problem = chunk.problem {
            for asker in question.askers { out.refuse(asker, APIError(.notFound, problem)) }
            return
        }
        let view = LogView(
            worker: worker, offset: chunk.offset, nextOffset: chunk.nextOffset, isFinal: chunk.isFinal,
            data: Base64.encode(chunk.bytes))
        for asker in question.askers { out.reply(asker, WorkersLogs.reply(view)) }
    }
}

extension WorkerStatus {
    /// For the event log.
    fileprivate var change: String {
        var text = state.rawValue
        if let pid, !state.isFinal { text += ", pid \(pid)" }
        if state != .running, let exit = lastExit { text += ", \(exit)" }
        if restarts > 0 { text += ", restart \(restarts)" }
        if let reason { text += ": \(reason)" }
        return text
    }
}
