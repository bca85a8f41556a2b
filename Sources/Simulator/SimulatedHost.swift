import Base
import Wire

/// # A machine's workers
///
/// The host is what the daemon's worker host, the shims and the kernel are together: it executes an agent's actions and
/// reports their results to the agent. It belongs to the machine and not to the agent. So its processes live on when the
/// agent dies, and their shims record how they ended; a restarted agent finds `traces`. Only a reboot ends them all, and
/// leaves no record.
final class SimulatedHost {
    struct Process {
        var worker: WorkerRef
        var pid: Int32
        var script: WorkerScript
        var spec: WorkerSpec
        var startedAt: UnixTime
        var isAlive = true
        /// The signal that is ending it, which its exit will state.
        var dyingOf: Int32?
        var isKilled = false
    }
    /// The files of one worker.
    struct Trace {
        var worker: WorkerRef
        var process: Int
        var exit: WorkerExit?
    }
    /// What the host reports to the agent.
    enum Message {
        case launched(WorkerRef, pid: Int32, startedAt: UnixTime)
        case launchFailed(WorkerRef, SpecProblem)
        case exited(WorkerRef, WorkerExit)
        case lost(WorkerRef)
        case stillThere(WorkerRef)
        case checked(operation: UInt64, problems: [SpecProblem])
        case resolved(HostPort, [IPAddress])
    }
    struct Planned {
        var process: Int
        var step: ProcessStep
        var after: Interval
    }

    let machine: Int
    private(set) var processes: [Process] = []
    /// Sorted by worker.
    private(set) var traces: [Trace] = []
    private var lastPID: Int32 = 1000
    private let mutation: Scenario.Mutation?
    private var facts: [Fact] = []
    private var messages: [Message] = []
    private var plans: [Planned] = []

    init(machine: Int, mutation: Scenario.Mutation?) {
        self.machine = machine
        self.mutation = mutation
    }

    /// The facts that the methods below have caused, the messages for the agent, and what happens later. Taken by the
    /// simulation after each of them.
    func takeOutput() -> (facts: [Fact], messages: [Message], plans: [Planned]) {
        defer { (facts, messages, plans) = ([], [], []) }
        return (facts, messages, plans)
    }

    var living: [(worker: WorkerRef, pid: Int32)] {
        traces.filter { processes[$0.process].isAlive }.map { ($0.worker, processes[$0.process].pid) }
            + strays.map { (processes[$0].worker, processes[$0].pid) }
    }
    /// Living processes that no trace points to; there are some only where a mutation is active.
    private var strays: [Int] {
        processes.indices.filter { index in
            processes[index].isAlive && !traces.contains { $0.process == index }
        }
    }

    func launch(_ worker: WorkerRef, _ spec: WorkerSpec, wall: UnixTime) {
        guard let script = WorkerScript(command: spec.command), script.kind != .missing else {
            facts.append(.launchFailed(machine: machine, worker: worker))
            let problem = SpecProblem("command", "'\(spec.command.first ?? "")' does not exist")
            messages.append(.launchFailed(worker, problem))
            return
        }
        let process = start(worker, spec, script, wall: wall)
        messages.append(.launched(worker, pid: processes[process].pid, startedAt: wall))
        if mutation == .startsTwice, processes[process].pid % 3 == 0 {
            _ = start(worker, spec, script, wall: wall)
        }
    }

    private func start(_ worker: WorkerRef, _ spec: WorkerSpec, _ script: WorkerScript, wall: UnixTime) -> Int {
        lastPID += 1
        let process = processes.count
        processes.append(
            Process(worker: worker, pid: lastPID, script: script, spec: spec, startedAt: wall))
        let trace = Trace(worker: worker, process: process)
        if let index = traces.firstIndex(where: { $0.worker == worker }) {
            traces[index] = trace
        } else {
            traces.insert(trace, at: traces.firstIndex { worker < $0.worker } ?? traces.count)
        }
        facts.append(.processStarted(machine: machine, worker: worker, spec: spec, pid: lastPID))
        if let natural = script.natural {
            plans.append(Planned(process: process, step: .endsByItself, after: natural.after))
        }
        return process
    }

    func signal(_ worker: WorkerRef, _ number: Int32) {
        guard let process = living(worker), processes[process].dyingOf == nil else { return }
        guard number != 9 else { return killTree(worker) }
        guard let after = processes[process].script.obedience else { return }
        processes[process].dyingOf = number
        plans.append(Planned(process: process, step: .endsBySignal, after: after))
    }

    func killTree(_ worker: WorkerRef) {
        guard let process = living(worker) else {
            // It is gone already, and its `exited` is on the way or was lost with an agent's life: report it again.
            if let trace = traces.first(where: { $0.worker == worker }) {
                messages.append(trace.exit.map { .exited(worker, $0) } ?? .lost(worker))
            } else {
                messages.append(.lost(worker))
            }
            return
        }
        if mutation == .forgetsKills {
            let exit = WorkerExit(status: nil, signal: 9, at: processes[process].startedAt + .seconds(1))
            messages.append(.exited(worker, exit))
            return
        }
        guard !processes[process].isKilled else {
            if processes[process].script.kind == .stuck { messages.append(.stillThere(worker)) }
            return
        }
        processes[process].isKilled = true
        if processes[process].script.kind == .stuck {
            plans.append(Planned(process: process, step: .isStillThere, after: .milliseconds(500)))
            plans.append(Planned(process: process, step: .endsByKill, after: processes[process].script.time))
        } else {
            plans.append(Planned(process: process, step: .endsByKill, after: .milliseconds(3)))
        }
    }

    func remove(_ worker: WorkerRef) {
        let isAlive = living(worker) != nil
        facts.append(.filesRemoved(machine: machine, worker: worker, isAlive: isAlive))
        traces.removeAll { $0.worker == worker && !processes[$0.process].isAlive }
    }

    /// Could this be started?
    func check(_ operation: UInt64, _ spec: WorkerSpec) {
        let isThere = WorkerScript(command: spec.command).map { $0.kind != .missing || $0.status % 2 == 0 } ?? false
        // Half of the missing programs vanish only after they were checked.
        let problems = isThere ? [] : [SpecProblem("command", "'\(spec.command.first ?? "")' does not exist")]
        messages.append(.checked(operation: operation, problems: problems))
    }

    /// Executes a planned step of a script.
    func step(_ process: Int, _ step: ProcessStep, wall: UnixTime) {
        guard processes[process].isAlive else { return }
        switch step {
        case .endsByItself:
            guard let natural = processes[process].script.natural else { return }
            end(process, WorkerExit(status: natural.status, signal: nil, at: wall))
        case .endsBySignal:
            // Half of all programs catch the signal and end as they like.
            let caught = processes[process].pid % 2 == 0
            end(
                process,
                WorkerExit(status: caught ? 0 : nil, signal: caught ? nil : processes[process].dyingOf, at: wall))
        case .endsByKill: end(process, WorkerExit(status: nil, signal: 9, at: wall))
        case .isStillThere: messages.append(.stillThere(processes[process].worker))
        }
    }

    private func end(_ process: Int, _ exit: WorkerExit) {
        processes[process].isAlive = false
        let worker = processes[process].worker
        facts.append(
            .processEnded(
                machine: machine, worker: worker, pid: processes[process].pid, exit: exit, hasRecord: true))
        guard let index = traces.firstIndex(where: { $0.process == process }) else { return }
        var informed: WorkerExit? = exit
        if mutation == .changesExits, let status = exit.status { informed?.status = status + 1 }
        if mutation == .losesExits { informed = nil }
        traces[index].exit = informed
        messages.append(informed.map { .exited(worker, $0) } ?? .lost(worker))
        if mutation == .revives {
            let dead = processes[process]
            _ = start(worker, dead.spec, dead.script, wall: exit.at + .milliseconds(1))
        }
    }

    /// The machine stops and starts again: all processes end, without a record.
    func reboot(wall: UnixTime) {
        for process in processes.indices where processes[process].isAlive {
            processes[process].isAlive = false
            facts.append(
                .processEnded(
                    machine: machine, worker: processes[process].worker, pid: processes[process].pid,
                    exit: WorkerExit(status: nil, signal: nil, at: wall), hasRecord: false))
        }
    }

    /// A mutation of the disk: workers that have ended leave no trace.
    func forgetEnded() { traces.removeAll { !processes[$0.process].isAlive } }

    func process(_ index: Int) -> Process { processes[index] }

    private func living(_ worker: WorkerRef) -> Int? {
        guard let trace = traces.first(where: { $0.worker == worker }), processes[trace.process].isAlive else {
            return nil
        }
        return trace.process
    }
}
