import Base
import EventLoop
import Glibc
import Platform
import ShimProtocol
import Wire

/// One living generation as its host sees it: a shim that is a child or was found, what it has reported, and the commands
/// that it is still to get.
final class WorkerKeeper {
    private enum Phase {
        case starting
        case running(StartedRecord)
        /// The shim is gone and has left no record. The lock, which a late shim would need, is held until `exit` is written.
        case sweeping(since: Instant)
    }

    let worker: WorkerRef
    let folder: WorkerFolder
    let launch: LaunchFile
    private unowned let host: WorkerHost
    private var phase = Phase.starting
    private var child: ChildProcess?
    private var watch: ProcessWatch?
    private var reports: Poll?
    private var reportPipe: Int32?
    private var received: [UInt8] = []
    private var timer: Timer?
    private var pending: [ShimCommand] = []
    private var hasReportedStuck = false
    private var lock: Int32?

    init(_ host: WorkerHost, _ folder: WorkerFolder, _ launch: LaunchFile) {
        self.host = host
        self.folder = folder
        self.launch = launch
        worker = folder.worker
    }

    deinit { close() }

    func close() {
        child?.close()
        watch?.close()
        reports?.close()
        timer?.close()
        (child, watch, reports, reportPipe, timer) = (nil, nil, nil, nil, nil)
        if let lock { Glibc.close(lock) }
        lock = nil
    }

    // MARK: A shim of our own

    func startShim(_ program: String) throws(SpawnError) {
        var command = ChildCommand(program, [folder.path])
        command.environment = ["\(WorkerMarker.shimVariable)=\(launch.marker)"]
        command.startsSession = true
        let read: Int32, write: Int32
        do throws(Errno) {
            (read, write) = try FileDescriptor.pipe().ends()
        } catch { throw SpawnError(step: .pipe, reason: error) }
        let reading = FileDescriptor(owning: read), writing = FileDescriptor(owning: write)
        command.descriptors = [nil, writing.raw, nil]
        // Outside of the agent's own cgroup, so that ending the agent's cgroup does not end the shims.
        let shims = host.cgroups.flatMap { try? FileDescriptor.open($0.shims, O_RDONLY | O_DIRECTORY).release() }
        defer { if let shims { Glibc.close(shims) } }
        command.cgroup = shims
        child = try ChildProcess(on: host.loop, "shim of \(worker)", command) { [unowned self] _ in shimEnded() }
        let number = reading.raw
        do throws(Errno) {
            reports = try Poll(on: host.loop, "reports of \(worker)", owning: reading) { [unowned self] _ in
                readReports()
            }
        } catch {
            // The shim's end reports everything except the start, which is then read from the folder.
            pollFolder(every: .milliseconds(50))
            return
        }
        reportPipe = number
        reports?.start(.readable)
    }

    private func readReports() {
        guard let reportPipe else { return }
        var isEnd = false
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = read(reportPipe, &buffer, buffer.count)
            if count < 0 && errno == EINTR { continue }
            isEnd = count == 0
            if count <= 0 { break }
            received += buffer[..<count]
        }
        if isEnd {
            reports?.close()
            self.reportPipe = nil
        }
        while let report = nextReport() { handle(report) }
    }

    private func nextReport() -> ShimReport? {
        guard received.count >= 4 else { return nil }
        let size = received[..<4].reduce(0) { $0 << 8 | Int($1) }
        guard size <= ShimReport.bytes, received.count >= 4 + size else { return nil }
        let bytes = Array(received[4..<(4 + size)])
        received.removeFirst(4 + size)
        do throws(DecodeError) { return try ShimReport(decoding: bytes) } catch { return nil }
    }

    private func handle(_ report: ShimReport) {
        guard report.nonce == launch.nonce else { return }
        switch report {
        case .started(let record): started(record)
        case .stuck(let record): stuck(record.processes)
        // The file with the same content is authoritative; it is read when the shim has ended.
        case .ended: break
        }
    }

    // MARK: A shim that was found

    /// Takes over the shim of a former agent. `process` is that shim, and `record` is what it has written.
    func adopt(_ process: Int32, _ record: StartedRecord?) throws(Errno) {
        let watch = try ProcessWatch(on: host.loop, "shim of \(worker)", pid: process) { [unowned self] in shimEnded() }
        // Read while the pidfd is open: from then on the number cannot move to another process unseen.
        guard Leftovers.environment(process, has: "\(WorkerMarker.shimVariable)=\(launch.marker)") else {
            watch.close()
            throw Errno(ESRCH)
        }
        self.watch = watch
        if let record { phase = .running(record) }
        hasReportedStuck = folder.stuckRecord(launch.nonce) != nil
        // Only the agent that launched a shim has its pipe. Stuck processes are rare and not urgent.
        pollFolder(every: record == nil ? .milliseconds(50) : .seconds(5))
    }

    /// The lock is held, but no process was found.
    func awaitLock() { pollFolder(every: .seconds(1)) }

    private func pollFolder(every interval: Interval) {
        timer?.close()
        let timer = Timer(on: host.loop, "folder of \(worker)") { [unowned self] in lookIntoFolder() }
        timer.arm(every: interval)
        self.timer = timer
    }

    private func lookIntoFolder() {
        if case .starting = phase, let record = folder.startedRecord(launch.nonce) {
            pollFolder(every: .seconds(5))
            started(record)
        }
        if let record = folder.stuckRecord(launch.nonce) { stuck(record.processes) }
        if child == nil, watch == nil { shimEnded() }
    }

    // MARK: What happened

    var start: WorkerStart? {
        guard case .running(let record) = phase else { return nil }
        return WorkerStart(
            pid: record.workerPID, at: record.at, containment: launch.cgroup == nil ? .subreaper : .cgroup,
            unenforced: launch.unenforced)
    }

    private func started(_ record: StartedRecord) {
        guard case .starting = phase else { return }
        phase = .running(record)
        if let start { host.emit(.started(worker, start)) }
        let commands = pending
        pending = []
        for command in commands { _ = send(command) }
    }

    private func stuck(_ processes: [Int32]) {
        if hasReportedStuck { return }
        hasReportedStuck = true
        host.emit(.stuck(worker, processes: processes))
    }

    private func shimEnded() {
        readReports()
        reports?.close()
        (child, watch, reports, reportPipe) = (nil, nil, nil, nil)
        if let record = folder.exitRecord(launch.nonce) { return ended(record) }
        do throws(Errno) {
            // A living shim holds it, in another pid namespace or just starting.
            guard let lock = try folder.lock() else { return awaitLock() }
            self.lock = lock.release()
        } catch {
            // Without its folder there is neither lock nor record; the remaining steps are the same.
        }
        if let record = folder.exitRecord(launch.nonce) { return ended(record) }
        sweep(session: true)
    }

    private func ended(_ record: ExitRecord) {
        switch record.outcome {
        case .launchFailed(let step, let errno):
            host.emit(.launchFailed(worker, SpecProblem(step, errno: errno, launch)))
        case .lost: host.emit(.lost(worker, at: record.at))
        case .exited, .signalled:
            if let start = folder.startedRecord(launch.nonce) { started(start) }
            host.emit(.exited(worker, WorkerEnd(record)))
        }
    }

    /// Kills, from the loop's next turn on, what a shim that died under a former agent left running.
    func sweepSoon(holding lock: consuming FileDescriptor) {
        self.lock = lock.release()
        phase = .sweeping(since: host.loop.now)
        sweepAgain(after: .zero, session: false)
    }

    private func sweepAgain(after delay: Interval, session: Bool) {
        timer?.close()
        let timer = Timer(on: host.loop, "sweep of \(worker)") { [unowned self] in sweep(session: session) }
        timer.arm(after: delay)
        self.timer = timer
    }

    private func sweep(session: Bool) {
        let record = folder.startedRecord(launch.nonce)
        let leftovers = Leftovers(marker: launch.marker, session: session ? record?.workerPID : nil)
        let now = host.loop.now
        if case .sweeping = phase {} else { phase = .sweeping(since: now) }
        guard case .sweeping(let since) = phase else { return }
        let isPopulated = launch.cgroup != nil && (host.cgroups?.kill(worker) ?? false)
        let found = leftovers.kill()
        if found.isEmpty, !isPopulated { return conclude() }
        // The same timeout as a shim's.
        if now - since > .seconds(5) { stuck(found) }
        sweepAgain(after: now - since > .seconds(1) ? .milliseconds(500) : .milliseconds(10), session: session)
    }

    private func conclude() {
        let now = Clock.wall()
        if launch.cgroup != nil { host.cgroups?.remove(worker) }
        do throws(Errno) {
            try folder.conclude(ExitRecord(nonce: launch.nonce, outcome: .lost, at: now))
        } catch {
            // The next agent will find no record and reach the same result.
        }
        host.emit(.lost(worker, at: now))
    }

    // MARK: Commands

    /// Sends the commands in this order, once the worker runs. False if there is no shim to command.
    func command(_ commands: [ShimCommand]) -> Bool {
        switch phase {
        case .starting where child != nil || watch != nil:
            // A launch takes milliseconds; an agent gives far fewer commands than there are signals.
            if pending.count < 64 { pending += commands }
            return true
        case .starting, .sweeping: return false
        case .running: return commands.allSatisfy(send)
        }
    }

    private func send(_ command: ShimCommand) -> Bool {
        do throws(Errno) {
            if let child {
                try child.send(signal: shimCommandSignal, value: command.value)
            } else if let watch {
                try watch.send(signal: shimCommandSignal, value: command.value)
            } else {
                return false
            }
            return true
        } catch { return false }
    }
}

extension WorkerEnd {
    init(_ record: ExitRecord) {
        var exit = WorkerExit(status: nil, signal: nil, at: record.at)
        switch record.outcome {
        case .exited(let status): exit.status = status
        case .signalled(let signal): exit.signal = signal
        case .launchFailed, .lost: break
        }
        exit.outOfMemory = record.outOfMemory
        self.init(
            exit: exit, leftovers: record.leftovers, logBytes: record.logBytes,
            logBytesDropped: record.logBytesDropped)
    }
}
