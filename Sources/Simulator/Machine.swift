import Base
import Control
import DequeModule
import Noise
import Wire

/// One computer of the fleet: its clocks, its disk, its workers, and the program that runs on it, if one does. Machine 0
/// is the controller's.
final class Machine {
    let index: Int
    let name: String
    /// Draws for this machine only, so that one machine's luck does not depend on another's.
    var random: Random
    let keySeed: Seed
    let nodeID: NodeID

    // MARK: Clocks
    /// The machine's monotonic clock counts from here.
    var bootedAt: Instant
    /// What its wall clock is wrong by.
    var wallError = Interval.zero

    // MARK: Disk
    var agentRecord: [UInt8]?
    var membership: [UInt8]?
    var store = StoredState()
    /// Enrolment token for the next start, as text.
    var token: String?
    var isWelcome = true

    // MARK: Program
    var program: (any Program)?
    /// Rises with each start and each end of a program, so that what was meant for an earlier life is known as such.
    var life: Int32 = 0
    /// No longer meant to run: it has left, or stays down.
    var isRetired = false
    var pausedUntil: Instant?
    /// What happened while the program was paused, in order.
    var held: [Event] = []
    var heldDatagrams = 0
    var scheduledWake: Instant?
    var tickInstant = Instant.origin
    var ticksAtInstant = 0
    /// What waits behind a write.
    var waiting = Deque<Effect>()
    /// The write that the disk is at.
    var writing: Write?

    let host: SimulatedHost
    var messages = Deque<SimulatedHost.Message>()
    var lastTold = Instant.origin
    /// When the machine fell silent for all others.
    var isSilenced = false
    /// When the controller last got anything from here.
    var lastHeard = Instant.origin

    init(index: Int, seed: Seed, bootedAt: Instant, mutation: Scenario.Mutation?) {
        self.index = index
        name = index == 0 ? "controller" : "node-\(index)"
        var random = Random(seed)
        keySeed = Seed(random.next(), random.next(), random.next(), random.next())
        self.random = random
        self.bootedAt = bootedAt
        var generator = KeyGenerator(keySeed)
        let key = generator.secretKey()
        nodeID = key.publicKey
        host = SimulatedHost(machine: index, mutation: mutation)
    }

    var isUp: Bool { program != nil && pausedUntil == nil }

    func local(_ now: Instant) -> Instant { Instant.origin + (now - bootedAt) }
    func global(_ local: Instant) -> Instant { bootedAt + (local - .origin) }

    /// 2027-01-15 at the beginning of the run.
    static let epoch = UnixTime(seconds: 1_800_000_000)
    func wall(_ now: Instant) -> UnixTime { Machine.epoch + (now - .origin) + wallError }

    /// A store's transaction takes along all those that wait behind it: what stands between them waits for the disk once
    /// and not once for each. Without that, a slow disk and a fleet that flaps keep each other busy for ever.
    func together(_ write: Write) -> Write {
        guard case .store(var changes) = write, !waiting.isEmpty else { return write }
        waiting.removeAll { effect in
            guard case .persist(.store(let more)) = effect else { return false }
            changes += more
            return true
        }
        return .store(changes)
    }

    /// Puts a finished write where it is found after a crash.
    func apply(_ write: Write) {
        switch write {
        case .agentRecord(let bytes): agentRecord = bytes
        case .membership(let bytes): membership = bytes
        case .store(let changes): for change in changes { store.apply(change) }
        }
    }

    /// Forgets everything that lives in memory only.
    func clear() {
        program = nil
        life += 1
        pausedUntil = nil
        held = []
        heldDatagrams = 0
        scheduledWake = nil
        waiting = []
        writing = nil
        messages = []
    }
}

extension StoredState {
    /// What a store driver does with one row.
    mutating func apply(_ change: StoreChange) {
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
