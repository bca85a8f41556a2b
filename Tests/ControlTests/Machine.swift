import Base
import Control
import OrderedCollections
import Testing
import Wire

/// A machine with a disk, shims that outlive the agent, and an agent that may be killed between any two actions: what
/// the supervisor's property tests run on. It checks the laws from outside and records violations.
struct Machine {
    struct Shim: Hashable {
        var pid: Int32
        var isRunning = true
        var exit: WorkerExit?
        /// Does not end by the stop signal.
        var isDeaf = false
    }
    enum Fact {
        case launched(WorkerRef, pid: Int32)
        case failed(WorkerRef)
        case exited(WorkerRef, WorkerExit?)
    }

    var supervisor: Supervisor?
    /// What survives a kill -9 of the agent.
    var record = AgentRecord()
    var shims = OrderedDictionary<WorkerRef, Shim>()
    /// Inputs for the agent, in order; lost when it is killed.
    var facts: [Fact] = []
    /// Not executed yet; lost when the agent is killed.
    var actions: [SupervisorAction] = []

    var now = Instant(nanoseconds: 1_000_000_000)
    var random: Random
    var nextPID: Int32 = 100
    /// How many processes each generation ever had.
    var launches = OrderedDictionary<WorkerRef, Int>()
    /// Results that the agent has reported; they must never change.
    var informed = OrderedDictionary<WorkerRef, WorkerState>()
    /// Generations that the agent has ordered to remove.
    var violations: [String] = []
    var failsLaunches = false

    init(_ seed: UInt64) { random = Random(Seed(seed)) }

    var wall: UnixTime { UnixTime(milliseconds: Int64(now.nanoseconds / 1_000_000)) }

    mutating func start() {
        supervisor = Supervisor(record: record, seed: Seed(random.next()))
        let found = shims.map { ref, shim -> AdoptedWorker in
            if shim.isRunning {
                return AdoptedWorker(ref, .running(pid: shim.pid, startedAt: wall, containment: .subreaper))
            }
            return AdoptedWorker(ref, shim.exit.map { .exited($0, logBytes: 7) } ?? .lost(at: wall))
        }
        supervisor!.adopted(found, at: wall, now: now, into: &actions)
        look()
    }

    mutating func kill() {
        supervisor = nil
        facts = []
        actions = []
    }

    /// Every process ends, and the state directory stays; the agent with them.
    mutating func reboot() {
        kill()
        for ref in shims.keys where shims[ref]!.isRunning {
            shims[ref]!.isRunning = false
            shims[ref]!.exit = nil
        }
    }

    mutating func apply(_ desired: Desired) -> Supervisor.Outcome? {
        let before = supervisor?.revision
        let outcome = supervisor?.desired(desired, now: now, into: &actions)
        if let before, let after = supervisor?.revision, after < before {
            violations.append("revision fell from \(before) to \(after)")
        }
        look()
        return outcome
    }

    /// Executes the first action that waits.
    mutating func act() {
        guard !actions.isEmpty else { return }
        switch actions.removeFirst() {
        case .persist(let bytes):
            // What the agent wrote can be read.
            record = try! AgentRecord(decoding: bytes)
        case .launch(let ref, _): launch(ref)
        case .signal(let ref, _):
            if let shim = shims[ref], shim.isRunning, !shim.isDeaf {
                end(ref, WorkerExit(status: nil, signal: 15, at: wall))
            }
        case .killTree(let ref):
            if shims[ref]?.isRunning == true { end(ref, WorkerExit(status: nil, signal: 9, at: wall)) }
        case .remove(let ref):
            if shims[ref]?.isRunning == true { violations.append("\(ref) removed while it runs") }
            shims.removeValue(forKey: ref)
        }
    }

    private mutating func launch(_ ref: WorkerRef) {
        for (other, shim) in shims where other.name == ref.name && shim.isRunning {
            violations.append("\(ref) launched while \(other) runs")
        }
        if let result = informed[ref] { violations.append("\(ref) launched again after it had \(result)") }
        if failsLaunches, random.chance(1, in: 4) {
            facts.append(.failed(ref))
            return
        }
        nextPID += 1
        launches[ref, default: 0] += 1
        shims[ref] = Shim(pid: nextPID, isDeaf: random.chance(1, in: 4))
        facts.append(.launched(ref, pid: nextPID))
    }

    mutating func end(_ ref: WorkerRef, _ exit: WorkerExit?) {
        shims[ref]!.isRunning = false
        shims[ref]!.exit = exit
        if supervisor != nil { facts.append(.exited(ref, exit)) }
    }

    /// Gives the agent the first input that it has not received.
    mutating func notify() {
        guard supervisor != nil, !facts.isEmpty else { return }
        switch facts.removeFirst() {
        case .launched(let ref, let pid):
            supervisor!.launched(
                ref, pid: pid, startedAt: wall, containment: .subreaper, now: now, into: &actions)
        case .failed(let ref):
            supervisor!.launchFailed(
                ref, SpecProblem("command", "is not there"), at: wall, now: now, into: &actions)
        case .exited(let ref, let exit?): supervisor!.exited(ref, exit, now: now, into: &actions)
        case .exited(let ref, nil): supervisor!.lost(ref, at: wall, now: now, into: &actions)
        }
        look()
    }

    mutating func wait(_ interval: Interval) {
        now = now + interval
        supervisor?.tick(now: now, into: &actions)
        look()
    }

    /// Runs until nothing is left to do now.
    mutating func drain() {
        var steps = 0
        while !actions.isEmpty || !facts.isEmpty, steps < 100_000 {
            while !actions.isEmpty { act() }
            notify()
            steps += 1
        }
    }

    /// What the agent has reported of an end stays as it is.
    private mutating func look() {
        guard let supervisor else { return }
        for status in supervisor.statuses where status.state.isFinal {
            // Nothing is reported until it is on the disk: the shell sends reports after it has persisted.
            guard record.workers.contains(where: { $0.desired.worker == status.worker && $0.state == status.state })
            else { continue }
            if let before = informed[status.worker], before != status.state {
                violations.append("\(status.worker) was \(before) and is \(status.state)")
            }
            informed[status.worker] = status.state
        }
    }
}
