import CLinux
import Glibc

/// What to run and in which environment. The child gets an empty signal mask, default signal dispositions, and no
/// descriptors but the listed ones.
package struct ChildCommand: Sendable {
    /// A user by number. All supplementary groups are replaced by `groups`.
    package struct User: Hashable, Sendable {
        package var uid: UInt32
        package var gid: UInt32
        package var groups: [UInt32]

        package init(uid: UInt32, gid: UInt32, groups: [UInt32] = []) {
            self.uid = uid
            self.gid = gid
            self.groups = groups
        }
    }
    /// A resource limit (getrlimit(2)); nil is RLIM_INFINITY.
    package struct Limit: Hashable, Sendable {
        package enum Resource: Hashable, Sendable {
            /// Open descriptors.
            case descriptors
            /// Bytes of a core file.
            case core
            /// Bytes of address space.
            case addressSpace
        }
        package var resource: Resource
        package var soft: UInt64?
        package var hard: UInt64?

        package init(_ resource: Resource, soft: UInt64?, hard: UInt64?) {
            self.resource = resource
            self.soft = soft
            self.hard = hard
        }
    }

    /// The program's file; PATH is not searched.
    package var path: String
    /// All of argv, the name first.
    package var arguments: [String]
    /// NAME=VALUE, and nothing is inherited.
    package var environment: [String]
    package var directory: String?
    package var user: User?
    /// The child's descriptors 0, 1, 2 and so on, at most 64; they stay open here. Nil is /dev/null for the first
    /// three, which are always open; others are closed.
    package var descriptors: [Int32?] = []
    /// A descriptor of a directory in cgroup v2, to start in.
    package var cgroup: Int32?
    package var limits: [Limit] = []
    /// A session of its own (setsid(2)): it has no terminal, and signals to our process group do not reach it.
    package var startsSession = false
    /// Neither set-user-id programs nor file capabilities give it rights (prctl(2), PR_SET_NO_NEW_PRIVS).
    package var forbidsNewPrivileges = false
    /// Sent to the child when the thread that starts it ends.
    package var parentDeathSignal: Int32?
    /// -20 to 19.
    package var nice: Int32?
    /// -1000 to 1000 (proc(5)).
    package var oomScore: Int32?
    /// Uses the method for kernels without clone3.
    package var avoidsClone3 = false

    package init(_ path: String, _ arguments: [String] = [], environment: [String] = []) {
        self.path = path
        self.arguments = [path] + arguments
        self.environment = environment
    }

    func start() throws(SpawnError) -> asterism_spawn_result {
        for text in [path, directory ?? ""] + arguments + environment where text.utf8.contains(0) {
            throw SpawnError(step: .arguments, reason: Errno(EINVAL))
        }
        var options = asterism_spawn_options()
        options.cgroup = cgroup ?? -1
        options.new_session = startsSession ? 1 : 0
        options.no_new_privileges = forbidsNewPrivileges ? 1 : 0
        options.parent_death_signal = parentDeathSignal ?? 0
        options.set_nice = nice == nil ? 0 : 1
        options.nice = nice ?? 0
        options.set_oom_score = oomScore == nil ? 0 : 1
        options.oom_score = oomScore ?? 0
        options.set_user = user == nil ? 0 : 1
        options.uid = user?.uid ?? 0
        options.gid = user?.gid ?? 0
        options.avoid_clone3 = avoidsClone3 ? 1 : 0
        var result = asterism_spawn_result()
        withBuffers(&options) { options in _ = asterism_clone3(&options, &result) }
        if result.step == ASTERISM_STEP_NONE { return result }
        throw SpawnError(step: SpawnError.Step(result.step), reason: Errno(result.error))
    }

    /// Fills in all pointers for the duration of `body`.
    private func withBuffers(_ options: inout asterism_spawn_options, _ body: (inout asterism_spawn_options) -> Void) {
        let path = CStrings([self.path]), directory = CStrings(self.directory.map { [$0] } ?? [])
        let argv = CStrings(arguments), envp = CStrings(environment)
        var numbers = descriptors.map { $0 ?? -1 }
        while numbers.count < 3 { numbers.append(-1) }
        let groups = user?.groups ?? []
        let limits = self.limits.map {
            asterism_limit(resource: $0.resource.number, soft: $0.soft ?? .max, hard: $0.hard ?? .max)
        }
        options.path = UnsafePointer(path.pointers[0])
        options.directory = UnsafePointer(directory.pointers[0])
        options.argv = UnsafePointer(argv.pointers)
        options.envp = UnsafePointer(envp.pointers)
        numbers.withUnsafeBufferPointer { numbers in
            groups.withUnsafeBufferPointer { groups in
                limits.withUnsafeBufferPointer { limits in
                    options.descriptors = numbers.baseAddress
                    options.descriptor_count = numbers.count
                    options.groups = groups.baseAddress
                    options.group_count = groups.count
                    options.limits = limits.baseAddress
                    options.limit_count = limits.count
                    body(&options)
                }
            }
        }
        withExtendedLifetime((path, directory, argv, envp)) {}
    }
}

extension ChildCommand.Limit.Resource {
    fileprivate var number: Int32 {
        switch self {
        case .descriptors: Int32(RLIMIT_NOFILE.rawValue)
        case .core: Int32(RLIMIT_CORE.rawValue)
        case .addressSpace: Int32(RLIMIT_AS.rawValue)
        }
    }
}

extension SpawnError.Step {
    fileprivate init(_ step: asterism_spawn_step) {
        // The order of `asterism_spawn_step`.
        let steps: [SpawnError.Step] = [
            .arguments, .pipe, .clone, .pidfd, .cgroup, .signals, .session, .oomScore, .limits, .nice, .groups, .gid,
            .uid, .privileges, .parentDeathSignal, .directory, .descriptors, .execute,
        ]
        self = steps[Int(step.rawValue)]
    }
}

/// Strings for C, with a null pointer behind the last.
private final class CStrings {
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ strings: [String]) {
        count = strings.count
        pointers = .allocate(capacity: count + 1)
        for (index, string) in strings.enumerated() { (pointers + index).initialize(to: strdup(string)) }
        (pointers + count).initialize(to: nil)
    }

    deinit {
        for index in 0..<count { free(pointers[index]) }
        pointers.deallocate()
    }
}
