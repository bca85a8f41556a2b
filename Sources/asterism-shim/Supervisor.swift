import Base
import CLinux
import Glibc
import Platform
import ShimProtocol

/// # The supervisor of one worker
///
/// The shim stands between an agent, which may be upgraded or crash, and a worker, which must not be affected. It starts the
/// worker, keeps its log, and forwards signals. When the worker's main process ends, the shim kills what is left of it,
/// records how it ended, and ends too. It decides nothing, and its only times are its own timeouts and the grace period that
/// it was given.
///
/// ```
///  locked → durable → launched → running ──main ended──────→ killing ──nobody left──→ exit written
///     │        └─────────┴→ exit (launchFailed) │ └─command 9─┘ ↑ │                       ↑
///     │                                         └─stop─→ stopping ┴──────nobody left───────┘
///     └→ another shim is here, or it is over: nothing is done    └ 5 s of killing ─→ stuck written, killing goes on
/// ```
///
/// A stop is for the whole worker, as systemd's `KillMode=control-group` (systemd.kill(5)): every process gets the signal,
/// and every process has the grace period, whether the main process has ended or not. The grace period runs in the shim, so
/// that it ends on time even if the agent is killed meanwhile. The exit that is reported is the main process's.
func supervise(_ path: String) -> Int32 {
    guard let folder = Folder(path) else { return 1 }
    let report = takeReportPipe()
    // Signals are blocked before anything is started, so that none is lost and none kills the shim.
    let signals = openSignals()
    guard signals >= 0, asterism_become_subreaper() == 0 else { return 1 }
    // EPERM if the agent gave it a session already.
    setsid()
    chdir("/")
    guard let (launch, lock) = claim(folder) else { return 1 }
    var supervisor = Supervisor(folder: folder, lock: lock, launch: launch, report: report, signals: signals)
    return supervisor.run()
}

/// Standard output is the pipe for reports; it moves to another number, because the worker needs this one.
private func takeReportPipe() -> Int32 {
    signal(SIGPIPE, SIG_IGN)
    signal(SIGHUP, SIG_IGN)
    let pipe = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    if null >= 0 {
        for standard in 0...2 { dup2(null, Int32(standard)) }
        if null > 2 { close(null) }
    }
    // An agent that is stopped reads nothing; its shims must not wait for it.
    if pipe >= 0 { _ = fcntl(pipe, F_SETFL, fcntl(pipe, F_GETFL) | O_NONBLOCK) }
    return pipe
}

private func openSignals() -> Int32 {
    let numbers = [SIGCHLD, SIGTERM, SIGINT, shimCommandSignal]
    return asterism_open_signals(numbers, numbers.count)
}

/// The launch file and the lock on it; `nil` if another shim has it, if the generation is over, or if the file is invalid.
/// Nothing has run then, and the agent detects that by the lock.
private func claim(_ folder: Folder) -> (LaunchFile, Int32)? {
    let file = openat(folder.descriptor, GenerationDirectory.launch, O_RDONLY | O_CLOEXEC)
    guard file >= 0, flock(file, LOCK_EX | LOCK_NB) == 0, !folder.has(GenerationDirectory.exit),
        let bytes = readAll(file, limit: LaunchFile.fileBytes)
    else { return nil }
    do throws(DecodeError) { return (try LaunchFile(decoding: bytes), file) } catch { return nil }
}

struct Supervisor {
    private let folder: Folder
    private let lock: Int32
    private let launch: LaunchFile
    private let report: Int32
    private let signals: Int32
    private let counters = LogPump.Counters()
    private let descendants = Descendants()

    private var cgroup: Cgroup?
    private var main: Int32 = -1
    /// Readable (at its end) when the log is complete; -1 then.
    private var logDone: Int32 = -1
    /// As waitpid(2) returns it.
    private var mainStatus: Int32?
    private var endedAt = UnixTime(milliseconds: 0)
    private var leftovers: Int32 = 0
    private var nobodyLeft = false
    /// The signal of the stop that was commanded.
    private var stopSignal: Int32?
    /// When the grace of that stop is over, in milliseconds.
    private var graceEnd: Int64?
    private var killingSince: Int64?
    private var killPasses = 0
    private var hasReportedStuck = false

    init(folder: Folder, lock: Int32, launch: LaunchFile, report: Int32, signals: Int32) {
        self.folder = folder
        self.lock = lock
        self.launch = launch
        self.report = report
        self.signals = signals
    }

    /// Milliseconds after the first SIGKILL at which survivors are reported: enough for a large process to free its memory.
    /// Processes that are left after it hang in the kernel.
    private static let stuckAfter: Int64 = 5000
    /// Milliseconds that the log may take to reach the disk once no process writes to it any more.
    private static let logPatience: Int64 = 2000

    mutating func run() -> Int32 {
        do throws(LaunchFailure) { try start() } catch {
            let record = ExitRecord(
                nonce: launch.nonce, outcome: .launchFailed(error.step, errno: error.errno), at: Clock.wall())
            cgroup?.remove()
            return finish(record)
        }
        while !isOver { wait() }
        finishLog()
        return finish(exitRecord())
    }

    private mutating func start() throws(LaunchFailure) {
        for name in [GenerationDirectory.exit, GenerationDirectory.started] {
            let room = folder.reserve(name)
            if room != 0 { throw LaunchFailure(step: .durability, errno: room) }
        }
        let durable = folder.makeDurable(lock, ancestors: Int(launch.newAncestors))
        if durable != 0 { throw LaunchFailure(step: .durability, errno: durable) }
        if let path = launch.cgroup {
            cgroup = Cgroup(path)
            if cgroup == nil { throw LaunchFailure(step: .cgroup, errno: errno) }
        }
        guard let done = openPipe() else { throw LaunchFailure(step: .output, errno: errno) }
        let launched = try launchWorker(launch, cgroup: cgroup)
        main = launched.process
        logDone = done.read
        recordStart()
        if !LogPump.start(
            folder: folder.descriptor, source: launched.output, done: done.write, launch: launch, counters: counters)
        {
            // Without its log the worker would block on a full pipe; it gets SIGPIPE instead, and the loss is on record.
            close(launched.output)
            close(done.write)
        }
    }

    private func recordStart() {
        let record = ShimReport.started(
            StartedRecord(
                nonce: launch.nonce, bootID: ProcessTable.bootID, shimPID: getpid(),
                shimStart: ProcessTable.entry(getpid())?.start ?? 0, workerPID: main,
                workerStart: ProcessTable.entry(main)?.start ?? 0, at: Clock.wall()))
        folder.put(GenerationDirectory.started, record.encoded, durably: false)
        sendReport(record)
    }

    /// Sends a report to the agent that launched this shim, if it is still there; the folder is authoritative.
    private func sendReport(_ what: ShimReport) { if report >= 0 { _ = writeAll(report, what.frame) } }

    private var isOver: Bool { mainStatus != nil && nobodyLeft && !(cgroup?.isPopulated ?? false) }

    private mutating func wait() {
        var polled = [
            pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
            pollfd(fd: logDone, events: Int16(POLLIN), revents: 0),
        ]
        poll(&polled, nfds_t(polled.count), timeout)
        if polled[1].revents != 0 { closeLog() }
        var signal = asterism_signal()
        while asterism_next_signal(signals, &signal) == 1 { obey(signal) }
        reap()
        if killingSince == nil, !isOver { considerKilling(at: monotonicMilliseconds()) }
        if killingSince != nil, !isOver { killPass() }
    }

    private mutating func considerKilling(at now: Int64) {
        if mainStatus != nil {
            guard stopSignal != nil else {
                killingSince = now
                return
            }
            // A stop without a grace.
            if graceEnd == nil { graceEnd = now + Int64(ShimCommand.unstatedGrace) * 1000 }
        }
        if let graceEnd, graceEnd <= now { killingSince = now }
    }

    /// Infinite, unless there is something to kill: until the end of the grace, or short and growing up to a tenth of a
    /// second.
    private var timeout: Int32 {
        if killingSince != nil { return Int32(min(100, 2 << min(killPasses, 6))) }
        guard let graceEnd else { return -1 }
        let left = max(0, graceEnd - monotonicMilliseconds())
        // A process that was moved into the cgroup is no child of the shim, and ends without SIGCHLD.
        return Int32(min(left, nobodyLeft ? 100 : 60_000))
    }

    private mutating func obey(_ signal: asterism_signal) {
        switch signal.number {
        // systemd that stops the workers' unit has sent it to every process of the cgroup (KillMode=control-group).
        case SIGTERM where signal.pid == 1 && cgroup != nil && launch.stopSignal == SIGTERM:
            if killingSince == nil { stopSignal = SIGTERM }
        case SIGTERM, SIGINT: stop(launch.stopSignal)
        case shimCommandSignal:
            switch ShimCommand(value: signal.value) {
            case .stop(let number)?: stop(number)
            case .grace(let seconds)?:
                let end = monotonicMilliseconds() + Int64(seconds) * 1000
                graceEnd = min(graceEnd ?? end, end)
            case .kill?: if killingSince == nil { killingSince = monotonicMilliseconds() }
            case nil: break
            }
        default: break
        }
    }

    /// A second signal of the same number is a repetition: an agent that was killed during the grace commands the stop
    /// again when it is back, and many programs give up saving at the second signal.
    private mutating func stop(_ number: Int32) {
        guard killingSince == nil, number != stopSignal else { return }
        stopSignal = number
        descendants.signal(number, and: cgroup)
    }

    private mutating func reap() {
        while true {
            var status: Int32 = 0
            let process = waitpid(-1, &status, WNOHANG)
            if process < 0 && errno == EINTR { continue }
            if process < 0 { nobodyLeft = true }
            if process <= 0 { return }
            // Once the main process is reaped, one of its descendants may get the same number.
            if process == main, mainStatus == nil {
                mainStatus = status
                endedAt = Clock.wall()
            } else if mainStatus != nil, killingSince != nil {
                leftovers += 1
            }
        }
    }

    private mutating func killPass() {
        killPasses += 1
        let byCgroup = cgroup?.kill() ?? false
        // The walk finds those who left the cgroup; most often there is none, so it waits for the second pass.
        if !byCgroup || killPasses > 1 { _ = descendants.kill() }
        reap()
        guard !isOver, !hasReportedStuck, let killingSince,
            monotonicMilliseconds() - killingSince >= Supervisor.stuckAfter
        else { return }
        hasReportedStuck = true
        let record = ShimReport.stuck(StuckRecord(nonce: launch.nonce, processes: descendants.living()))
        folder.put(GenerationDirectory.stuck, record.encoded, durably: false)
        sendReport(record)
    }

    /// No process of the worker can write any more, so the pump reaches the pipe's end, unless the disk hangs or the pipe was
    /// passed to an unrelated process.
    private mutating func finishLog() {
        let start = monotonicMilliseconds()
        while logDone >= 0 {
            let left = Supervisor.logPatience - (monotonicMilliseconds() - start)
            if left <= 0 { return }
            var polled = [pollfd(fd: logDone, events: Int16(POLLIN), revents: 0)]
            if poll(&polled, 1, Int32(left)) > 0 { closeLog() }
        }
    }

    private mutating func closeLog() {
        close(logDone)
        logDone = -1
    }

    private func exitRecord() -> ExitRecord {
        let status = mainStatus ?? 0
        // WTERMSIG and WEXITSTATUS, which are macros.
        let signal = status & 0x7f
        var record = ExitRecord(
            nonce: launch.nonce, outcome: signal == 0 ? .exited(status: status >> 8 & 0xff) : .signalled(signal),
            at: endedAt)
        record.leftovers = leftovers
        record.logBytes = asterism_load(counters.stored)
        record.logBytesDropped = asterism_load(counters.dropped)
        if let cgroup {
            record.outOfMemory = signal == SIGKILL && cgroup.memoryKills > 0
            cgroup.remove()
        }
        return record
    }

    /// The exit must not be lost: a disk that is full now may have space in a second. Until then this shim stays alive, so
    /// that the agent does not assume another outcome.
    private func finish(_ record: ExitRecord) -> Int32 {
        let bytes = ShimReport.ended(record).encoded
        while folder.put(GenerationDirectory.exit, bytes, durably: true) != 0 {
            // The folder itself is gone: there is no place for a report.
            if folder.has("..") == false || !folder.has(GenerationDirectory.launch) { return 1 }
            sleep(1)
        }
        sendReport(.ended(record))
        return 0
    }
}
