import Foundation
import Testing

/// A real process that a test started: its output goes to a file, and its end is collected by its pid.
final class Program {
    let name: String
    let pid: pid_t
    let output: String
    private(set) var status: Int32?

    /// POSIX_SPAWN_SETSID of <spawn.h>, which Swift sees only with _GNU_SOURCE.
    private static let newSession: Int16 = 0x80

    /// Where the programs are: next to the tests' own executable, or in ASTERISM_PROGRAMS (a release build).
    static let directory: String = {
        if let given = ProcessInfo.processInfo.environment["ASTERISM_PROGRAMS"] { return given }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
        let own = String(decoding: buffer[..<max(0, count)], as: UTF8.self)
        return String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)])
    }()

    /// `errors`: where the standard error goes; without it, where the standard output goes. `environment`: more of it than
    /// a search path.
    init(
        _ name: String, _ arguments: [String], output: String, errors: String? = nil,
        environment: [String: String] = [:]
    ) throws {
        let path = name.hasPrefix("/") ? name : "\(Program.directory)/\(name)"
        self.name = name
        self.output = output
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        if let errors {
            posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        } else {
            posix_spawn_file_actions_adddup2(&actions, 1, 2)
        }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t(), every = sigset_t()
        sigemptyset(&none)
        sigfillset(&every)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &every)
        posix_spawnattr_setflags(
            &attributes, Program.newSession | Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF))
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        let all = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"].merging(environment) { $1 }
        var variables = all.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (words + variables).forEach { free($0) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, path, &actions, &attributes, &words, &variables)
        try #require(code == 0, "\(path) cannot be started: \(String(cString: strerror(code)))")
        self.pid = pid
    }

    deinit { end() }

    var isRunning: Bool {
        if status != nil { return false }
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return true }
        self.status = status
        return false
    }

    /// `nil` while it runs, and where a signal ended it.
    var exitStatus: Int32? { status.flatMap { $0 & 0x7f == 0 ? ($0 >> 8) & 0xff : nil } }
    var endSignal: Int32? { status.flatMap { $0 & 0x7f == 0 ? nil : $0 & 0x7f } }

    func send(_ signal: Int32) {
        // Not collected means that the number is still its own.
        if isRunning { kill(pid, signal) }
    }

    func hasEnded(within seconds: Double) -> Bool {
        let end = monotonicSeconds() + seconds
        while isRunning {
            guard monotonicSeconds() < end else { return false }
            usleep(5000)
        }
        return true
    }

    /// SIGKILL, and until it is gone.
    func end() {
        send(SIGKILL)
        _ = hasEnded(within: 10)
    }

    var text: String { String(decoding: FileManager.default.contents(atPath: output) ?? Data(), as: UTF8.self) }
}

/// What went wrong, for the reader of the tests' output.
struct Fault: Error, CustomStringConvertible {
    var description: String
    var code: Int32 = 0

    init(_ description: String) { self.description = description }

    static func last(_ what: String) -> Fault {
        let code = errno
        var fault = Fault("\(what): \(String(cString: strerror(code)))")
        fault.code = code
        return fault
    }
}

func monotonicSeconds() -> Double { seconds(CLOCK_MONOTONIC) }
func wallSeconds() -> Double { seconds(CLOCK_REALTIME) }

private func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// What /proc knows of a process: enough to distinguish it from a later one with its number.
struct ProcessFacts: Hashable {
    var pid: Int32
    /// Field 22 of proc_pid_stat(5), in clock ticks since boot.
    var startTime: UInt64
    /// Fields 14 and 15 together, in clock ticks.
    var ticks: UInt64

    /// `nil` where there is none, or only its unburied rest: a zombie without threads.
    init?(_ pid: Int32) {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let close = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[text.index(after: close)...].split(separator: " ")
        guard fields.count > 20, let start = UInt64(fields[19]), let user = UInt64(fields[11]),
            let system = UInt64(fields[12])
        else { return nil }
        if fields[0] == "Z" || fields[0] == "X", Int(fields[17]) ?? 0 <= 1 { return nil }
        self.pid = pid
        startTime = start
        ticks = user + system
    }

    static func isAlive(_ pid: Int32) -> Bool { ProcessFacts(pid) != nil }

    /// Processes whose working folder or command line lies under a folder.
    static func under(_ root: String) -> [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { pid in
            guard pid != getpid(), isAlive(pid) else { return false }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = buffer.withUnsafeMutableBytes { readlink("/proc/\(pid)/cwd", $0.baseAddress!, $0.count) }
            if String(decoding: buffer[..<max(0, count)], as: UTF8.self).hasPrefix(root) { return true }
            let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
            return String(decoding: line, as: UTF8.self).contains(root + "/")
        }
    }
}
