import Base
import CLinux
import EventLoop
import Glibc
import Platform
import ShimProtocol
import Wire

extension LaunchFile {
    /// A specification with everything looked up.
    init(
        _ folder: WorkerFolder, _ spec: WorkerSpec, _ user: WorkerUser, operation: String, cgroups: WorkerCgroups?
    ) throws(SpecProblem) {
        guard let signal = spec.stop.signalNumber else {
            throw SpecProblem("stop.signal", "'\(spec.stop.signal)' is not a signal")
        }
        let nonce = Entropy.word()
        let work = folder.path(of: GenerationDirectory.work)
        self.init(
            name: folder.worker.name, generation: folder.worker.generation, nonce: nonce, arguments: spec.command,
            workingDirectory: spec.workingDirectory ?? work, logFileBytes: spec.log.maxFileBytes,
            logFiles: spec.log.maxFiles, stopSignal: signal)
        self.operation = operation
        self.user = user.launchUser
        environment = WorkerEnvironment.complete(spec, home: user.home ?? work, marker: marker)
        cgroup = cgroups?.path(folder.worker)
        unenforced = spec.limits.unenforced(cgroups)
        oomScoreAdjust = spec.priority.oomScoreAdjust
        limits = LaunchFile.limits(spec.limits, user, cgroups)
    }

    /// Limits that the cgroup does not enforce are set by setrlimit(2), where that is close to the same limit.
    private static func limits(_ given: WorkerLimits, _ user: WorkerUser, _ cgroups: WorkerCgroups?) -> [Limit] {
        let controllers = cgroups?.controllers ?? []
        var limits: [Limit] = []
        if let files = given.openFiles {
            limits.append(Limit(resource: Int32(RLIMIT_NOFILE.rawValue), value: UInt64(files)))
        }
        if let bytes = given.memoryBytes, !controllers.contains("memory") {
            // Private writable memory (Linux 4.7). RLIMIT_AS would also count what is only reserved, and accelerator
            // drivers reserve terabytes.
            limits.append(Limit(resource: Int32(RLIMIT_DATA.rawValue), value: UInt64(bytes)))
        }
        if let processes = given.processes, !controllers.contains("pids") {
            // The kernel counts all of the user's tasks on the machine, so the existing ones are added to the limit. It
            // counts nothing for root (getrlimit(2)).
            let value = UInt64(processes) + UInt64(tasks(of: user.id))
            limits.append(Limit(resource: asterism_processes_limit, value: value))
        }
        return limits
    }

    private static func tasks(of user: UInt32) -> Int {
        names(in: "/proc").compactMap { Int32($0) }.reduce(0) { sum, process in
            var status = stat()
            guard stat("/proc/\(process)", &status) == 0, status.st_uid == user else { return sum }
            return sum + names(in: "/proc/\(process)/task").count
        }
    }
}

extension WorkerLimits {
    /// The requested limits that hold for single processes only, or not at all.
    func unenforced(_ cgroups: WorkerCgroups?) -> [String] {
        let controllers = cgroups?.controllers ?? []
        var fields: [String] = []
        if memoryBytes != nil, !controllers.contains("memory") { fields.append("limits.memory") }
        if cpuMillicores != nil, !controllers.contains("cpu") { fields.append("limits.cpu") }
        if processes != nil, !controllers.contains("pids") { fields.append("limits.processes") }
        return fields
    }
}

extension WorkerPriority {
    /// For oom_score_adj, whose unit is a thousandth of the machine's memory: when memory runs out, a low-priority worker is
    /// killed before a normal one that uses up to four tenths of the memory more.
    var oomScoreAdjust: Int32 {
        switch self {
        case .high: 0
        case .normal: 200
        case .low: 600
        }
    }
}

extension SpecProblem {
    /// A launch that failed in the shim.
    init(_ step: LaunchStep, errno: Int32, _ launch: LaunchFile) {
        let subject =
            switch step {
            case .execute: " '\(launch.arguments[0])'"
            case .workingDirectory: " '\(launch.workingDirectory)'"
            case .cgroup: " '\(launch.cgroup ?? "")'"
            case .shim, .launchFile, .durability, .output, .process, .session, .limits, .groups, .group, .user,
                .parentDeath:
                ""
            }
        self.init(step.field, "\(step.description)\(subject) failed: \(errorText(errno))")
    }
}
