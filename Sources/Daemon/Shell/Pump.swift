package import Base
package import EventLoop
import Mesh

/// # The pump
///
/// A core decides and does no I/O. The pump feeds it inputs with the time, one at a time, and hands its outputs to the shell.
///
/// ```
///  inputs ──→ queue ──→ core ──→ changes ──→ store ──→ durable?
///                        │                               │
///                        └──→ actions, datagrams ──→ held until then ──→ shell
/// ```
///
/// - **Durability.** An output leaves when every change that the core output before it is durable. So no peer or client
///   learns of a state that a crash could still undo. A change goes to the store at once, in order. A store may answer at
///   once (a file, SQLite) or later (etcd), and it may answer in any order.
/// - **Order.** Outputs leave in the order in which the core appended them, over all turns; in one turn, actions leave before
///   datagrams. With a store that answers at once nothing is ever held.
/// - **Re-entry.** What the shell does for one output may cause the next input: an action that fails at once, a connection
///   that breaks during a write. Such an input waits in the queue until the turn is over. It is never dropped, and it never
///   runs in the middle of another turn.
/// - **Limit.** Held datagrams use at most `heldLimit` bytes; more are dropped and counted, as a full socket would do.
package final class Pump<Core: PumpCore & ~Copyable> {
    private enum Turn {
        case input(Core.Input)
        case received(HeldBatch)
        case call((inout Core, Instant) -> Void)
    }
    private enum Held {
        case change(Core.Change, number: UInt64)
        case action(Core.Action)
        case mesh(HeldMesh)
    }

    /// Bytes of datagrams that wait for a store.
    package static var heldLimit: Int { 4 << 20 }

    /// The core, between turns. The shell reads it and does not change it.
    package private(set) var core: Core
    private let loop: Loop
    private weak var shell: (any PumpShell<Core.Change, Core.Action>)?
    private var timer: Timer?
    private var queue: [Turn] = []
    private var isBusy = false
    /// Outputs that wait for a change, in order, the change first.
    private var held: [Held] = []
    private var heldBytes = 0
    private var changeCount: UInt64 = 0
    /// Changes that the store has not confirmed.
    private var pending: Set<UInt64> = []
    /// The mesh's part of a turn, separate from the core while it is sent.
    private var mesh = MeshOutbox()
    private var isEnding = false
    private var isClosed = false
    /// Datagrams beyond `heldLimit`.
    package private(set) var dropped = 0
    package var counters: [(name: String, count: Int)] { [("pump.dropped", dropped)] }

    /// `name` is for the list of a loop's sources.
    package init(_ core: consuming Core, on loop: Loop, _ name: String) {
        self.core = core
        self.loop = loop
        timer = Timer(on: loop, "\(name)'s deadline") { [weak self] in self?.turn { $0.tick(now: $1) } }
    }

    /// To be called once, before the first input.
    package func attach(_ shell: some PumpShell<Core.Change, Core.Action>) { self.shell = shell }

    // MARK: - Inputs

    package func handle(_ input: Core.Input) {
        guard canBegin else { return wait(.input(input)) }
        begin { $0.handle(input, now: $1) }
    }

    /// The caller may empty the batch afterwards, whenever the core gets to see it.
    package func received(_ batch: inout DatagramBatch) {
        guard canBegin else { return wait(.received(HeldBatch(taking: &batch))) }
        begin { $0.received(&batch, now: $1) }
    }

    /// For inputs that have an entry point of their own.
    package func turn(_ body: @escaping (inout Core, Instant) -> Void) {
        guard canBegin else { return wait(.call(body)) }
        begin(body)
    }

    /// Takes no more inputs from outside. When all outputs have left, `ended` of the shell is called once.
    package func end() {
        isEnding = true
        if !isBusy { begin { _, _ in } }
    }

    /// Drops all queued inputs and held outputs. Nothing is called afterwards, not even when a store answers.
    package func close() {
        isClosed = true
        (queue, held, heldBytes, pending) = ([], [], 0, [])
        timer?.close()
    }

    private var canBegin: Bool { !isBusy && !isEnding && !isClosed }

    private func wait(_ turn: Turn) {
        // While the last turn runs, its own consequences still count; after it, inputs are dropped.
        guard isBusy, !isClosed else { return }
        queue.append(turn)
    }

    // MARK: - Turns

    private func begin(_ body: (inout Core, Instant) -> Void) {
        guard !isClosed else { return }
        isBusy = true
        body(&core, loop.now)
        output()
        finish()
    }

    /// Runs inputs that came in meanwhile, and releases outputs that have become durable, until there is nothing more to do.
    private func finish() {
        while !isClosed {
            release()
            guard !queue.isEmpty else { break }
            run(queue.removeFirst())
            output()
        }
        isBusy = false
        guard !isClosed else { return }
        if isEnding {
            timer?.cancel()
            guard held.isEmpty else { return }
            close()
            shell?.ended()
        } else if let deadline = core.deadline {
            timer?.arm(at: deadline.at)
        } else {
            timer?.cancel()
        }
    }

    private func run(_ turn: Turn) {
        switch turn {
        case .input(let input): core.handle(input, now: loop.now)
        case .received(let batch): core.received(&batch.datagrams, now: loop.now)
        case .call(let body): body(&core, loop.now)
        }
    }

    // MARK: - Outputs

    /// Executes the core's outputs, or holds them.
    private func output() {
        for step in core.takeSteps() where !isClosed {
            switch step {
            case .store(let change): store(change)
            case .perform(let action) where held.isEmpty: shell?.perform(action)
            case .perform(let action): held.append(.action(action))
            }
        }
        core.exchange(&mesh)
        guard !mesh.isEmpty, !isClosed else { return }
        if held.isEmpty { shell?.send(&mesh) } else { holdMesh() }
    }

    private func store(_ change: Core.Change) {
        changeCount += 1
        let number = changeCount
        pending.insert(number)
        held.append(.change(change, number: number))
        shell?.store(change) { [weak self] in self?.becameDurable(number) }
        release()
    }

    private func becameDurable(_ number: UInt64) {
        guard pending.remove(number) != nil, !isBusy else { return }
        isBusy = true
        finish()
    }

    /// Lets outputs leave up to the first change that is not durable.
    private func release() {
        while let first = held.first {
            if case .change(_, let number) = first, pending.contains(number) { return }
            held.removeFirst()
            switch first {
            case .change(let change, _): shell?.stored(change)
            case .action(let action): shell?.perform(action)
            case .mesh(let mesh):
                heldBytes -= mesh.outbox.datagrams.byteCount
                shell?.send(&mesh.outbox)
            }
        }
    }

    private func holdMesh() {
        let size = mesh.datagrams.byteCount
        if heldBytes + size > Self.heldLimit {
            dropped += mesh.datagrams.count
            mesh.datagrams.removeAll()
            guard !mesh.isEmpty else { return }
        }
        heldBytes += mesh.datagrams.byteCount
        // One batch for many small turns, where nothing between them requires an order.
        if mesh.closedSockets.isEmpty, mesh.dataPlane.isEmpty, case .mesh(let last)? = held.last,
            last.outbox.closedSockets.isEmpty
        {
            for (index, entry) in mesh.datagrams.entries.enumerated() {
                let bytes = mesh.datagrams.bytes(at: index)
                last.outbox.datagrams.append(bytes, remote: entry.remote, socket: entry.socket)
            }
            return mesh.datagrams.removeAll()
        }
        held.append(.mesh(HeldMesh(taking: &mesh)))
    }
}

/// Datagrams that came in the middle of a turn.
private final class HeldBatch {
    var datagrams = DatagramBatch(capacity: 0)

    init(taking batch: inout DatagramBatch) { swap(&datagrams, &batch) }
}

/// The mesh's part of a turn that waits for a store.
private final class HeldMesh {
    var outbox = MeshOutbox()

    init(taking mesh: inout MeshOutbox) { swap(&outbox, &mesh) }
}

extension MeshOutbox {
    fileprivate var isEmpty: Bool { datagrams.isEmpty && closedSockets.isEmpty && dataPlane.isEmpty }
}
