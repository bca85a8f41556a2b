import Base
package import EventLoop
import Glibc
import ShimProtocol
package import Wire

/// # Launching and watching workers
///
/// A `WorkerHost` launches, signals and watches workers, and knows the state of each. `Control` decides when and why. The
/// host holds nothing that cannot be found again on the disk and in /proc. Dropping a host, or killing its agent, does not
/// affect any worker, and `adopt()` of the next host continues.
///
/// ```
///  launch ─→ starting ──started──→ running ──shim ended──→ exit record? ──yes──→ exited | launchFailed
///               │                     ↑                        └──no──→ sweeping ──nobody left──→ lost
///  adopt ───────┴─────────────────────┘                                     ↑
///     └──────────────────── no shim, no exit record ────────────────────────┘
/// ```
///
/// A generation is launched at most once: mkdir(2) of its folder claims it, and the folder stays until `remove`. Signals to a
/// worker that is starting are queued. Everything happens on one loop; only small files and a fork block it.
package final class WorkerHost {
    package struct Settings: Sendable {
        /// Absolute; `workers` and `trash` in it are the host's.
        package let stateDirectory: String
        /// The program `asterism-shim`.
        package let shim: String
        /// A folder of cgroup v2 for this host; `nil` to use none.
        package private(set) var cgroupRoot: String?
        /// Why there is none, where one may have been expected.
        package var cgroupProblem: String?

        package init(stateDirectory: String, shim: String, cgroupRoot: String? = nil) {
            self.stateDirectory = stateDirectory
            self.shim = shim
            self.cgroupRoot = cgroupRoot
        }
    }

    package let loop: Loop
    package let settings: Settings
    /// How workers' processes are tracked on this node.
    package var containment: Containment { cgroups == nil ? .subreaper : .cgroup }
    /// Why it is `subreaper` although a cgroup was configured or searched for.
    package let cgroupProblem: String?

    let cgroups: WorkerCgroups?
    /// The lock of the cgroup's root: two agents there would treat each other's workers as their own.
    private let cgroupLock: FileDescriptor?
    /// The process that has tested that processes can be put there.
    private let probe: ChildProcess?
    private let onEvent: (WorkerEvent) -> Void
    private let removals: Blocking
    private var keepers: [WorkerRef: WorkerKeeper] = [:]

    package init(on loop: Loop, _ settings: Settings, onEvent: @escaping (WorkerEvent) -> Void) throws(Errno) {
        precondition(settings.stateDirectory.hasPrefix("/"), "state directory '\(settings.stateDirectory)'")
        self.loop = loop
        self.settings = settings
        self.onEvent = onEvent
        removals = Blocking(on: loop, "removal of workers' folders")
        try WorkerHost.prepareFolders(settings.stateDirectory)
        var cgroups: WorkerCgroups?
        var probe: ChildProcess?
        var problem = settings.cgroupProblem
        var lock: FileDescriptor?
        if let root = settings.cgroupRoot {
            do throws(CgroupProblem) {
                let groups = try CgroupProblem.of(root) { () throws(Errno) in try WorkerCgroups(root: root) }
                lock = try WorkerHost.lock(root)
                probe = try WorkerHost.probe(groups, on: loop, settings.shim)
                cgroups = groups
            } catch { problem = error.text }
        }
        cgroupLock = lock
        self.probe = probe
        self.cgroups = cgroups
        cgroupProblem = problem
        emptyTrash()
    }

    private struct CgroupProblem: Error {
        private(set) var text: String

        static func of<Value>(_ root: String, _ body: () throws(Errno) -> Value) throws(CgroupProblem) -> Value {
            do throws(Errno) { return try body() } catch { throw CgroupProblem(text: "\(root): \(error.message)") }
        }
    }

    private static func lock(_ root: String) throws(CgroupProblem) -> FileDescriptor {
        do throws(Errno) {
            let folder = try FileDescriptor.open(root, O_RDONLY | O_DIRECTORY)
            try succeed(flock(folder.raw, LOCK_EX | LOCK_NB))
            return folder
        } catch {
            let why = error.code == EWOULDBLOCK ? "another agent uses it" : error.message
            throw CgroupProblem(text: "\(root): \(why)")
        }
    }

    /// Puts a process where the shims will be. Permission bits do not prove that this can be done: the kernel refuses it
    /// below a cgroup of the wrong type, and a container runtime may refuse it too. A shim without arguments ends at once.
    private static func probe(
        _ groups: WorkerCgroups, on loop: Loop, _ shim: String
    ) throws(CgroupProblem) -> ChildProcess {
        do throws(Errno) {
            let folder = try FileDescriptor.open(groups.shims, O_RDONLY | O_DIRECTORY)
            var command = ChildCommand(shim)
            command.cgroup = folder.raw
            do throws(SpawnError) {
                return try ChildProcess(on: loop, "probe of the workers' cgroup", command) { _ in }
            } catch { throw error.reason }
        } catch { throw CgroupProblem(text: "\(groups.shims): no process can be put there: \(error.message)") }
    }

    /// Makes the host's folders, and lets other users through those that an earlier agent or systemd made with a mode of
    /// 0700.
    private static func prepareFolders(_ state: String) throws(Errno) {
        try PassableFolder.make(state, hidingAllBut: "workers")
        try PassableFolder.make("\(state)/workers")
        if access("\(state)/trash", F_OK) < 0 { try PassableFolder.makePrivate("\(state)/trash") }
        for folder in WorkerFolder.all(in: state) {
            try PassableFolder.open(Files.parent(of: folder.path))
            try PassableFolder.open(folder.path)
        }
    }

    /// Stops watching; affects no worker. Idempotent.
    package func close() {
        for keeper in keepers.values { keeper.close() }
        keepers = [:]
        probe?.close()
        removals.close()
    }

    /// Workers that run or are being ended.
    package var live: [WorkerRef] { keepers.keys.sorted() }

    /// Starts one generation of a worker, or starts it again after it has ended: then its log continues where it was. If it
    /// throws, nothing has run and nothing new is left; otherwise events report the rest. `operation` is kept with the
    /// worker, for `adopt()`.
    package func launch(_ worker: WorkerRef, _ spec: WorkerSpec, operation: String) throws(SpecProblem) {
        loop.preconditionOnLoop()
        guard WorkerSpec.isName(worker.name) else { throw SpecProblem("name", "'\(worker.name)' is not a name") }
        if let problem = spec.problems().first { throw problem }
        let user = try WorkerUser(spec)
        if spec.workingDirectory == nil, let problem = user.problem(inFolderOf: settings.stateDirectory) {
            throw problem
        }
        let folder = folder(worker)
        var launch = try LaunchFile(folder, spec, user, operation: operation, cgroups: cgroups)
        do throws(Errno) { launch.newAncestors = try folder.make(in: settings.stateDirectory) } catch {
            if error.code == EEXIST { return try launchAgain(folder, &launch, spec, user) }
            throw SpecProblem("worker", "its folder cannot be made: \(error)")
        }
        do throws(SpecProblem) {
            let keeper = try prepare(folder, launch, spec, user)
            keepers[worker] = keeper
        } catch {
            cgroups?.remove(worker)
            discard(folder)
            throw error
        }
    }

    /// Every problem of a specification that can be detected on this node; `launch` checks all of it again.
    package func check(_ spec: WorkerSpec) -> [SpecProblem] {
        let problems = spec.problems()
        return problems.isEmpty ? WorkerSpecCheck.problems(spec, state: settings.stateDirectory) : problems
    }

    /// The folder is there: the generation must have ended. The new launch replaces the old one in one step, and only then
    /// the record of the old end is removed. So a crash in between leaves a launch that was lost, and never an end that
    /// belongs to another launch.
    private func launchAgain(
        _ folder: WorkerFolder, _ launch: inout LaunchFile, _ spec: WorkerSpec, _ user: WorkerUser
    ) throws(SpecProblem) {
        guard keepers[folder.worker] == nil, let old = folder.launchFile, folder.exitRecord(old.nonce) != nil else {
            throw SpecProblem("generation", "\(folder.worker) was launched before and has not ended")
        }
        launch.logStart = WorkerLog(folder: folder).end
        launch.newAncestors = 1
        do throws(Errno) {
            try cgroups?.make(folder.worker, spec.limits)
            unlink(folder.path(of: GenerationDirectory.launch + ".new"))
            try folder.write(GenerationDirectory.launch + ".new", launch.encoded)
            try succeed(
                rename(
                    folder.path(of: GenerationDirectory.launch + ".new"), folder.path(of: GenerationDirectory.launch)))
            for stale in [GenerationDirectory.exit, GenerationDirectory.started, GenerationDirectory.stuck] {
                unlink(folder.path(of: stale))
                unlink(folder.path(of: stale + GenerationDirectory.reserved))
            }
        } catch { throw SpecProblem("worker", "its folder cannot be prepared: \(error)") }
        keepers[folder.worker] = try start(folder, launch, spec)
    }

    private func prepare(
        _ folder: WorkerFolder, _ launch: LaunchFile, _ spec: WorkerSpec, _ user: WorkerUser
    ) throws(SpecProblem) -> WorkerKeeper {
        do throws(Errno) {
            let work = folder.path(of: GenerationDirectory.work)
            try PassableFolder.makePrivate(work)
            if user.isOther { try succeed(chown(work, user.id, user.group)) }
            try cgroups?.make(folder.worker, spec.limits)
            try folder.write(GenerationDirectory.launch, launch.encoded)
        } catch { throw SpecProblem("worker", "its folder cannot be prepared: \(error)") }
        return try start(folder, launch, spec)
    }

    private func start(
        _ folder: WorkerFolder, _ launch: LaunchFile, _ spec: WorkerSpec
    ) throws(SpecProblem) -> WorkerKeeper {
        let keeper = WorkerKeeper(self, folder, launch)
        do throws(SpawnError) { try keeper.startShim(settings.shim) } catch {
            throw SpecProblem("worker", "its shim '\(settings.shim)' cannot be started: \(error)")
        }
        return keeper
    }

    /// Sends a signal to every process of the worker, including those that left its process group or session. What is left
    /// after `graceSeconds` is killed, by the shim and so also without this agent; without a grace, what is left ten seconds
    /// after the end of the main process. SIGKILL means `killTree`. False if there is no such worker.
    @discardableResult
    package func signal(_ worker: WorkerRef, _ number: Int32, graceSeconds: Int64? = nil) -> Bool {
        loop.preconditionOnLoop()
        guard let keeper = keepers[worker] else { return false }
        if number == SIGKILL { return keeper.command([.kill]) }
        let grace = graceSeconds.map { ShimCommand.grace(seconds: Int32(clamping: min(max(0, $0), 1 << 30))) }
        return keeper.command([.stop(signal: number)] + [grace].compactMap { $0 })
    }

    /// Kills every process of the worker, including those that left its process group or session.
    @discardableResult
    package func killTree(_ worker: WorkerRef) -> Bool { signal(worker, SIGKILL) }

    /// Forgets an ended generation and deletes its folder with the log. False if it still lives.
    @discardableResult
    package func remove(_ worker: WorkerRef) -> Bool {
        loop.preconditionOnLoop()
        guard keepers[worker] == nil else { return false }
        discard(folder(worker))
        return true
    }

    /// A piece of a worker's log; `offset` counts bytes from the generation's beginning or, if negative, from the end.
    package func readLog(_ worker: WorkerRef, from offset: Int64, limit: Int) -> LogChunk {
        let isOver = keepers[worker] == nil
        return WorkerLog(folder: folder(worker)).read(from: offset, limit: max(0, limit), isOver: isOver)
    }

    /// Bytes that a worker has written to its log, deleted ones included.
    package func logBytes(_ worker: WorkerRef) -> Int64 { WorkerLog(folder: folder(worker)).end }

    func folder(_ worker: WorkerRef) -> WorkerFolder { WorkerFolder(worker, in: settings.stateDirectory) }

    /// Hidden at once, and deleted in the background: a worker may have left a million files.
    func discard(_ folder: WorkerFolder) {
        let nonce = folder.launchFile.map { String($0.nonce, radix: 16) } ?? "0"
        let trash = "\(settings.stateDirectory)/trash/\(folder.worker.name).\(folder.worker.generation).\(nonce)"
        guard rename(folder.path, trash) == 0 else { return }
        rmdir("\(settings.stateDirectory)/workers/\(folder.worker.name)")
        delete(trash)
    }

    private func emptyTrash() {
        for name in names(in: "\(settings.stateDirectory)/trash") { delete("\(settings.stateDirectory)/trash/\(name)") }
    }

    private func delete(_ path: String) { removals.run({ removeTree(path) }, then: { _ in }) }

    func keep(_ keeper: WorkerKeeper) { keepers[keeper.worker] = keeper }

    func isKept(_ worker: WorkerRef) -> Bool { keepers[worker] != nil }

    /// Called by keepers. An event that ends a generation also ends its keeper.
    func emit(_ event: WorkerEvent) {
        switch event {
        case .exited(let worker, _), .launchFailed(let worker, _), .lost(let worker, _):
            keepers.removeValue(forKey: worker)?.close()
        case .started, .stuck: break
        }
        onEvent(event)
    }
}
