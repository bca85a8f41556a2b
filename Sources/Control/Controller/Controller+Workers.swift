import Base
import Noise
import Wire

// Edits of desired state. A command bears its caller's name for it (`operation`), and is done once, however often it is
// said. Running is done in two steps: the node is asked whether it could, and only then is anything changed.

extension Controller {
    func listWorkers(_ parameters: ControllerRequest.WorkersList, _ id: RequestID, into out: inout ControllerOutbox) {
        if let node = parameters.node {
            guard let slot = core.registry.find(node) else { return out.refuse(id, .noNode(node)) }
            return out.reply(id, .workers(core.registry[slot].workerViews()))
        }
        out.reply(id, .workers(core.registry.entries.flatMap { $0.workerViews() }.sorted { $0.name < $1.name }))
    }

    // MARK: - Run

    mutating func run(
        _ parameters: ControllerRequest.WorkersRun, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
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
        case .done(_, let view?): out.reply(id, .worker(view))
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
        _ parameters: ControllerRequest.WorkersStop, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        if let operation = parameters.operation, hasEnded(operation, id, into: &out) { return }
        guard let (slot, found) = desired.find(parameters.name, in: core.registry) else {
            return out.refuse(id, .noWorker(parameters.name))
        }
        var worker = found
        if let grace = parameters.graceSeconds, !(0...86_400).contains(grace) {
            let text = "graceSeconds: must be from 0 to 86400, not \(grace)"
            return out.refuse(id, APIError(.invalid, text, field: "graceSeconds"))
        }
        let grace = parameters.graceSeconds ?? worker.spec.stop.graceSeconds
        let isChange = worker.run || worker.spec.stop.graceSeconds != grace
        var changes = desired.rememberEnd(parameters.operation, worker.worker, core: &core)
        if isChange {
            worker.run = false
            worker.spec.stop.graceSeconds = grace
            if let operation = parameters.operation { worker.operation = operation }
            changes += desired.want(worker, on: slot, core: &core)
            changes.append(core.record(.workerStopWanted, "by command", slot: slot, worker: parameters.name, now: now))
        }
        if !changes.isEmpty { out.persist(changes) }
        if isChange { core.sendEdit(slot, upserts: [worker], removals: [], now: now) }
        out.reply(id, .worker(core.registry[slot].view(of: worker)))
    }

    mutating func remove(
        _ parameters: ControllerRequest.WorkersRemove, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        if let operation = parameters.operation, hasEnded(operation, id, into: &out) { return }
        guard let (slot, worker) = desired.find(parameters.name, in: core.registry) else {
            return out.refuse(id, .noWorker(parameters.name))
        }
        let view = core.registry[slot].view(of: worker)
        // While a process of it may live, its name is not free: the next run of that name may be elsewhere.
        guard view.state?.isFinal ?? false else {
            let state = view.state?.rawValue ?? "pending"
            let advice = worker.run ? "stop it first" : "its node has not said yet that it has ended"
            let text = "name: worker '\(parameters.name)' is \(state); \(advice)"
            return out.refuse(id, APIError(.conflict, text, field: "name"))
        }
        var changes: [StoreChange] = [.removeWorker(name: parameters.name)]
        changes += desired.rememberEnd(parameters.operation, worker.worker, core: &core)
        changes.append(desired.forget(parameters.name, on: slot, core: &core))
        changes.append(core.record(.workerRemoved, "by command", slot: slot, worker: parameters.name, now: now))
        out.persist(changes)
        core.sendEdit(slot, upserts: [], removals: [parameters.name], now: now)
        out.reply(id, .worker(view))
    }

    /// Whether this `stop` or `remove` was done before: then it is answered, and a later run of that name is left alone.
    private func hasEnded(_ operation: String, _ id: RequestID, into out: inout ControllerOutbox) -> Bool {
        if let error = Controller.objection(toOperation: operation) {
            out.refuse(id, error)
            return true
        }
        guard case .done(let worker, let view) = desired.repetition(ofEnd: operation, in: core.registry) else {
            return false
        }
        out.reply(id, .worker(view ?? WorkerView(worker, wish: .none, command: [])))
        return true
    }
}
