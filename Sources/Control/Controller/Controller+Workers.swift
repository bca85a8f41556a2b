import Base
import Noise
import Wire

// Edits of desired state. A command carries an operation id of its caller (`operation`), and is done once, however
// often it is sent. A run has two steps: the node is asked whether it can run the worker, and only then is anything
// changed.

extension Controller {
    // MARK: - Run

    mutating func run(
        _ parameters: WorkersRun, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        if let operation = parameters.operation, repeats(operation, id, into: &out) { return }
        let problems = parameters.spec.problems()
        guard problems.isEmpty else { return out.refuse(id, APIError(problems)) }
        let name = parameters.name ?? desired.inventName(parameters.spec, core: &core)
        let error = desired.objection(to: name, isStarting: questions.isStarting(name), in: core.registry)
        if let error { return out.refuse(id, error) }
        let slot: Int
        do throws(APIError) {
            slot = try DesiredState.place(parameters.node, in: core.registry)
        } catch { return out.refuse(id, error) }
        let operation = parameters.operation ?? core.generator.bytes(8).hex
        let worker = DesiredWorker(
            WorkerRef(name, generation: core.counters.generation), spec: parameters.spec, run: true,
            operation: operation)
        questions.ask(.check(worker), slot, id, core: &core, now: now, into: &out) { number in
            .check(Check(operation: number, worker: worker.worker, spec: worker.spec))
        }
    }

    /// Whether this command was given before: then it is answered as it was then, or waits with the first.
    private mutating func repeats(_ operation: String, _ id: RequestID, into out: inout ControllerOutbox) -> Bool {
        if let error = Controller.objection(toOperation: operation) {
            out.refuse(id, error)
            return true
        }
        switch desired.repetition(ofRun: operation, in: core.registry) {
        case .done(_, let view?): out.reply(id, WorkersRun.reply(view))
        case .done(_, nil):
            out.refuse(id, APIError(.conflict, "operation '\(operation)' was done, and its worker is gone since"))
        case .new: return questions.join(operation: operation, id)
        }
        return true
    }

    private static func objection(toOperation operation: String) -> APIError? {
        guard !(1...100).contains(operation.utf8.count) else { return nil }
        return APIError(.invalid, "operation: must have 1 to 100 bytes", field: "operation")
    }

    // MARK: - Stop and remove

    mutating func stop(
        _ verb: WorkersStop, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> WorkerView {
        if let operation = verb.operation, let view = try viewOfEnd(operation) { return view }
        guard let (slot, found) = desired.find(verb.name, in: core.registry) else { throw .noWorker(verb.name) }
        var worker = found
        if let grace = verb.graceSeconds, !(0...86_400).contains(grace) {
            let text = "graceSeconds: must be from 0 to 86400, not \(grace)"
            throw APIError(.invalid, text, field: "graceSeconds")
        }
        let grace = verb.graceSeconds ?? worker.spec.stop.graceSeconds
        let isChange = worker.run || worker.spec.stop.graceSeconds != grace
        var changes = desired.rememberEnd(verb.operation, worker.worker, core: &core)
        if isChange {
            worker.run = false
            worker.spec.stop.graceSeconds = grace
            if let operation = verb.operation { worker.operation = operation }
            changes += desired.setDesired(worker, on: slot, core: &core)
            changes.append(core.record(.workerStopRequested, "by command", slot: slot, worker: verb.name, now: now))
        }
        if !changes.isEmpty { out.persist(changes) }
        if isChange { core.sendEdit(slot, upserts: [worker], removals: [], now: now) }
        return core.registry[slot].view(of: worker)
    }

    mutating func remove(
        _ verb: WorkersRemove, now: Instant, into out: inout ControllerOutbox
    ) throws(APIError) -> WorkerView {
        if let operation = verb.operation, let view = try viewOfEnd(operation) { return view }
        guard let (slot, worker) = desired.find(verb.name, in: core.registry) else { throw .noWorker(verb.name) }
        let view = core.registry[slot].view(of: worker)
        // While a process of it may live, its name is not free: the next run of that name may be elsewhere.
        guard view.state?.isFinal ?? false else {
            let state = view.state?.rawValue ?? "pending"
            let advice = worker.run ? "stop it first" : "its node has not reported its end yet"
            let text = "name: worker '\(verb.name)' is \(state); \(advice)"
            throw APIError(.conflict, text, field: "name")
        }
        var changes: [StoreChange] = [.removeWorker(name: verb.name)]
        changes += desired.rememberEnd(verb.operation, worker.worker, core: &core)
        changes.append(desired.forget(verb.name, on: slot, core: &core))
        changes.append(core.record(.workerRemoved, "by command", slot: slot, worker: verb.name, now: now))
        out.persist(changes)
        core.sendEdit(slot, upserts: [], removals: [verb.name], now: now)
        return view
    }

    /// The answer to a `stop` or `remove` that was done before; a later run of that name is left alone.
    private func viewOfEnd(_ operation: String) throws(APIError) -> WorkerView? {
        if let error = Controller.objection(toOperation: operation) { throw error }
        guard case .done(let worker, let view) = desired.repetition(ofEnd: operation, in: core.registry) else {
            return nil
        }
        return view ?? WorkerView(worker, desired: .none, command: [])
    }
}
