import Base
import Noise
import OrderedCollections
import Wire

/// # What should run where
///
/// Edits of desired state. A command carries an operation id of its caller (`operation`), and is done once, however
/// often it is sent. Each edit gives the node's desired state a new revision; what is returned is to be stored before it
/// is sent.
struct DesiredState {
    /// The node on which a worker of that name is desired.
    private var slots = OrderedDictionary<String, Int>()
    private var operations: OrderedDictionary<String, OperationRecord>

    /// Operations that are remembered.
    private static let operationLimit = 10_000

    /// Restores what was stored, into the members' entries too.
    init(_ stored: StoredState, registry: inout Registry) {
        operations = OrderedDictionary(
            stored.operations.suffix(DesiredState.operationLimit).map { ($0.operation, $0) },
            uniquingKeysWith: { $1 })
        for worker in stored.workers {
            guard let slot = registry.slot(of: worker.node) else { continue }
            registry[slot].restore(worker.desired)
            slots[worker.desired.worker.name] = slot
        }
    }

    /// Workers that are desired, to run or to be ended.
    var count: Int { slots.count }

    func slot(of name: String) -> Int? { slots[name] }

    /// The worker, and the node that it is desired on.
    func find(_ name: String, in registry: Registry) -> (slot: Int, worker: DesiredWorker)? {
        guard let slot = slots[name], let worker = registry[slot].desired[name] else { return nil }
        return (slot, worker)
    }

    func view(_ name: String, in registry: Registry) -> WorkerView? {
        find(name, in: registry).map { registry[$0.slot].view(of: $0.worker) }
    }

    // MARK: - Names and nodes

    /// Why no worker of that name can be run now.
    func objection(to name: String, isStarting: Bool, in registry: Registry) -> APIError? {
        guard WorkerSpec.isName(name) else {
            let text = "name: '\(name)' is not a name: letters, digits, '-', '_' and '.', at most 63"
            return APIError(.invalid, text, field: "name")
        }
        if isStarting { return APIError(.conflict, "name: a worker '\(name)' is being started", field: "name") }
        guard let view = view(name, in: registry) else { return nil }
        guard view.isCurrent, let state = view.state, state.isFinal else {
            let state = view.state?.rawValue ?? "pending"
            return APIError(.conflict, "name: worker '\(name)' exists and is \(state); stop it first", field: "name")
        }
        return nil
    }

    /// The program's name and four digits that no other worker has.
    func inventName(_ spec: WorkerSpec, core: inout ControllerCore) -> String {
        let program = spec.command[0].split(separator: "/").last ?? "worker"
        let base = String(program.filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-") }.prefix(40))
        let stem = base.isEmpty || base.hasPrefix("-") ? "worker" : base
        for _ in 0..<100 {
            let digits = String(0x10000 + core.random.next(below: 0x10000), radix: 16).dropFirst()
            let name = "\(stem)-\(String(digits))"
            if slots[name] == nil { return name }
        }
        return "\(stem)-\(core.generator.bytes(8).hex)"
    }

    /// The node that was asked for, or the one with the most room. The agent is asked before anything is done, so this
    /// may be wrong and does no harm.
    static func place(_ node: String?, in registry: Registry) throws(APIError) -> Int {
        if let node {
            guard let slot = registry.find(node) else { throw .noNode(node) }
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

    // MARK: - Operations

    enum Repetition {
        /// It was done, with this result. `nil`: the worker has been removed since.
        case done(WorkerRef, WorkerView?)
        case new
    }

    /// Whether the operation of a `run` was done before.
    func repetition(ofRun operation: String, in registry: Registry) -> Repetition {
        repetition(of: operation, in: registry)
    }

    /// Whether the operation of a `stop` or `remove` was done before: then a later run of that name is left alone.
    func repetition(ofEnd operation: String, in registry: Registry) -> Repetition {
        repetition(of: DesiredState.endKey(operation), in: registry)
    }

    private func repetition(of key: String, in registry: Registry) -> Repetition {
        guard let done = operations[key] else { return .new }
        let view = view(done.worker.name, in: registry)
        return .done(done.worker, view?.generation == done.worker.generation ? view : nil)
    }

    /// Starts and ends have separate keys, so that one is never mistaken for the other.
    private static func endKey(_ operation: String) -> String { "end \(operation)" }

    private mutating func remember(
        _ operation: String, _ worker: WorkerRef, core: inout ControllerCore
    ) -> [StoreChange] {
        let entry = OperationRecord(number: core.counters.operation, operation: operation, worker: worker)
        core.counters.operation += 1
        operations[operation] = entry
        guard operations.count > DesiredState.operationLimit else { return [.operation(entry)] }
        let oldest = operations.removeFirst().value
        return [.operation(entry), .forgetOperations(through: oldest.number)]
    }

    /// What is to be stored of an operation that ends a worker.
    mutating func rememberEnd(
        _ operation: String?, _ worker: WorkerRef, core: inout ControllerCore
    ) -> [StoreChange] {
        guard let operation else { return [] }
        return remember(DesiredState.endKey(operation), worker, core: &core) + [.counters(core.counters)]
    }

    // MARK: - Edits

    /// A node accepts a requested worker: from here on it is desired. Returns it with its generation.
    mutating func start(
        _ asked: DesiredWorker, on slot: Int, core: inout ControllerCore, now: Instant,
        into out: inout ControllerOutbox
    ) -> DesiredWorker {
        var worker = asked
        worker.worker.generation = core.counters.generation
        core.counters.generation += 1
        var changes: [StoreChange] = [.counters(core.counters)]
        let name = worker.worker.name
        // The last run of that name may have been elsewhere.
        if let old = slots[name], old != slot {
            changes.append(removeDesired(name, on: old, core: &core))
            core.sendEdit(old, upserts: [], removals: [name], now: now)
        }
        slots[name] = slot
        changes += setDesired(worker, on: slot, core: &core)
        changes += remember(worker.operation, worker.worker, core: &core)
        changes.append(
            core.record(.workerRequested, "generation \(worker.worker.generation)", slot: slot, worker: name, now: now))
        changes.append(.counters(core.counters))
        out.persist(changes)
        core.sendEdit(slot, upserts: [worker], removals: [], now: now)
        return worker
    }

    /// Puts a worker into a node's desired state. Returns what is to be stored.
    func setDesired(_ worker: DesiredWorker, on slot: Int, core: inout ControllerCore) -> [StoreChange] {
        core.registry[slot].setDesired(worker)
        let record = core.registry[slot].record
        return [.worker(PlacementRecord(node: record.node, desired: worker)), .node(record)]
    }

    /// Forgets a worker that has ended. Returns what is to be stored of its node.
    mutating func forget(_ name: String, on slot: Int, core: inout ControllerCore) -> StoreChange {
        slots.removeValue(forKey: name)
        return removeDesired(name, on: slot, core: &core)
    }

    private func removeDesired(_ name: String, on slot: Int, core: inout ControllerCore) -> StoreChange {
        core.registry[slot].removeDesired(name)
        return .node(core.registry[slot].record)
    }
}
