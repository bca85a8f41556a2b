import CLinux
import Glibc
import ShimProtocol

/// The worker's first process, once it executes its program.
struct Launched {
    var process: Int32
    /// The reading end of its standard output and error.
    var output: Int32
}

struct LaunchFailure: Error {
    var step: LaunchStep
    var errno: Int32
}

/// Starts the worker: a session and a process group of its own, standard input from /dev/null, standard output and error into
/// one pipe, and SIGKILL if this thread ends first.
func launchWorker(_ launch: LaunchFile, cgroup: Cgroup?) throws(LaunchFailure) -> Launched {
    guard let ends = openPipe() else { throw LaunchFailure(step: .output, errno: errno) }
    var result = asterism_spawn_result()
    var failure = LaunchFailure(step: .execute, errno: ENOENT)
    for path in candidates(launch) {
        if start(path, launch, cgroup, output: ends.write, &result) {
            close(ends.write)
            close(result.pidfd)
            return Launched(process: result.pid, output: ends.read)
        }
        let step = LaunchStep(result.step)
        // As execvp(3): a file that may not be executed does not hide one further down the path, but its error is reported.
        if failure.errno != EACCES || step != .execute { failure = LaunchFailure(step: step, errno: result.error) }
        guard step == .execute, [ENOENT, ENOTDIR, EACCES].contains(result.error) else { break }
    }
    close(ends.read)
    close(ends.write)
    throw failure
}

/// Where the program may be: as it is if it holds a slash, else in each folder of the worker's PATH that has such a file.
private func candidates(_ launch: LaunchFile) -> [String] {
    let program = launch.arguments[0]
    if program.utf8.contains(UInt8(ascii: "/")) { return [program] }
    let path = launch.environment.first { $0.hasPrefix("PATH=") }?.dropFirst(5) ?? ""
    return path.split(separator: ":").map { "\($0)/\(program)" }.filter { access($0, F_OK) == 0 }
}

private func start(
    _ path: String, _ launch: LaunchFile, _ cgroup: Cgroup?, output: Int32, _ result: inout asterism_spawn_result
) -> Bool {
    let descriptors: [Int32] = [-1, output, output]
    let groups = launch.user?.groups ?? []
    let limits = launch.limits.map { asterism_limit(resource: $0.resource, soft: $0.value, hard: $0.value) }
    return withStrings(launch.arguments) { arguments in
        withStrings(launch.environment) { environment in
            path.withCString { path in
                launch.workingDirectory.withCString { directory in
                    descriptors.withUnsafeBufferPointer { descriptors in
                        groups.withUnsafeBufferPointer { groups in
                            limits.withUnsafeBufferPointer { limits in
                                var options = asterism_spawn_options()
                                options.path = path
                                options.argv = UnsafePointer(arguments)
                                options.envp = UnsafePointer(environment)
                                options.directory = directory
                                options.descriptors = descriptors.baseAddress
                                options.descriptor_count = descriptors.count
                                options.cgroup = cgroup?.descriptor ?? -1
                                options.set_user = launch.user == nil ? 0 : 1
                                options.uid = launch.user?.id ?? 0
                                options.gid = launch.user?.group ?? 0
                                options.groups = groups.baseAddress
                                options.group_count = groups.count
                                options.limits = limits.baseAddress
                                options.limit_count = limits.count
                                options.new_session = 1
                                options.parent_death_signal = SIGKILL
                                setScore(&options, launch.oomScoreAdjust)
                                return asterism_clone3(&options, &result) == 0
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Only a privileged process may make itself less likely to be killed than its parent (proc_pid_oom_score_adj(5)); for others
/// the parent's score is the minimum.
private func setScore(_ options: inout asterism_spawn_options, _ score: Int32) {
    let text = String(decoding: readAll("/proc/self/oom_score_adj", limit: 16) ?? [], as: UTF8.self)
    let own = Int32(text.split(separator: "\n").first ?? "0") ?? 0
    options.set_oom_score = 1
    options.oom_score = geteuid() == 0 ? score : max(own, score)
}

/// C strings, and a null pointer after the last.
private func withStrings<Result>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
}

extension LaunchStep {
    init(_ step: asterism_spawn_step) {
        switch step {
        case ASTERISM_STEP_CGROUP: self = .cgroup
        case ASTERISM_STEP_SESSION: self = .session
        case ASTERISM_STEP_LIMITS, ASTERISM_STEP_NICE, ASTERISM_STEP_OOM_SCORE: self = .limits
        case ASTERISM_STEP_GROUPS: self = .groups
        case ASTERISM_STEP_GID: self = .group
        case ASTERISM_STEP_UID, ASTERISM_STEP_PRIVILEGES: self = .user
        case ASTERISM_STEP_DIRECTORY: self = .workingDirectory
        case ASTERISM_STEP_DESCRIPTORS: self = .output
        case ASTERISM_STEP_PARENT: self = .parentDeath
        case ASTERISM_STEP_EXEC: self = .execute
        // ASTERISM_STEP_PIPE, _CLONE, _PIDFD, _SIGNALS and what a later CLinux may add.
        default: self = .process
        }
    }
}
