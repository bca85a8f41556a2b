import CLinux
import Glibc
import ShimProtocol
package import Wire

/// The problems of a specification that only this node can detect: users, files, the machine's size. `WorkerSpec.problems()`
/// comes first; this expects a specification that passed it.
///
/// The launch checks all of it again, and its result is final. This check exists so that a person learns of a mistake at
/// once, with the name of the field, before anything has changed.
package struct WorkerSpecCheck {
    private let spec: WorkerSpec
    private var found: [SpecProblem] = []

    /// `state`: where the agent keeps its workers' folders; a worker without a `workingDirectory` starts below it.
    package static func problems(_ spec: WorkerSpec, state: String? = nil) -> [SpecProblem] {
        var check = WorkerSpecCheck(spec: spec)
        do throws(SpecProblem) {
            let user = try WorkerUser(spec)
            if spec.workingDirectory == nil, let state, let problem = user.problem(inFolderOf: state) {
                check.found.append(problem)
            }
            check.checkFolder(user)
            check.checkProgram(user)
        } catch {
            check.found.append(error)
        }
        check.checkEnvironment()
        check.checkLimits()
        return check.found
    }

    private init(spec: WorkerSpec) { self.spec = spec }

    private mutating func checkFolder(_ user: WorkerUser) {
        guard let path = spec.workingDirectory else { return }
        var status = stat()
        if stat(path, &status) < 0 {
            found.append(SpecProblem("workingDirectory", "'\(path)' is not there: \(errorText(errno))"))
        } else if status.st_mode & S_IFMT != S_IFDIR {
            found.append(SpecProblem("workingDirectory", "'\(path)' is not a folder"))
        } else if let obstacle = user.obstacle(to: path) {
            let place = obstacle == path ? "" : ", because of '\(obstacle)'"
            found.append(SpecProblem("workingDirectory", "user \(user.id) may not enter '\(path)'\(place)"))
        }
    }

    private mutating func checkProgram(_ user: WorkerUser) {
        guard let program = spec.command.first, !program.isEmpty else { return }
        if program.utf8.contains(UInt8(ascii: "/")) {
            // Without a folder to start from, a relative path leads into one that does not exist yet.
            guard program.hasPrefix("/") || spec.workingDirectory != nil else {
                found.append(SpecProblem("command", "'\(program)' is relative, and there is no workingDirectory"))
                return
            }
            let path = program.hasPrefix("/") ? program : "\(spec.workingDirectory ?? "")/\(program)"
            if let problem = problem(ofProgram: path, user) { found.append(SpecProblem("command", problem)) }
            return
        }
        let path = spec.environment.first { $0.name == "PATH" }?.value ?? WorkerEnvironment.defaultPath
        var reason = "no '\(program)' in PATH (\(path))"
        for folder in path.split(separator: ":") {
            let candidate = "\(folder)/\(program)"
            guard access(candidate, F_OK) == 0 else { continue }
            guard let problem = problem(ofProgram: candidate, user) else { return }
            reason = problem
        }
        found.append(SpecProblem("command", reason))
    }

    private func problem(ofProgram path: String, _ user: WorkerUser) -> String? {
        var status = stat()
        if stat(path, &status) < 0 { return "'\(path)' is not there: \(errorText(errno))" }
        guard status.st_mode & S_IFMT == S_IFREG else { return "'\(path)' is not a file" }
        if let obstacle = user.obstacle(to: path) {
            let place = obstacle == path ? "" : ", because of '\(obstacle)'"
            return "user \(user.id) may not execute '\(path)'\(place)"
        }
        // The kernel knows of noexec mounts and security modules, but answers for this process.
        if access(path, X_OK) < 0 { return "'\(path)' cannot be executed: \(errorText(errno))" }
        return nil
    }

    private mutating func checkEnvironment() {
        for variable in spec.environment
        where [WorkerMarker.variable, WorkerMarker.shimVariable].contains(variable.name) {
            found.append(SpecProblem("environment.\(variable.name)", "is set by the agent"))
        }
    }

    private mutating func checkLimits() {
        func atMost(_ value: Int64?, _ most: Int64?, _ field: String, _ what: String) {
            guard let value, let most, value > most else { return }
            found.append(SpecProblem(field, "is \(value), and this node has \(most) \(what)"))
        }
        atMost(spec.limits.memoryBytes, Machine.memoryBytes, "limits.memory", "bytes of memory")
        atMost(spec.limits.cpuMillicores, Machine.processors * 1000, "limits.cpu", "thousandths of a processor")
        atMost(spec.limits.processes, Machine.number("/proc/sys/kernel/pid_max"), "limits.processes", "process numbers")
        atMost(spec.limits.openFiles, Machine.openFiles, "limits.openFiles", "as the most that may be given")
    }
}

extension WorkerUser {
    /// The uppermost of a file and the folders above it whose mode bits do not let this user execute or enter it; nil if
    /// all do. A file with an access list is left to the kernel's check at the launch.
    fileprivate func obstacle(to path: String) -> String? {
        var places = [path], rest = path[...]
        while let slash = rest.lastIndex(of: "/"), slash > rest.startIndex {
            rest = rest[..<slash]
            places.append(String(rest))
        }
        for place in places.reversed() {
            var status = stat()
            if stat(place, &status) < 0 || !allows(place, status) { return place }
        }
        return nil
    }

    /// Why this user cannot have a working directory below the agent's state folder, whose own folders let others through.
    func problem(inFolderOf state: String) -> SpecProblem? {
        guard isOther, let obstacle = obstacle(to: "\(state)/workers") else { return nil }
        return SpecProblem(
            "workingDirectory",
            "is needed: user \(id) may not pass through '\(obstacle)', and the worker's own folder is below it")
    }

    private func allows(_ path: String, _ status: stat) -> Bool {
        let mode = status.st_mode
        let bits = mode & S_IFMT == S_IFDIR && id == 0 ? 0o111 : mode & 0o111
        if id == 0 { return bits != 0 }
        let mask: mode_t =
            status.st_uid == id ? 0o100 : status.st_gid == group || groups.contains(status.st_gid) ? 0o010 : 0o001
        return bits & mask != 0 || asterism_has_access_list(path) == 1
    }
}

private enum Machine {
    static var processors: Int64 { Int64(sysconf(Int32(_SC_NPROCESSORS_ONLN))) }
    static var memoryBytes: Int64 { Int64(sysconf(Int32(_SC_PHYS_PAGES))) * Int64(sysconf(Int32(_SC_PAGESIZE))) }
    /// Root may raise the limit up to the kernel's own (fs.nr_open); others only up to their hard limit.
    static var openFiles: Int64? {
        if geteuid() == 0 { return number("/proc/sys/fs/nr_open") }
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
            ? Int64(clamping: limit.rlim_max) : nil
    }

    static func number(_ path: String) -> Int64? {
        readSmallFile(path, limit: 64).flatMap { bytes in
            String(decoding: bytes, as: UTF8.self).split(separator: "\n").first.flatMap { Int64($0) }
        }
    }
}

func errorText(_ number: Int32) -> String { String(cString: strerror(number)) }
