import Base

/// What to launch, and how to keep and end it. A specification is data: the agent compares, stores and reports it, and
/// nothing in it is code. `WorkerSpec.problems()` finds errors that can be seen without the node. The node itself
/// checks the user and the binary before the controller adds the worker to its desired state.
package struct WorkerSpec: Hashable, Sendable, Codable {
    /// The program and its arguments. The program is a path, or a name that is looked up in the worker's PATH.
    package var command: [String]
    /// Sorted by name, no name twice. The worker sees these, `PATH`, `HOME`, `ASTERISM_WORKER` and nothing else of the
    /// agent's own environment.
    package var environment: [EnvironmentVariable] = []
    /// Absolute. Without it the worker starts in its own state directory.
    package var workingDirectory: String?
    /// A user's name or number (`AccountName`); without it the agent's own user.
    package var user: String?
    /// A group's name or number; without it the user's primary group.
    package var group: String?
    package var limits = WorkerLimits()
    package var restart = RestartPolicy()
    package var stop = StopPolicy()
    package var log = LogPolicy()
    package var priority = WorkerPriority.normal
    /// Free labels, sorted by name, no name twice.
    package var labels: [Label] = []

    package init(command: [String]) { self.command = command }
}

package struct EnvironmentVariable: Hashable, Sendable, Codable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

package struct Label: Hashable, Sendable, Codable {
    package var name: String
    package var value: String

    package init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// Ceilings for one worker and all its descendants together; `nil` means no ceiling. Where the node has no cgroup to
/// enforce one, the agent falls back to `setrlimit` (memory, processes, open files). The worker's status states it.
package struct WorkerLimits: Hashable, Sendable, Codable {
    package var memoryBytes: Int64?
    /// Thousandths of one processor: 1500 is one and a half.
    package var cpuMillicores: Int64?
    package var processes: Int64?
    /// Per process (RLIMIT_NOFILE).
    package var openFiles: Int64?

    package init() {}
}

package struct RestartPolicy: Hashable, Sendable, Codable {
    package enum Mode: String, Hashable, Sendable, Codable, CaseIterable {
        case never
        case onFailure = "on-failure"
        case always
    }
    package var mode = Mode.never
    /// More restarts than this within `windowSeconds` and the worker is FAILED.
    package var maxRestarts: Int64 = 10
    package var windowSeconds: Int64 = 600
    /// First delay; it doubles up to `maxDelaySeconds`, and each is changed by up to 25 % either way.
    package var delaySeconds: Int64 = 1
    package var maxDelaySeconds: Int64 = 60

    package init() {}
}

/// How a worker is ended: `signal` to every process of it, `graceSeconds` for all of them to end, then SIGKILL to those that
/// are left. The worker is stopped as soon as no process of it is left.
package struct StopPolicy: Hashable, Sendable, Codable {
    /// A signal's name without SIG: TERM, INT, QUIT, HUP, USR1, USR2.
    package var signal = "TERM"
    package var graceSeconds: Int64 = 10

    package init() {}

    /// Linux's numbers (signal(7), x86 and ARM); `nil` for a name that is not one of those above.
    package var signalNumber: Int32? {
        switch signal {
        case "HUP": 1
        case "INT": 2
        case "QUIT": 3
        case "USR1": 10
        case "USR2": 12
        case "TERM": 15
        case "KILL": 9
        default: nil
        }
    }
}

/// A worker's standard output and error go to one log, in files of at most `maxFileBytes`, the newest `maxFiles` kept.
package struct LogPolicy: Hashable, Sendable, Codable {
    package var maxFileBytes: Int64 = 10 << 20
    package var maxFiles: Int64 = 5

    package init() {}
}

package enum WorkerPriority: String, Hashable, Sendable, Codable, CaseIterable {
    case high, normal, low
}

/// A fault in a specification, with the field's path as the user wrote it (`limits.memory`).
package struct SpecProblem: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    package var field: String
    package var message: String

    package init(_ field: String, _ message: String) {
        self.field = field
        self.message = message
    }

    package var description: String { "\(field): \(message)" }
}

extension WorkerSpec {
    /// Everything that is wrong with the specification and can be seen without the node it will run on.
    package func problems() -> [SpecProblem] {
        var found: [SpecProblem] = []
        func check(_ holds: Bool, _ field: String, _ message: String) {
            if !holds { found.append(SpecProblem(field, message)) }
        }
        check(!command.isEmpty, "command", "is missing; give the program and its arguments")
        check(command.first != "", "command", "the program's name is empty")
        check(command.count <= Limits.workerArguments, "command", "has more than \(Limits.workerArguments) arguments")
        let size = command.reduce(0) { $0 + $1.utf8.count } + environment.reduce(0) { $0 + $1.value.utf8.count }
        check(size <= Limits.workerCommandBytes, "command", "is longer than \(Limits.workerCommandBytes) bytes")
        check(!command.contains { $0.utf8.contains(0) }, "command", "holds a NUL byte")
        check(environment.count <= Limits.workerArguments, "environment", "has too many variables")
        for (index, variable) in environment.enumerated() {
            check(isVariableName(variable.name), "environment.\(variable.name)", "is not a variable's name")
            check(!variable.value.utf8.contains(0), "environment.\(variable.name)", "holds a NUL byte")
            check(
                index == 0 || environment[index - 1].name < variable.name, "environment.\(variable.name)",
                "is given twice")
        }
        if let workingDirectory {
            check(workingDirectory.hasPrefix("/"), "workingDirectory", "must be an absolute path")
        }
        found += [user.flatMap { AccountName.problem($0, "user") }, group.flatMap { AccountName.problem($0, "group") }]
            .compactMap { $0 }
        problemsOfNumbers(check)
        check(
            stop.signalNumber != nil, "stop.signal",
            "'\(stop.signal)' is none of TERM, INT, QUIT, HUP, USR1, USR2, KILL")
        check(labels.count <= Limits.labels, "labels", "has more than \(Limits.labels) entries")
        return found
    }

    private func problemsOfNumbers(_ check: (Bool, String, String) -> Void) {
        func positive(_ value: Int64?, _ field: String, atLeast minimum: Int64 = 1) {
            if let value { check(value >= minimum, field, "must be at least \(minimum), not \(value)") }
        }
        positive(limits.memoryBytes, "limits.memory", atLeast: 1 << 20)
        positive(limits.cpuMillicores, "limits.cpu", atLeast: 10)
        positive(limits.processes, "limits.processes")
        positive(limits.openFiles, "limits.openFiles", atLeast: 16)
        positive(restart.maxRestarts, "restart.maxRestarts", atLeast: 0)
        positive(restart.windowSeconds, "restart.window")
        positive(restart.delaySeconds, "restart.delay", atLeast: 0)
        positive(restart.maxDelaySeconds, "restart.maxDelay", atLeast: max(1, restart.delaySeconds))
        positive(stop.graceSeconds, "stop.grace", atLeast: 0)
        check(stop.graceSeconds <= 86_400, "stop.grace", "must be at most a day")
        positive(log.maxFileBytes, "log.maxSize", atLeast: 4096)
        positive(log.maxFiles, "log.maxFiles", atLeast: 1)
        check(log.maxFiles <= 100, "log.maxFiles", "must be at most 100, not \(log.maxFiles)")
    }

    /// Letters, digits, `-`, `_` and `.`, at most 63 of them, the first a letter or digit: a DNS label and a file name.
    package static func isName(_ name: String) -> Bool {
        guard (1...63).contains(name.utf8.count), let first = name.utf8.first, isAlphanumeric(first) else {
            return false
        }
        return name.utf8.allSatisfy { isAlphanumeric($0) || [45, 46, 95].contains($0) }
    }
}

private func isAlphanumeric(_ byte: UInt8) -> Bool {
    (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
}

private func isVariableName(_ name: String) -> Bool {
    guard let first = name.utf8.first, !(48...57).contains(first), name.utf8.count <= 256 else { return false }
    return name.utf8.allSatisfy { isAlphanumeric($0) || $0 == 95 }
}
