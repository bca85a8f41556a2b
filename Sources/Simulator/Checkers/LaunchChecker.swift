import Base
import Control
import Wire

/// Every command takes effect exactly once: an accepted `workers.run` is one worker, whatever was repeated and whichever
/// program crashed. It starts one process, and another only where its restart policy requires it. Finished work never runs
/// again.
final class LaunchChecker: Checker {
    private struct Book {
        var worker: WorkerRef
        var machine: Int
        var policy: RestartPolicy
        var starts: Int64 = 0
        var launchFailures = 0
        var living = 0
        var lastEnd: WorkerExit?
        var lastEndHasRecord = false
    }
    let name = "exactly once"
    private var books: [Book] = []
    private var bookOf = Table<WorkerRef, Int>()
    private var askedNames = Table<String, Int>()
    private var workerOfOperation = Table<String, WorkerRef>()
    private var endOfOperation = Table<String, WorkerRef>()
    private var operationOfWorker = Table<WorkerRef, String>()
    private var accepted: [WorkerRef] = []
    private var newest = Table<String, UInt64>()
    /// Names that an operator asked to stop or remove, whether or not the command was received.
    private var unwanted = Table<String, Bool>()

    func observe(_ fact: Fact, now: Instant) -> [String] {
        switch fact {
        case .processStarted(let machine, let worker, let spec, let pid): return started(machine, worker, spec, pid)
        case .processEnded(_, let worker, _, let exit, let hasRecord): return ended(worker, exit, hasRecord)
        case .launchFailed(_, let worker):
            guard let index = bookOf[worker] else {
                return opened(worker, machine: 0, policy: RestartPolicy()) { $0.launchFailures = 1 }
            }
            books[index].launchFailures += 1
        case .asked(let command): asked(command)
        case .replied(let command, .success(.worker(let view))): return replied(command, view)
        case .replied(let command, .success):
            if command.isNonsense { return ["nonsense was granted: \(command.request)"] }
        case .replied, .filesRemoved, .spun, .held, .silenced, .receivedAgain, .snapshot, .overlay: break
        }
        return []
    }

    private func asked(_ command: Command) {
        switch command.request {
        case .workersRun(let run): if let name = run.name { askedNames[name, default: 0] += 1 }
        case .workersStop(let stop): unwanted[stop.name] = true
        case .workersRemove(let remove): unwanted[remove.name] = true
        default: break
        }
    }

    private func replied(_ command: Command, _ view: WorkerView) -> [String] {
        guard !command.isNonsense else { return ["nonsense was granted: \(command.request)"] }
        if let operation = command.operation, command.isEnd { return ended(by: operation, view) }
        guard case .workersRun(let run) = command.request, let operation = run.operation else { return [] }
        let worker = WorkerRef(view.name, generation: view.generation)
        if let first = workerOfOperation[operation] {
            return first == worker ? [] : ["operation \(operation) made \(first) and then \(worker)"]
        }
        workerOfOperation[operation] = worker
        if let other = operationOfWorker[worker] {
            return ["operations \(other) and \(operation) were both answered with \(worker)"]
        }
        operationOfWorker[worker] = operation
        accepted.append(worker)
        newest[worker.name] = max(newest[worker.name] ?? 0, worker.generation)
        return []
    }

    /// A `stop` or `remove` that is sent again must not affect a later run of that name.
    private func ended(by operation: String, _ view: WorkerView) -> [String] {
        let worker = WorkerRef(view.name, generation: view.generation)
        if let first = endOfOperation[operation], first != worker {
            return ["operation \(operation) ended \(first) and then \(worker)"]
        }
        endOfOperation[operation] = worker
        return []
    }

    private func opened(
        _ worker: WorkerRef, machine: Int, policy: RestartPolicy, _ change: (inout Book) -> Void
    ) -> [String] {
        var book = Book(worker: worker, machine: machine, policy: policy)
        change(&book)
        bookOf[worker] = books.count
        books.append(book)
        return askedNames[worker.name] == nil ? ["\(worker) was started and nobody had asked for it"] : []
    }

    private func started(_ machine: Int, _ worker: WorkerRef, _ spec: WorkerSpec, _ pid: Int32) -> [String] {
        guard let index = bookOf[worker] else {
            return opened(worker, machine: machine, policy: spec.restart) {
                $0.starts = 1
                $0.living = 1
            }
        }
        defer {
            books[index].starts += 1
            books[index].living += 1
        }
        guard books[index].starts > 0 else {
            books[index].machine = machine
            books[index].policy = spec.restart
            return []
        }
        return problems(of: books[index], startingAgainOn: machine, pid)
    }

    private func problems(of book: Book, startingAgainOn machine: Int, _ pid: Int32) -> [String] {
        var found: [String] = []
        let what = "\(book.worker) was started again (pid \(pid), start \(book.starts + 1))"
        if book.machine != machine { found.append("\(what) on node-\(machine), after node-\(book.machine)") }
        if book.living > 0 { found.append("\(what) while a process of it lived") }
        switch book.policy.mode {
        case .never: found.append("\(what), and its policy is never")
        case .onFailure:
            if book.lastEndHasRecord, book.lastEnd?.isSuccess == true {
                found.append("\(what) after its success, and its policy is on-failure")
            }
        case .always: break
        }
        // Here a whole run is shorter than any policy's window.
        if book.starts > book.policy.maxRestarts {
            found.append("\(what), and its budget is \(book.policy.maxRestarts) restarts")
        }
        return found
    }

    private func ended(_ worker: WorkerRef, _ exit: WorkerExit, _ hasRecord: Bool) -> [String] {
        guard let index = bookOf[worker] else { return ["\(worker) ended and had never started"] }
        books[index].living -= 1
        books[index].lastEnd = exit
        books[index].lastEndHasRecord = hasRecord
        return []
    }

    func unsettled(_ snapshot: FleetSnapshot, now: Instant) -> [String] {
        guard let views = snapshot.workers else { return ["the controller does not answer"] }
        var known = Table<String, UInt64>()
        for view in views { known[view.name] = max(known[view.name] ?? 0, view.generation) }
        var missing: [String] = []
        for worker in accepted where unwanted[worker.name] == nil && newest[worker.name] == worker.generation {
            if (known[worker.name] ?? 0) < worker.generation {
                missing.append("\(worker) was accepted, and the controller does not know it")
            } else if !attempted(worker), !isOutOfReach(worker, views, snapshot) {
                missing.append("\(worker) was accepted, and never started")
            }
        }
        return missing
    }

    private func attempted(_ worker: WorkerRef) -> Bool {
        bookOf[worker].map { books[$0].starts > 0 || books[$0].launchFailures > 0 } ?? false
    }

    private func isOutOfReach(_ worker: WorkerRef, _ views: [WorkerView], _ snapshot: FleetSnapshot) -> Bool {
        guard let node = views.first(where: { $0.name == worker.name })?.node else { return false }
        return !(snapshot.machines.first { $0.node == node }?.isUp ?? false)
    }
}
