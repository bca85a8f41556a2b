import Base
import Control
import Testing
import Wire

/// A supervisor with its outputs, and a clock that a test moves.
private struct Bench {
    var supervisor: Supervisor
    var out: [SupervisorAction] = []
    var now = Instant(nanoseconds: 1_000_000_000)

    init(record: AgentRecord = AgentRecord(), found: [AdoptedWorker]? = []) {
        supervisor = Supervisor(record: record, seed: Seed(3))
        if let found { adopt(found) }
    }

    var wall: UnixTime { UnixTime(milliseconds: Int64(now.nanoseconds / 1_000_000)) }

    mutating func adopt(_ found: [AdoptedWorker]) { supervisor.adopted(found, at: wall, now: now, into: &out) }

    @discardableResult
    mutating func desire(
        _ revision: UInt64, base: UInt64 = 0, _ upserts: [DesiredWorker] = [], removals: [String] = []
    ) -> Supervisor.Outcome {
        supervisor.desired(
            Desired(revision: revision, baseRevision: base, upserts: upserts, removals: removals), now: now, into: &out)
    }

    mutating func launched(_ ref: WorkerRef) {
        supervisor.launched(ref, pid: 5, startedAt: wall, containment: .cgroup, now: now, into: &out)
    }

    mutating func exited(_ ref: WorkerRef, status: Int32) {
        supervisor.exited(ref, WorkerExit(status: status, signal: nil, at: wall), now: now, into: &out)
    }

    mutating func wait(_ interval: Interval) {
        now = now + interval
        supervisor.tick(now: now, into: &out)
    }

    /// The actions since the last call, without records.
    mutating func elapsed() -> [SupervisorAction] {
        defer { out = [] }
        return out.filter { if case .persist = $0 { false } else { true } }
    }

    func state(_ ref: WorkerRef) -> WorkerState? { status(ref)?.state }
    func status(_ ref: WorkerRef) -> WorkerStatus? { supervisor.statuses.first { $0.worker == ref } }
}

@Suite struct SupervisorTests {
    private let one = WorkerRef("web", generation: 1)
    private let two = WorkerRef("web", generation: 2)

    private func desired(
        _ ref: WorkerRef, run: Bool = true, _ mode: RestartPolicy.Mode = .never, signal: String = "TERM",
        maxRestarts: Int64 = 10
    ) -> DesiredWorker {
        var spec = WorkerSpec(command: ["x"])
        spec.restart.mode = mode
        spec.restart.maxRestarts = maxRestarts
        spec.stop.signal = signal
        return DesiredWorker(ref, spec: spec, run: run, operation: "op")
    }

    private func running(_ mode: RestartPolicy.Mode = .never, maxRestarts: Int64 = 10) -> Bench {
        var bench = Bench()
        bench.desire(1, [desired(one, mode, maxRestarts: maxRestarts)])
        bench.launched(one)
        _ = bench.elapsed()
        return bench
    }

    // MARK: - Requests

    @Test func `nothing is requested for or begun before the machine was looked at`() {
        var bench = Bench(found: nil)
        #expect(bench.desire(1, [desired(one)]) == .notReady)
        #expect(bench.out.isEmpty)
        bench.adopt([])
        #expect(bench.desire(1, [desired(one)]) == .applied)
        #expect(bench.elapsed() == [.launch(one, desired(one).spec)])
    }

    @Test func `an older revision, the same again and an edit of another revision change nothing`() {
        var bench = running()
        #expect(bench.desire(1, []) == .known)
        #expect(bench.desire(5, base: 3, [], removals: ["web"]) == .otherBase)
        #expect(bench.supervisor.revision == 1)
        #expect(bench.elapsed().isEmpty)
        #expect(bench.state(one) == .running)
    }

    @Test func `an edit changes what it names, a whole set also what it does not`() {
        var bench = running()
        let other = WorkerRef("db", generation: 1)
        #expect(bench.desire(2, base: 1, [desired(other)]) == .applied)
        #expect(bench.elapsed() == [.launch(other, desired(other).spec)])
        bench.launched(other)
        #expect(bench.desire(3, [desired(other)]) == .applied)
        #expect(bench.elapsed() == [.signal(one, 15)])
        #expect(bench.state(other) == .running)
    }

    @Test func `a lower generation is ignored`() {
        var bench = Bench()
        bench.desire(1, [desired(two)])
        bench.launched(two)
        _ = bench.elapsed()
        bench.desire(2, [desired(one)])
        // The whole set names the worker, with a generation that is over.
        #expect(bench.state(two) == .running)
        #expect(bench.state(one) == nil)
    }

    @Test func `a new generation ends the old one and waits until it is dead`() {
        var bench = running()
        bench.desire(2, [desired(two)])
        #expect(bench.elapsed() == [.signal(one, 15)])
        #expect(bench.state(two) == .pending)
        bench.wait(.seconds(11))
        #expect(bench.elapsed() == [.killTree(one)])
        bench.exited(one, status: 0)
        #expect(bench.elapsed() == [.remove(one), .launch(two, desired(two).spec)])
    }

    // MARK: - Ends

    @Test(arguments: [
        (RestartPolicy.Mode.never, Int32(0), WorkerState.succeeded), (.never, 1, .failed),
        (.onFailure, 0, .succeeded), (.onFailure, 1, .backoff), (.always, 0, .backoff), (.always, 1, .backoff),
    ])
    func `an end is judged by the restart policy`(mode: RestartPolicy.Mode, status: Int32, state: WorkerState) {
        var bench = running(mode)
        bench.exited(one, status: status)
        #expect(bench.state(one) == state)
        #expect(bench.status(one)?.lastExit?.status == status)
        #expect(bench.status(one)?.pid == nil)
    }

    @Test func `delays double up to their maximum, each changed by at most a quarter`() {
        var bench = running(.always, maxRestarts: 100)
        for second: Int64 in [1, 2, 4, 8, 16, 32, 60, 60] {
            bench.exited(one, status: 1)
            let delay = (bench.supervisor.deadline?.at ?? .origin) - bench.now
            #expect(delay >= .milliseconds(second * 750) && delay <= .milliseconds(second * 1250), "\(second) s")
            bench.wait(delay)
            #expect(bench.elapsed() == [.launch(one, desired(one, .always, maxRestarts: 100).spec)])
            bench.launched(one)
        }
    }

    @Test func `a spent budget is a failure with its reason, and the window gives it back`() {
        var bench = running(.always, maxRestarts: 2)
        for _ in 0..<2 {
            bench.exited(one, status: 1)
            bench.wait(.seconds(80))
            bench.launched(one)
        }
        bench.exited(one, status: 1)
        #expect(bench.state(one) == .failed)
        #expect(
            bench.status(one)?.reason == "exit status 1; restarted 2 times within 600 s, its budget")
        var patient = running(.always, maxRestarts: 2)
        for _ in 0..<6 {
            patient.exited(one, status: 1)
            patient.wait(.seconds(301))
            patient.launched(one)
        }
        #expect(patient.state(one) == .running)
        #expect(patient.status(one)?.restarts == 6)
    }

    @Test func `ten minutes alive reset the count of failures`() {
        var bench = running(.always, maxRestarts: 100)
        for _ in 0..<5 {
            bench.exited(one, status: 1)
            bench.wait(.seconds(75))
            bench.launched(one)
        }
        bench.wait(.minutes(10))
        bench.exited(one, status: 1)
        let delay = (bench.supervisor.deadline?.at ?? .origin) - bench.now
        #expect(delay <= .milliseconds(1250))
    }

    @Test(arguments: [Int64.min, -1, 0, 1 << 40, .max])
    func `any number in a restart policy is a valid time, whatever its sender`(number: Int64) {
        var bench = Bench()
        var wild = desired(one, .always, maxRestarts: 100)
        wild.spec.restart.delaySeconds = number
        wild.spec.restart.maxDelaySeconds = number
        wild.spec.restart.windowSeconds = number
        wild.spec.stop.graceSeconds = number
        bench.desire(1, [wild])
        bench.launched(one)
        for _ in 0..<3 {
            bench.exited(one, status: 1)
            let delay = (bench.supervisor.deadline?.at ?? bench.now) - bench.now
            #expect(delay >= .zero)
            bench.wait(delay)
            bench.launched(one)
        }
        #expect(bench.state(one) == .running && bench.status(one)?.restarts == 3)
    }

    @Test func `a launch that fails counts as an end, with its reason`() {
        var bench = Bench()
        bench.desire(1, [desired(one)])
        bench.supervisor.launchFailed(
            one, SpecProblem("command", "is not there"), at: bench.wall, now: bench.now, into: &bench.out)
        #expect(bench.state(one) == .failed)
        #expect(bench.status(one)?.reason == "command: is not there")
    }

    @Test func `an end is kept until its worker is removed`() {
        var bench = running()
        bench.exited(one, status: 7)
        bench.wait(.minutes(1000))
        #expect(bench.status(one)?.lastExit?.status == 7)
        _ = bench.elapsed()
        bench.desire(2, base: 1, [], removals: ["web"])
        #expect(bench.elapsed() == [.remove(one)])
        #expect(bench.supervisor.statuses.isEmpty)
    }

    // MARK: - Stopping

    @Test func `a stop is a signal, a grace period, and repeated kills of the whole tree`() {
        var bench = running()
        bench.desire(2, [desired(one, run: false, signal: "INT")])
        #expect(bench.elapsed() == [.signal(one, 2)])
        #expect(bench.state(one) == .stopping)
        bench.wait(.seconds(9))
        #expect(bench.elapsed().isEmpty)
        bench.wait(.seconds(1))
        #expect(bench.elapsed() == [.killTree(one)])
        bench.supervisor.stillThere(one)
        #expect(bench.state(one) == .stuck)
        bench.wait(.seconds(10))
        #expect(bench.elapsed() == [.killTree(one)])
        bench.supervisor.lost(one, at: bench.wall, now: bench.now, into: &bench.out)
        #expect(bench.state(one) == .stopped)
    }

    @Test func `a stop during a launch waits for its answer`() {
        var bench = Bench()
        bench.desire(1, [desired(one)])
        bench.desire(2, [desired(one, run: false)])
        #expect(bench.elapsed() == [.launch(one, desired(one).spec)])
        bench.launched(one)
        #expect(bench.elapsed() == [.signal(one, 15)])
    }

    @Test func `a stop is not taken back within a generation`() {
        var bench = running(.always)
        bench.desire(2, [desired(one, run: false)])
        bench.desire(3, [desired(one, .always)])
        bench.exited(one, status: 0)
        bench.wait(.minutes(5))
        #expect(bench.state(one) == .stopped)
        #expect(!bench.elapsed().contains { if case .launch = $0 { true } else { false } })
    }

    // MARK: - After a crash

    private func record(_ state: WorkerState, exit: WorkerExit? = nil) -> AgentRecord {
        var worker = WorkerRecord(desired(one), state: state)
        worker.lastExit = exit
        return AgentRecord(revision: 1, workers: [worker])
    }

    @Test func `the record and the found state decide together`() {
        let at = UnixTime(seconds: 1)
        let good = WorkerExit(status: 0, signal: nil, at: at)
        let cases: [(WorkerState, AdoptedWorker.State?, WorkerState)] = [
            (.starting, nil, .starting), (.starting, .neverStarted, .starting), (.starting, .starting, .starting),
            (.starting, .running(pid: 5, startedAt: at, containment: .cgroup), .running),
            (.starting, .exited(good, logBytes: 1), .succeeded), (.starting, .lost(at: at), .failed),
            (.starting, .launchFailed(SpecProblem("user", "x")), .failed),
            (.running, nil, .failed), (.running, .vanished, .running), (.running, .unknown, .running),
            (.succeeded, nil, .succeeded), (.succeeded, .exited(good, logBytes: 1), .succeeded),
            (.failed, .lost(at: at), .failed),
        ]
        for (before, found, after) in cases {
            var bench = Bench(record: record(before), found: found.map { [AdoptedWorker(one, $0)] } ?? [])
            #expect(bench.state(one) == after, "\(before) and \(String(describing: found))")
            let launches = bench.elapsed().contains { if case .launch = $0 { true } else { false } }
            let mayLaunch: Bool =
                switch found {
                case nil, .neverStarted: before == .starting
                case .starting, .running, .exited, .launchFailed, .lost, .vanished, .unknown: false
                }
            #expect(launches == mayLaunch, "\(before) and \(String(describing: found))")
        }
    }

    @Test func `an unknown worker is left alone and reported, and stands in the way of its name until it is named`() {
        let stray = AdoptedWorker(one, .running(pid: 9, startedAt: UnixTime(seconds: 1), containment: .cgroup))
        var bench = Bench(found: [stray])
        bench.wait(.minutes(10))
        #expect(bench.elapsed().isEmpty)
        #expect(bench.status(one)?.pid == 9)
        #expect(bench.status(one)?.reason?.hasPrefix("quarantined") == true)
        // A whole set that does not know it leaves it alone.
        bench.desire(1, [])
        #expect(bench.elapsed().isEmpty)
        bench.desire(2, [desired(two)])
        #expect(bench.elapsed() == [.signal(one, 15)])
        bench.exited(one, status: 0)
        #expect(bench.elapsed() == [.remove(one), .launch(two, desired(two).spec)])
    }

    @Test func `what is found alive after its end is ended again, and blocks its name until it is dead`() {
        let remnant = AdoptedWorker(one, .running(pid: 9, startedAt: UnixTime(seconds: 1), containment: .cgroup))
        var bench = Bench(record: record(.succeeded), found: [remnant])
        #expect(bench.elapsed() == [.killTree(one)])
        #expect(bench.state(one) == .succeeded)
        bench.desire(2, [desired(two)])
        #expect(bench.elapsed().isEmpty)
        bench.exited(one, status: 0)
        #expect(bench.elapsed() == [.remove(one), .launch(two, desired(two).spec)])
    }
}
