import Base
import Wire

/// # One worker's life
///
/// A `Worker` is one generation of one name, from the request to run it to the proof that it is dead. `WorkerStatus.swift`
/// in `Wire` draws its states. It decides nothing about other generations; `Supervisor` decides when it may start.
///
/// The rules, each with a test:
/// - It is launched only out of `pending`, and `pending` is entered only where nothing of it lives.
/// - `finished` is final: no input leads out of it. Another run is another generation.
/// - A request to end it (`stop`) is never taken back. Before a launch it ends at once. During one it waits for the answer,
///   because there is nothing yet to signal. After one it follows its policy: signal, grace period, kill the tree.
/// - `exited` and `lost` mean that no process of it is left, descendants included. They are reported only with proof.
/// - Every end is counted against its restart policy, once. The budget is computed from wall-clock times of the
///   machine, so a new start of the agent does not refill it.
struct Worker: Sendable {
    enum Phase: Hashable, Sendable {
        case pending
        case starting
        case running
        case backoff(until: Instant)
        case stopping(StopStep)
        case finished(WorkerState)
    }

    enum StopStep: Hashable, Sendable {
        /// The launch is under way; its answer decides.
        case awaitingLaunch
        case signalled(patience: Instant)
        /// Everything was sent SIGKILL; at `again` it is sent once more.
        case killed(again: Instant, isStuck: Bool)
    }

    let ref: WorkerRef
    private(set) var desired: DesiredWorker
    private(set) var phase = Phase.pending
    /// To be ended, by command, by removal or by a newer generation.
    private(set) var isEnding = false
    /// To be forgotten when it is dead.
    var isLeaving = false
    /// Found running and not known here: it is not touched, and is reported, until the controller names it.
    private(set) var isQuarantined = false
    /// It had ended, but a process of it was found alive. That is killed, and again at this time, until it is dead.
    private(set) var remnant: Instant?

    private(set) var pid: Int32?
    private(set) var startedAt: UnixTime?
    private(set) var containment: Containment?
    private(set) var lastExit: WorkerExit?
    private(set) var restarts: Int64 = 0
    private(set) var consecutiveFailures: Int64 = 0
    private(set) var restartedAt: [UnixTime] = []
    private(set) var reason: String?
    var logBytes: Int64 = 0

    /// After this long alive, a worker's earlier failures are forgiven.
    static let failuresExpireAfter = Interval.minutes(10)
    /// Between one SIGKILL and the next, and until 'stuck' is reported.
    static let killPatience = Interval.seconds(10)

    init(_ desired: DesiredWorker) {
        ref = desired.worker
        self.desired = desired
        isEnding = !desired.run
        if isEnding { phase = .finished(.stopped) }
    }

    /// A process that runs under a name this agent does not know.
    init(quarantined ref: WorkerRef) {
        self.ref = ref
        desired = DesiredWorker(ref, spec: WorkerSpec(command: []), run: true, operation: "")
        isQuarantined = true
        phase = .running
        reason = "quarantined: this agent did not start it, and it is not desired"
    }

    var isFinished: Bool { if case .finished = phase { true } else { false } }

    /// Whether a process of it may live.
    var mayLive: Bool {
        switch phase {
        case .pending, .backoff: false
        case .finished: remnant != nil
        case .starting, .running, .stopping: true
        }
    }

    var state: WorkerState {
        switch phase {
        case .pending: .pending
        case .starting: .starting
        case .running: .running
        case .backoff: .backoff
        case .stopping(.killed(_, isStuck: true)): .stuck
        case .stopping: .stopping
        case .finished(let state): state
        }
    }

    var deadline: Deadline? {
        switch phase {
        case .pending, .starting, .running, .stopping(.awaitingLaunch): nil
        case .finished: remnant.map { Deadline($0, "worker remnant") }
        case .backoff(let until): Deadline(until, "worker backoff")
        case .stopping(.signalled(let patience)): Deadline(patience, "worker grace")
        case .stopping(.killed(let again, _)): Deadline(again, "worker kill")
        }
    }

    var status: WorkerStatus {
        var status = WorkerStatus(ref, state)
        status.pid = pid
        status.startedAt = startedAt
        status.restarts = restarts
        status.lastExit = lastExit
        status.reason = reason
        status.containment = containment
        status.logBytes = logBytes
        return status
    }
}

// MARK: - Requests

extension Worker {
    /// The same generation was requested again, possibly with `run` withdrawn. Its program cannot change any more; how
    /// it is to be ended is not.
    mutating func update(_ target: DesiredWorker, now: Instant, into out: inout [SupervisorAction]) {
        precondition(target.worker == ref, "\(target.worker) is not \(ref)")
        if isQuarantined {
            // The controller knows it.
            isQuarantined = false
            reason = nil
            desired = target
        }
        desired.operation = target.operation
        desired.spec.stop = target.spec.stop
        if !target.run { stop(now: now, into: &out) }
    }

    mutating func stop(now: Instant, into out: inout [SupervisorAction]) {
        isQuarantined = false
        desired.run = false
        guard !isEnding else { return }
        isEnding = true
        switch phase {
        case .pending, .backoff: phase = .finished(.stopped)
        case .starting: phase = .stopping(.awaitingLaunch)
        case .running: signal(now: now, into: &out)
        case .stopping, .finished: break
        }
    }

    private mutating func signal(now: Instant, into out: inout [SupervisorAction]) {
        let policy = desired.spec.stop
        // WorkerSpec.problems() refuses unknown names; TERM is the default.
        let number = policy.signalNumber ?? 15
        if number == 9 {
            kill(isStuck: false, now: now, into: &out)
        } else {
            out.append(.signal(ref, number))
            phase = .stopping(.signalled(patience: now + .seconds(min(86_400, max(0, policy.graceSeconds)))))
        }
    }

    private mutating func kill(isStuck: Bool, now: Instant, into out: inout [SupervisorAction]) {
        out.append(.killTree(ref))
        phase = .stopping(.killed(again: now + Worker.killPatience, isStuck: isStuck))
    }
}

// MARK: - What happens

extension Worker {
    /// Nothing of this name lives, and it is desired: begin.
    mutating func launch(into out: inout [SupervisorAction]) {
        precondition(phase == .pending && !isQuarantined, "launch of \(ref) in \(phase)")
        phase = .starting
        pid = nil
        startedAt = nil
        out.append(.launch(ref, desired.spec))
    }

    mutating func launched(
        pid: Int32, startedAt: UnixTime, containment: Containment, now: Instant, into out: inout [SupervisorAction]
    ) {
        switch phase {
        case .starting, .stopping(.awaitingLaunch):
            self.pid = pid
            self.startedAt = startedAt
            self.containment = containment
            reason = nil
            if phase == .starting { phase = .running } else { signal(now: now, into: &out) }
        case .pending, .running, .backoff, .stopping, .finished: break
        }
    }

    mutating func launchFailed(_ problem: SpecProblem, at wall: UnixTime, now: Instant, random: inout Random) {
        switch phase {
        case .starting: ended(nil, because: problem.description, at: wall, now: now, random: &random)
        case .stopping(.awaitingLaunch):
            reason = problem.description
            phase = .finished(.stopped)
        case .pending, .running, .backoff, .stopping, .finished: break
        }
    }

    /// It is dead, and so is every descendant. Without an `exit`, it is not known how it ended.
    mutating func exited(_ exit: WorkerExit?, at wall: UnixTime, now: Instant, random: inout Random) {
        guard mayLive else { return }
        if isFinished {
            remnant = nil
            return
        }
        if let exit { lastExit = exit }
        if isEnding {
            pid = nil
            phase = .finished(.stopped)
        } else if isQuarantined {
            pid = nil
            phase = .finished(exit?.isSuccess == true ? .succeeded : .failed)
        } else {
            let why = exit?.description ?? "its end was not seen, and left no record"
            ended(exit, because: why, at: wall, now: now, random: &random)
        }
    }

    private mutating func ended(
        _ exit: WorkerExit?, because why: String, at wall: UnixTime, now: Instant, random: inout Random
    ) {
        pid = nil
        let isSuccess = exit?.isSuccess == true
        let policy = desired.spec.restart
        let restarts =
            switch policy.mode {
            case .never: false
            case .onFailure: !isSuccess
            case .always: true
            }
        guard restarts else {
            reason = isSuccess ? nil : why
            phase = .finished(isSuccess ? .succeeded : .failed)
            return
        }
        let end = exit?.at ?? wall
        if let startedAt, end - startedAt >= Worker.failuresExpireAfter { consecutiveFailures = 0 }
        let window = Worker.interval(seconds: policy.windowSeconds)
        restartedAt.removeAll { end - $0 >= window }
        // A budget beyond what is remembered is no budget.
        if policy.maxRestarts < Limits.rememberedRestarts, restartedAt.count >= policy.maxRestarts {
            reason = "\(why); restarted \(restartedAt.count) times within \(policy.windowSeconds) s, its budget"
            phase = .finished(.failed)
            return
        }
        restartedAt.append(end)
        if restartedAt.count > Limits.rememberedRestarts { restartedAt.removeFirst() }
        reason = why
        self.restarts += 1
        phase = .backoff(until: now + delay(&random))
        consecutiveFailures += 1
    }

    /// A time of a policy. The controller checks specs, and another one may not: any number is a time here.
    private static func interval(seconds: Int64) -> Interval { .seconds(min(max(0, seconds), 1 << 32)) }

    private func delay(_ random: inout Random) -> Interval {
        let policy = desired.spec.restart
        let base = Backoff.delay(
            first: Worker.interval(seconds: policy.delaySeconds),
            longest: Worker.interval(seconds: policy.maxDelaySeconds),
            failures: consecutiveFailures)
        return random.jittered(base, percent: Backoff.jitterPercent)
    }

    /// SIGKILL was sent, and a process is still there.
    mutating func stillThere() {
        if case .stopping(.killed(let again, _)) = phase {
            phase = .stopping(.killed(again: again, isStuck: true))
            reason = "killed, and a process of it is still there (state D?)"
        }
    }

    mutating func tick(now: Instant, into out: inout [SupervisorAction]) {
        guard let deadline, deadline.at <= now else { return }
        switch phase {
        case .backoff: phase = .pending
        case .stopping(.signalled): kill(isStuck: false, now: now, into: &out)
        case .stopping(.killed):
            kill(isStuck: true, now: now, into: &out)
            stillThere()
        case .finished: killRemnant(now: now, into: &out)
        case .pending, .starting, .running, .stopping(.awaitingLaunch): break
        }
    }

    private mutating func killRemnant(now: Instant, into out: inout [SupervisorAction]) {
        out.append(.killTree(ref))
        remnant = now + Worker.killPatience
    }
}

// MARK: - Across a restart of the agent

extension Worker {
    init(_ record: WorkerRecord) {
        ref = record.desired.worker
        desired = record.desired
        isEnding = !record.desired.run
        isLeaving = record.isLeaving
        lastExit = record.lastExit
        restarts = record.restarts
        consecutiveFailures = record.consecutiveFailures
        restartedAt = record.restartedAt
        reason = record.reason
        // `adopt` or `absent` settles what was alive, before any other input arrives.
        phase =
            switch record.state {
            case .succeeded, .failed, .stopped: .finished(record.state)
            case .pending, .backoff: isEnding ? .finished(.stopped) : .pending
            case .starting: .starting
            case .running, .stopping, .stuck: .running
            }
    }

    var record: WorkerRecord {
        var record = WorkerRecord(desired, state: state)
        record.lastExit = lastExit
        record.restartedAt = restartedAt
        record.restarts = restarts
        record.consecutiveFailures = consecutiveFailures
        record.reason = reason
        record.isLeaving = isLeaving
        return record
    }

    /// Its process was found alive after a restart of the agent.
    mutating func adopt(
        pid: Int32, startedAt: UnixTime, containment: Containment, now: Instant, into out: inout [SupervisorAction]
    ) {
        if isFinished {
            killRemnant(now: now, into: &out)
            return
        }
        self.pid = pid
        self.startedAt = startedAt
        self.containment = containment
        phase = .running
        if isEnding { signal(now: now, into: &out) }
    }

    /// After a restart of the agent: it is being launched, and the answer will come.
    mutating func adoptLaunch(now: Instant, into out: inout [SupervisorAction]) {
        if isFinished {
            killRemnant(now: now, into: &out)
        } else {
            phase = isEnding ? .stopping(.awaitingLaunch) : .starting
        }
    }

    /// After a restart of the agent: it lives, or may live, and no more is known. Its end will be reported.
    mutating func adoptUnseen(_ why: String, now: Instant, into out: inout [SupervisorAction]) {
        if isFinished {
            killRemnant(now: now, into: &out)
            return
        }
        reason = why
        phase = .running
        if isEnding { kill(isStuck: false, now: now, into: &out) }
    }

    /// After a restart of the agent: it is dead, and `exit` is what its shim left.
    mutating func adoptEnd(_ exit: WorkerExit?, at wall: UnixTime, now: Instant, random: inout Random) {
        switch phase {
        // `starting` is on the disk before a launch, so `pending` and `backoff` mean that this end was counted.
        case .finished, .pending, .backoff: break
        case .starting where exit != nil && exit == lastExit:
            // That end was counted already; the attempt after it had not begun.
            absent(at: wall, now: now, random: &random)
        case .starting, .running, .stopping:
            phase = .running
            exited(exit, at: wall, now: now, random: &random)
        }
    }

    /// After a restart of the agent: it could not be launched.
    mutating func adoptFailure(_ problem: SpecProblem, at wall: UnixTime, now: Instant, random: inout Random) {
        switch phase {
        case .finished, .pending, .backoff: break
        case .starting, .running, .stopping:
            if isEnding {
                reason = problem.description
                phase = .finished(.stopped)
            } else {
                ended(nil, because: problem.description, at: wall, now: now, random: &random)
            }
        }
    }

    /// After a restart of the agent: the machine has no trace of it.
    mutating func absent(at wall: UnixTime, now: Instant, random: inout Random) {
        switch phase {
        case .finished, .pending, .backoff, .stopping: break
        case .starting: phase = isEnding ? .finished(.stopped) : .pending
        // The record states that it ran once. Missing traces do not change that.
        case .running: exited(nil, at: wall, now: now, random: &random)
        }
    }
}
