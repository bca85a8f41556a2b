import Base
import Control
import DequeModule
import Wire

/// # One machine's disk
///
/// The disk executes one write at a time; the simulation decides how long it lasts. A program's effects after a write wait
/// until that is durable. After a crash only written data is found; waiting effects are lost.
struct MachineDisk {
    private(set) var agentRecord: [UInt8]?
    private(set) var membership: [UInt8]?
    private(set) var store = StoredState()
    /// The current write of the disk.
    private(set) var writing: Write?
    /// Effects that wait for a write.
    private var waiting = Deque<Effect>()

    var isBusy: Bool { writing != nil }
    func hasWaiting(where isMeant: (Effect) -> Bool) -> Bool { waiting.contains(where: isMeant) }
    /// Slots of the datagrams that wait.
    var waitingDatagrams: [Int32] {
        waiting.compactMap { effect in if case .datagram(let slot) = effect { slot } else { nil } }
    }

    mutating func begin(_ write: Write) { writing = together(write) }
    mutating func wait(_ effect: Effect) { waiting.append(effect) }

    /// The write is over, durable or not.
    mutating func endWrite() { writing = nil }

    /// The next effect that need not wait any more.
    mutating func nextReady() -> Effect? { isBusy ? nil : waiting.popFirst() }

    /// The program has died.
    mutating func forgetUnwritten() {
        waiting = []
        writing = nil
    }

    /// A store's transaction includes all transactions that wait behind it, so that the effects between them wait for the
    /// disk once and not once for each. Without that, a slow disk and a flapping fleet keep each other busy forever.
    private mutating func together(_ write: Write) -> Write {
        guard case .store(var changes) = write, !waiting.isEmpty else { return write }
        waiting.removeAll { effect in
            guard case .persist(.store(let more)) = effect else { return false }
            changes += more
            return true
        }
        return .store(changes)
    }

    /// Stores a finished write where it is found after a crash.
    mutating func apply(_ write: Write) {
        switch write {
        case .agentRecord(let bytes): agentRecord = bytes
        case .membership(let bytes): membership = bytes
        case .store(let changes): for change in changes { store.apply(change) }
        }
    }
}

extension StoredState {
    /// What a store driver does with one row.
    fileprivate mutating func apply(_ change: StoreChange) {
        switch change {
        case .counters(let counters): self.counters = counters
        case .node(let record):
            if let index = nodes.firstIndex(where: { $0.node == record.node }) {
                nodes[index] = record
            } else {
                nodes.append(record)
            }
        case .token(let record):
            if let index = tokens.firstIndex(where: { $0.id == record.id }) {
                tokens[index] = record
            } else {
                tokens.append(record)
            }
        case .worker(let record):
            let name = record.desired.worker.name
            if let index = workers.firstIndex(where: { $0.desired.worker.name == name }) {
                workers[index] = record
            } else {
                workers.append(record)
            }
        case .removeWorker(let name): workers.removeAll { $0.desired.worker.name == name }
        case .operation(let record): operations.append(record)
        case .forgetOperations(let number): operations.removeAll { $0.number <= number }
        case .event(let event): events.append(event)
        }
    }
}
