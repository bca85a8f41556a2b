package import Base
package import Wire

/// # The workers of one node
///
/// The supervisor holds what should run, knows what runs, and decides what to do about the difference. It works without
/// its controller: when disconnected it continues to restart and end workers as last requested.
///
/// ```
///  controller ── desired ──→ ┌────────────┐ ── launch, signal, killTree, remove ──→ shell ──→ shims
///  disk ── AgentRecord ────→ │ Supervisor │ ── persist ──→ disk
///  shell ── adopted ───────→ └────────────┘ ←── launched, launchFailed, exited, lost, stillThere ── shell
/// ```
///
/// Its life begins with `adopted`: all traces that the machine has of workers. Before that it launches nothing and
/// accepts no new requests. The rules, each with a test:
/// - A generation starts only when every older one of its name is dead. Older ones are ended as soon as a newer one is
///   desired.
/// - A finished generation never runs again, whatever crashes: its end is on the disk before anything depends on it.
/// - An older revision, an edit of another revision, and a lower generation change nothing.
/// - A process that is found alive and is not known stays alive. It is reported as quarantined, and its name cannot be
///   used until the controller names it.
/// - An end is kept until the controller removes the worker, or replaces it with a newer generation.
package struct Supervisor: Sendable {
    /// Sorted by name and generation.
    private var workers: [Worker]
    package private(set) var revision: UInt64
    /// False until `adopted`.
    package private(set) var isAdopted = false
    /// Requests that were refused because the node has twice `Limits.workersPerNode` workers.
    package private(set) var refusedOverLimit: UInt64 = 0
    private var random: Random
    /// What the disk has differs from what is here.
    private var isDirty = false
    /// The latest time to write a difference that could be found again.
    private var writeBy: Instant?

    /// Changes that the agent could find again after a crash are collected for this time.
    private static let writeDelay = Interval.seconds(1)

    package init(record: AgentRecord, seed: Seed) {
        workers = record.workers.map { Worker($0) }.sorted { $0.ref < $1.ref }
        revision = record.revision
        random = Random(seed)
    }

    /// All of them, sorted by name and generation.
    package var statuses: [WorkerStatus] { workers.map(\.status) }

    package var record: AgentRecord {
        AgentRecord(revision: revision, workers: workers.filter { !$0.isQuarantined }.map(\.record))
    }

    /// The newest generation of a name.
    package func newest(of name: String) -> WorkerStatus? { workers[range(of: name)].last?.status }

    /// What the newest generation of each name is to run; `nil` for what is quarantined.
    package func desired(for ref: WorkerRef) -> DesiredWorker? {
        guard let index = index(of: ref), !workers[index].isQuarantined else { return nil }
        return workers[index].desired
    }

    /// Workers that have or will have a process.
    package var activeCount: Int { workers.count { !$0.isFinished } }

    package var deadline: Deadline? {
        guard isAdopted else { return nil }
        var earliest = writeBy.map { Deadline($0, "worker record") }
        for worker in workers { earliest = Deadline.earliest(earliest, worker.deadline) }
        return earliest
    }
}

// MARK: - Requests

extension Supervisor {
    /// The result of a `Desired`.
    package enum Outcome: Hashable, Sendable {
        case applied
        /// This revision, or a later one, is here already.
        case known
        /// It edits a revision that is not the one here.
        case otherBase
        /// The machine has not been looked at yet.
        case notReady
    }

    package mutating func desired(
        _ desired: Desired, now: Instant, into out: inout [SupervisorAction]
    ) -> Outcome {
        guard isAdopted else { return .notReady }
        guard desired.revision > revision else { return .known }
        guard desired.baseRevision == 0 || desired.baseRevision == revision else { return .otherBase }
        var actions: [SupervisorAction] = []
        if desired.baseRevision == 0 { removeUnnamed(by: desired, now: now, into: &actions) }
        for name in desired.removals { remove(name, now: now, into: &actions) }
        for target in desired.upserts { upsert(target, now: now, into: &actions) }
        revision = desired.revision
        isDirty = true
        settle(&actions, now: now, into: &out)
        return .applied
    }

    private mutating func removeUnnamed(by desired: Desired, now: Instant, into out: inout [SupervisorAction]) {
        let names = desired.upserts.map(\.worker.name).sorted()
        for index in workers.indices
        where !workers[index].isQuarantined && !names.containsSorted(workers[index].ref.name) {
            workers[index].isLeaving = true
            workers[index].stop(now: now, into: &out)
        }
    }

    private mutating func remove(_ name: String, now: Instant, into out: inout [SupervisorAction]) {
        for index in range(of: name) {
            workers[index].isLeaving = true
            workers[index].stop(now: now, into: &out)
        }
    }

    private mutating func upsert(_ target: DesiredWorker, now: Instant, into out: inout [SupervisorAction]) {
        let range = range(of: target.worker.name)
        if let newest = workers[range].last?.ref.generation, newest > target.worker.generation { return }
        for index in range where workers[index].ref.generation < target.worker.generation {
            workers[index].isLeaving = true
            workers[index].stop(now: now, into: &out)
        }
        if let index = index(of: target.worker) {
            workers[index].isLeaving = false
            workers[index].update(target, now: now, into: &out)
        } else if workers.count < 2 * Limits.workersPerNode {
            workers.insert(Worker(target), at: range.upperBound)
        } else {
            refusedOverLimit += 1
        }
    }
}

// MARK: - What happens

extension Supervisor {
    /// Everything the machine knows of workers, reported once, at the start.
    package mutating func adopted(
        _ found: [AdoptedWorker], at wall: UnixTime, now: Instant, into out: inout [SupervisorAction]
    ) {
        precondition(!isAdopted, "adopted twice")
        isAdopted = true
        isDirty = true
        var actions: [SupervisorAction] = []
        let refs = found.map(\.worker).sorted()
        for index in workers.indices where !refs.containsSorted(workers[index].ref) {
            workers[index].absent(at: wall, now: now, random: &random)
        }
        for adopted in found { adopt(adopted, at: wall, now: now, into: &actions) }
        settle(&actions, now: now, into: &out)
    }

    private mutating func adopt(
        _ adopted: AdoptedWorker, at wall: UnixTime, now: Instant, into out: inout [SupervisorAction]
    ) {
        if index(of: adopted.worker) == nil {
            // No trace of it is left, so there is nothing to report or to protect.
            if case .neverStarted = adopted.state { return }
            let place = workers.partitioningIndex { adopted.worker < $0.ref }
            workers.insert(Worker(quarantined: adopted.worker), at: place)
        }
        // It has just been put there, if it was not.
        let index = index(of: adopted.worker)!
        switch adopted.state {
        case .starting: workers[index].adoptLaunch(now: now, into: &out)
        case .running(let pid, let startedAt, let containment):
            workers[index].adopt(pid: pid, startedAt: startedAt, containment: containment, now: now, into: &out)
        case .exited(let exit, let logBytes):
            workers[index].logBytes = logBytes
            workers[index].adoptEnd(exit, at: exit.at, now: now, random: &random)
        case .launchFailed(let problem):
            workers[index].adoptFailure(problem, at: wall, now: now, random: &random)
        case .lost(let at): workers[index].adoptEnd(nil, at: at, now: now, random: &random)
        case .vanished:
            workers[index].adoptUnseen("its shim is gone; what it left is being killed", now: now, into: &out)
        case .unknown: workers[index].adoptUnseen("something that cannot be found holds it", now: now, into: &out)
        case .neverStarted: workers[index].absent(at: wall, now: now, random: &random)
        }
    }

    package mutating func launched(
        _ ref: WorkerRef, pid: Int32, startedAt: UnixTime, containment: Containment, now: Instant,
        into out: inout [SupervisorAction]
    ) {
        guard let index = index(of: ref) else { return }
        var actions: [SupervisorAction] = []
        workers[index].launched(
            pid: pid, startedAt: startedAt, containment: containment, now: now, into: &actions)
        if writeBy == nil { writeBy = now + Supervisor.writeDelay }
        settle(&actions, now: now, into: &out)
    }

    package mutating func launchFailed(
        _ ref: WorkerRef, _ problem: SpecProblem, at wall: UnixTime, now: Instant, into out: inout [SupervisorAction]
    ) {
        guard let index = index(of: ref) else { return }
        workers[index].launchFailed(problem, at: wall, now: now, random: &random)
        isDirty = true
        var actions: [SupervisorAction] = []
        settle(&actions, now: now, into: &out)
    }

    /// No process of it is left, and this is how its first one ended.
    package mutating func exited(
        _ ref: WorkerRef, _ exit: WorkerExit, logBytes: Int64 = 0, now: Instant,
        into out: inout [SupervisorAction]
    ) {
        if let index = index(of: ref) { workers[index].logBytes = max(workers[index].logBytes, logBytes) }
        ended(ref, exit, at: exit.at, now: now, into: &out)
    }

    /// No process of it is left, and there is no record of how it ended.
    package mutating func lost(
        _ ref: WorkerRef, at wall: UnixTime, now: Instant, into out: inout [SupervisorAction]
    ) {
        ended(ref, nil, at: wall, now: now, into: &out)
    }

    private mutating func ended(
        _ ref: WorkerRef, _ exit: WorkerExit?, at wall: UnixTime, now: Instant, into out: inout [SupervisorAction]
    ) {
        guard let index = index(of: ref) else { return }
        workers[index].exited(exit, at: wall, now: now, random: &random)
        isDirty = true
        var actions: [SupervisorAction] = []
        settle(&actions, now: now, into: &out)
    }

    /// SIGKILL was sent to all of it, and a process is still there.
    package mutating func stillThere(_ ref: WorkerRef) {
        if let index = index(of: ref) { workers[index].stillThere() }
    }

    package mutating func tick(now: Instant, into out: inout [SupervisorAction]) {
        guard isAdopted else { return }
        var actions: [SupervisorAction] = []
        for index in workers.indices { workers[index].tick(now: now, into: &actions) }
        if let writeBy, writeBy <= now { isDirty = true }
        settle(&actions, now: now, into: &out)
    }
}

// MARK: - The difference

extension Supervisor {
    /// Ends every input. It removes workers that are dead and not desired, and starts those that may start. It orders
    /// the actions so that a crash between any two of them does no harm.
    private mutating func settle(
        _ actions: inout [SupervisorAction], now: Instant, into out: inout [SupervisorAction]
    ) {
        guard isAdopted else { return }
        var gone = false
        for worker in workers where worker.isLeaving && worker.isFinished && !worker.mayLive {
            // Files are deleted before the record. In the other order, a crash would leave files without a record.
            out.append(.remove(worker.ref))
            gone = true
        }
        if gone {
            workers.removeAll { $0.isLeaving && $0.isFinished && !$0.mayLive }
            isDirty = true
        }
        for index in workers.indices where workers[index].phase == .pending && mayStart(index) {
            workers[index].launch(into: &actions)
            isDirty = true
        }
        if isDirty {
            out.append(.persist(record.encoded()))
            isDirty = false
            writeBy = nil
        }
        out.append(contentsOf: actions)
    }

    private func mayStart(_ index: Int) -> Bool {
        range(of: workers[index].ref.name).allSatisfy { !workers[$0].mayLive }
    }

    private func index(of ref: WorkerRef) -> Int? {
        let index = workers.partitioningIndex { !($0.ref < ref) }
        return index < workers.count && workers[index].ref == ref ? index : nil
    }

    private func range(of name: String) -> Range<Int> {
        let start = workers.partitioningIndex { !($0.ref.name < name) }
        var end = start
        while end < workers.count, workers[end].ref.name == name { end += 1 }
        return start..<end
    }
}

extension Array {
    /// The first index whose element belongs to the second part, in an array that is parted by `belongs`.
    func partitioningIndex(_ belongs: (Element) -> Bool) -> Int {
        var low = 0, high = count
        while low < high {
            let middle = (low + high) / 2
            if belongs(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

extension Array where Element: Comparable {
    func containsSorted(_ element: Element) -> Bool {
        let index = partitioningIndex { !($0 < element) }
        return index < count && self[index] == element
    }
}
