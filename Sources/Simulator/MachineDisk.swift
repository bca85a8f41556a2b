import Base
import Control
import DequeModule
import Wire

/// # One machine's disk
///
/// The disk is at one write at a time, for as long as the driver of time reports. Whatever a program needs done behind a write
/// waits until that is durable. After a crash only what was written is found; what waited is forgotten.
struct MachineDisk {
    private(set) var agentRecord: [UInt8]?
    private(set) var membership: [UInt8]?
    private(set) var store = StoredState()
    /// The write that the disk is at.
    private(set) var writing: Write?
    /// What waits behind a write.
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

    /// A store's transaction takes along all those that wait behind it: what stands between them waits for the disk once
    /// and not once for each. Without that, a slow disk and a fleet that flaps keep each other busy for ever.
    private mutating func together(_ write: Write) -> Write {
        guard case .store(var changes) = write, !waiting.isEmpty else { return write }
        waiting.removeAll { effect in
            guard case .persist(.store(let more)) = effect else { return false }
            changes += more
            return true
        }
        return .store(changes)
    }

    /// Puts a finished write where it is found after a crash.
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
