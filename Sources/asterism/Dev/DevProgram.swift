import Control
import Foundation

/// A program that was started here, as a process in a separate session. So Ctrl-C at the terminal reaches only this
/// program, which decides the order of stopping.
final class DevProgram {
    let name: String
    let pid: pid_t
    let log: String
    /// The status from waitpid(2), once there is one.
    private(set) var status: Int32?

    /// POSIX_SPAWN_SETSID of <spawn.h>, which Swift sees only with _GNU_SOURCE.
    private static let newSession: Int16 = 0x80

    init(name: String, _ arguments: [String], log: String) throws(Failure) {
        self.name = name
        self.log = log
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The other program must not inherit the blocked signals.
        var none = sigset_t(), all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(
            &attributes, DevProgram.newSession | Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF))
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { words.forEach { free($0) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, arguments[0], &actions, &attributes, &words, environ)
        guard code == 0 else {
            throw Failure(.refused, "\(name) cannot be started: \(String(cString: strerror(code)))")
        }
        self.pid = pid
    }

    /// Whether it still runs; collects its status when it has ended.
    var isRunning: Bool {
        if status != nil { return false }
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return true }
        self.status = status
        return false
    }

    /// How it ended, in words.
    var ending: String {
        guard let status else { return "runs" }
        let signal = status & 0x7f
        return signal == 0 ? "exit status \((status >> 8) & 0xff)" : "killed by signal \(signal)"
    }

    func send(_ signal: Int32) {
        // Until its status is collected, the pid is not reused.
        if isRunning { kill(pid, signal) }
    }

    /// Waits for its end, for at most `seconds`.
    func hasEnded(within seconds: Double) -> Bool {
        let end = monotonicSeconds() + seconds
        while isRunning {
            guard monotonicSeconds() < end else { return false }
            usleep(10_000)
        }
        return true
    }

    /// The last lines of its log.
    func logTail(_ lines: Int) -> [String] {
        guard let handle = FileHandle(forReadingAtPath: log), let size = try? handle.seekToEnd() else { return [] }
        try? handle.seek(toOffset: size > 65_536 ? size - 65_536 : 0)
        let text = String(decoding: (try? handle.readToEnd()) ?? Data(), as: UTF8.self)
        return text.split(separator: "\n").suffix(lines).map { String($0).printable }
    }
}
