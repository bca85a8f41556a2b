import Base

/// # What an agent and a shim agree on
///
/// A generation of a worker is one folder, `<state>/workers/<name>/<generation>/`:
///
/// ```
/// launch                     the agent  what to run; the shim holds a flock(2) on it for as long as it lives
/// started                    the shim   the worker runs: who it is, and who its shim is
/// stuck                      the shim   SIGKILL was sent and these processes are still there
/// exit                       the shim   it is over, and no process is left
/// log.00000000000000000000   the shim   standard output and error from that byte on
/// work/                      the agent  the worker's own folder, and its working directory unless the launch names another
/// ```
///
/// The protocol rests on three facts. The lock is held as long as the shim lives: the kernel drops it however the shim ends.
/// `exit` proves that a whole generation has ended: the shim writes it after waitpid(2) has returned ECHILD, and since it is
/// the subreaper it then has no descendant. And the process that writes `exit` holds the lock and has checked that there is
/// no `exit` yet. So an agent that gives a generation up and a shim that is late can never both write one.
///
/// The first thing that a shim does under its lock is to reserve space for `exit` (`exit.new`). Where there is no lock, no
/// `exit.new` and no `exit`, nothing has run, and the launch may be repeated.
///
/// The shim makes `launch` and the folder durable before it starts the worker (the agent's loop must not wait for a
/// disk), and `exit` before it ends. `started` and `stuck` describe processes. No process survives a power failure, so these
/// files need not survive it either.
package enum GenerationDirectory {
    package static let launch = "launch"
    package static let started = "started"
    package static let stuck = "stuck"
    package static let exit = "exit"
    package static let work = "work"
    /// Suffix of a file for which the shim has reserved space and which it has not written yet.
    package static let reserved = ".new"
    package static let logPrefix = "log."
    /// Digits of an offset in a log file's name; 2^63 has 19.
    package static let logDigits = 20

    /// The log file that begins at this byte of the log.
    package static func logName(at offset: Int64) -> String {
        let digits = String(offset)
        return logPrefix + String(repeating: "0", count: logDigits - digits.utf8.count) + digits
    }

    /// The offset in a log file's name; `nil` for any other name.
    package static func logOffset(of name: String) -> Int64? {
        guard name.hasPrefix(logPrefix), name.utf8.count == logPrefix.utf8.count + logDigits else { return nil }
        let digits = name.utf8.dropFirst(logPrefix.utf8.count)
        guard digits.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int64(name.dropFirst(logPrefix.count))
    }
}
