import Base
import Noise
import OrderedCollections
import Wire

// Edits of desired state. A command bears its caller's name for it (`operation`), and is done once, however often it is
// said. Running is done in two steps: the node is asked whether it could, and only then is anything changed.

extension Controller {
    func workerView(_ name: String) -> WorkerView? {
        guard let slot = slotOfWorker[name], let desired = registry[slot].desired[name] else { return nil }
        return registry[slot].view(of: desired)
    }

    func listWorkers(_ parameters: ControllerRequest.WorkersList, _ id: RequestID, into out: inout ControllerOutbox) {
        if let node = parameters.node {
            guard let slot = registry.find(node) else { return out.refuse(id, .noNode(node)) }
            return out.reply(id, .workers(registry[slot].workerViews()))
        }
        out.reply(id, .workers(registry.entries.flatMap { $0.workerViews() }.sorted { $0.name < $1.name }))
    }

    // MARK: - Run

    mutating func run(
        _ parameters: ControllerRequest.WorkersRun, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        if let operation = parameters.operation, repeats(operation, id, now: now, into: &out) { return }
        let problems = parameters.spec.problems()
        guard problems.isEmpty else { return out.refuse(id, APIError(problems)) }
        let name = parameters.name ?? inventName(parameters.spec)
        if let error = objection(to: name) { return out.refuse(id, error) }
        let slot: Int
        do throws(APIError) { slot = try place(parameters) } catch { return out.refuse(id, error) }
        let operation = parameters.operation ?? generator.bytes(8).hex
        let worker = DesiredWorker(
            WorkerRef(name, generation: counters.generation), spec: parameters.spec, run: true, operation: operation)
        ask(.check(worker), slot, id, now: now, into: &out) { number in
            .check(Check(operation: number, worker: worker.worker, spec: worker.spec))
        }
    }

    /// Whether this command was given before: then it is answered as it was then, or waits with the first.
    private mutating func repeats(
        _ operation: String, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) -> Bool {
        guard (1...100).contains(operation.utf8.count) else {
            out.refuse(id, APIError(.invalid, "operation: must have 1 to 100 bytes", field: "operation"))
            return true
        }
        if let done = operations[operation] {
            if let view = workerView(done.worker.name), view.generation == done.worker.generation {
                out.reply(id, .worker(view))
            } else {
                out.refuse(id, APIError(.conflict, "operation '\(operation)' was done, and its worker is gone since"))
            }
            return true
        }
        for (number, question) in questions.elements {
            guard case .check(let worker) = question.kind, worker.operation == operation else { continue }
            questions[number]?.askers.append(id)
            return true
        }
        return false
    }

    /// Why no worker of that name can be run now.
    private func objection(to name: String) -> APIError? {
        guard WorkerSpec.isName(name) else {
            let text = "name: '\(name)' is not a name: letters, digits, '-', '_' and '.', at most 63"
            return APIError(.invalid, text, field: "name")
        }
        for question in questions.values {
            if case .check(let worker) = question.kind, worker.worker.name == name {
                return APIError(.conflict, "name: a worker '\(name)' is being started", field: "name")
            }
        }
        guard let view = workerView(name) else { return nil }
        guard view.isCurrent, let state = view.state, state.isFinal else {
            let state = view.state?.rawValue ?? "pending"
            return APIError(.conflict, "name: worker '\(name)' is there and \(state); stop it first", field: "name")
        }
        return nil
    }

    /// The program's name and four digits that no other worker has.
    private mutating func inventName(_ spec: WorkerSpec) -> String {
        let program = spec.command[0].split(separator: "/").last ?? "worker"
        let base = String(program.filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }.prefix(40))
        let stem = base.isEmpty || base.hasPrefix("-") ? "worker" : base
        for _ in 0..<100 {
            let name = "\(stem)-\(String(String(0x10000 + random.next(below: 0x10000), radix: 16).dropFirst()))"
            if slotOfWorker[name] == nil { return name }
        }
        return "\(stem)-\(generator.bytes(8).hex)"
    }

    /// The node that was asked for, or the one with the most room. The agent is asked before anything is done, so this
    /// may be wrong and does no harm.
    private func place(_ parameters: ControllerRequest.WorkersRun) throws(APIError) -> Int {
        if let wanted = parameters.node {
            guard let slot = registry.find(wanted) else { throw .noNode(wanted) }
            return slot
        }
        var best: (slot: Int, load: Int)?
        for (slot, entry) in registry.entries.enumerated() {
            guard entry.state == .online, entry.isReachable, let heartbeat = entry.heartbeat,
                heartbeat.state == .running, heartbeat.freeSlots > 0, entry.verdict != .failed
            else { continue }
            let load = entry.desired.values.count { $0.run } * 1000 + Int(heartbeat.processorLoad)
            if best.map({ load < $0.load }) ?? true { best = (slot, load) }
        }
        guard let best else {
            throw APIError(.unavailable, "no node is online that would take a worker", field: "node")
        }
        return best.slot
    }

    /// The node's word on a worker: only now is it wanted, or refused.
    mutating func take(_ reply: CheckReply, _ slot: Int, now: Instant, into out: inout ControllerOutbox) {
        guard let question = questions[reply.operation], question.slot == slot, case .check(let asked) = question.kind
        else { return }
        questions.removeValue(forKey: reply.operation)
        guard reply.problems.isEmpty else {
            for asker in question.askers { out.refuse(asker, APIError(reply.problems)) }
            return
        }
        var worker = asked
        worker.worker.generation = counters.generation
        counters.generation += 1
        var changes: [StoreChange] = [.counters(counters)]
        let name = worker.worker.name
        // The last run of that name may have been elsewhere.
        if let old = slotOfWorker[name], old != slot {
            registry[old].desired.removeValue(forKey: name)
            changes += edited(old)
            sendEdit(old, upserts: [], removals: [name], now: now)
        }
        slotOfWorker[name] = slot
        changes += want(worker, slot)
        changes += remember(worker.operation, worker.worker)
        changes.append(
            record(.workerWanted, "generation \(worker.worker.generation)", slot: slot, worker: name, now: now))
        changes.append(.counters(counters))
        out.persist(changes)
        sendEdit(slot, upserts: [worker], removals: [], now: now)
        let view = registry[slot].view(of: worker)
        for asker in question.askers { out.reply(asker, .worker(view)) }
    }

    // MARK: - Stop and remove

    mutating func stop(
        _ parameters: ControllerRequest.WorkersStop, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        if let operation = parameters.operation, hasEnded(operation, id, into: &out) { return }
        guard let slot = slotOfWorker[parameters.name], var worker = registry[slot].desired[parameters.name] else {
            return out.refuse(id, .noWorker(parameters.name))
        }
        if let grace = parameters.graceSeconds, !(0...86_400).contains(grace) {
            let text = "graceSeconds: must be from 0 to 86400, not \(grace)"
            return out.refuse(id, APIError(.invalid, text, field: "graceSeconds"))
        }
        let grace = parameters.graceSeconds ?? worker.spec.stop.graceSeconds
        let isChange = worker.run || worker.spec.stop.graceSeconds != grace
        var changes = rememberEnd(parameters.operation, worker.worker)
        if isChange {
            worker.run = false
            worker.spec.stop.graceSeconds = grace
            if let operation = parameters.operation { worker.operation = operation }
            changes += want(worker, slot)
            changes.append(record(.workerStopWanted, "by command", slot: slot, worker: parameters.name, now: now))
        }
        if !changes.isEmpty { out.persist(changes) }
        if isChange { sendEdit(slot, upserts: [worker], removals: [], now: now) }
        out.reply(id, .worker(registry[slot].view(of: worker)))
    }

    mutating func remove(
        _ parameters: ControllerRequest.WorkersRemove, _ id: RequestID, now: Instant, into out: inout ControllerOutbox
    ) {
        if let operation = parameters.operation, hasEnded(operation, id, into: &out) { return }
        guard let slot = slotOfWorker[parameters.name], let worker = registry[slot].desired[parameters.name] else {
            return out.refuse(id, .noWorker(parameters.name))
        }
        let view = registry[slot].view(of: worker)
        // While a process of it may live, its name is not free: the next run of that name may be elsewhere.
        guard view.state?.isFinal ?? false else {
            let state = view.state?.rawValue ?? "pending"
            let advice = worker.run ? "stop it first" : "its node has not said yet that it has ended"
            let text = "name: worker '\(parameters.name)' is \(state); \(advice)"
            return out.refuse(id, APIError(.conflict, text, field: "name"))
        }
        registry[slot].desired.removeValue(forKey: parameters.name)
        slotOfWorker.removeValue(forKey: parameters.name)
        var changes: [StoreChange] = [.removeWorker(name: parameters.name)]
        changes += rememberEnd(parameters.operation, worker.worker)
        changes += edited(slot)
        changes.append(record(.workerRemoved, "by command", slot: slot, worker: parameters.name, now: now))
        out.persist(changes)
        sendEdit(slot, upserts: [], removals: [parameters.name], now: now)
        out.reply(id, .worker(view))
    }

    /// Whether this `stop` or `remove` was done before: then it is answered, and a later run of that name is left alone.
    private func hasEnded(_ operation: String, _ id: RequestID, into out: inout ControllerOutbox) -> Bool {
        guard (1...100).contains(operation.utf8.count) else {
            out.refuse(id, APIError(.invalid, "operation: must have 1 to 100 bytes", field: "operation"))
            return true
        }
        guard let done = operations[Controller.endKey(operation)] else { return false }
        let view = workerView(done.worker.name)
        let isThere = view?.generation == done.worker.generation
        out.reply(id, .worker(isThere ? view! : WorkerView(done.worker, wish: .none, command: [])))
        return true
    }

    private mutating func rememberEnd(_ operation: String?, _ worker: WorkerRef) -> [StoreChange] {
        guard let operation else { return [] }
        return remember(Controller.endKey(operation), worker) + [.counters(counters)]
    }

    /// Beginnings and ends have names of their own, so that one is never taken for the other.
    private static func endKey(_ operation: String) -> String { "end \(operation)" }

    // MARK: - Desired state

    /// Puts a worker into a node's desired state: what is to be stored of it.
    private mutating func want(_ worker: DesiredWorker, _ slot: Int) -> [StoreChange] {
        registry[slot].desired[worker.worker.name] = worker
        return [.worker(PlacementRecord(node: registry[slot].record.node, desired: worker))] + edited(slot)
    }

    private mutating func edited(_ slot: Int) -> [StoreChange] {
        registry[slot].record.revision += 1
        return [.node(registry[slot].record)]
    }

    private mutating func remember(_ operation: String, _ worker: WorkerRef) -> [StoreChange] {
        let entry = OperationRecord(number: counters.operation, operation: operation, worker: worker)
        counters.operation += 1
        operations[operation] = entry
        guard operations.count > Controller.operationLimit else { return [.operation(entry)] }
        let oldest = operations.removeFirst().value
        return [.operation(entry), .forgetOperations(through: oldest.number)]
    }
}
