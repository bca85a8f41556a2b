package import Base
import CLibuv
import CLinux
import Glibc

/// # Processes as descriptors
///
/// A process number may mean another process a moment later; a pidfd always means the same process. Children are started with
/// a pidfd, polled through it, reaped through it (waitid with P_PIDFD, never waitpid(-1), which would steal others'
/// children), and signalled through it.
///
/// The exec happens before `init` returns. A missing program, a user that may not be assumed, or a full cgroup is an error of
/// `init` that names the step, and not an exit code. This blocks the loop for the time of a fork and an exec.
package final class ChildProcess: Source {
    package let pid: Int32
    /// Whether the child was created by clone3, which also placed it in its cgroup, rather than by fork.
    package let wasCloned: Bool
    /// How it ended, once it has.
    package private(set) var exit: ChildExit?
    private var onExit: ((ChildExit) -> Void)?

    /// Starts a process. `onExit` is called once, after which this source is closed and no zombie is left.
    ///
    /// A child outlives its source: closing or dropping it earlier neither ends nor reaps the child. The child then stays a
    /// zombie until this process ends.
    package init(
        on loop: Loop, _ description: String, _ command: ChildCommand, onExit: @escaping (ChildExit) -> Void
    ) throws(SpawnError) {
        let started = try command.start()
        pid = started.pid
        wasCloned = started.cloned != 0
        self.onExit = onExit
        let pidfd = FileDescriptor(owning: started.pidfd), number = pidfd.raw
        do throws(Errno) {
            try super.init(on: loop, description, as: uv_poll_t.self) { uv_poll_init($0, $1, number) }
        } catch {
            // Nothing would ever watch this child.
            asterism_pidfd_signal(number, SIGKILL)
            var ended = asterism_exit()
            while asterism_pidfd_reap(number, &ended) == 0 { usleep(1000) }
            throw SpawnError(step: .watch, reason: error)
        }
        descriptor = consume pidfd
        let status = uv_poll_start(raw(uv_poll_t.self), Int32(UV_READABLE.rawValue)) { handle, _, _ in
            ChildProcess.of(handle)?.ended()
        }
        precondition(status == 0, "uv_poll_start: \(Errno(uv: status))")
    }

    /// The pidfd; nil once the child was reaped or the source closed.
    package var pidfd: Int32? { isOpen ? descriptor?.raw : nil }

    /// ESRCH once it ended.
    package func send(signal: Int32) throws(Errno) {
        guard let pidfd else { throw Errno(ESRCH) }
        try syscall("pidfd_send_signal") { asterism_pidfd_signal(pidfd, signal) }
    }

    /// A signal with an integer, as sigqueue(3): the receiver finds it in `si_value`.
    package func send(signal: Int32, value: Int32) throws(Errno) {
        guard let pidfd else { throw Errno(ESRCH) }
        try syscall("pidfd_send_signal") { asterism_pidfd_queue(pidfd, signal, value) }
    }

    override func didClose() { onExit = nil }

    private func ended() {
        guard let pidfd else { return }
        var raw = asterism_exit()
        let count: Int32
        do throws(Errno) { count = try syscall("waitid") { asterism_pidfd_reap(pidfd, &raw) } } catch {
            preconditionFailure("other code reaped child \(pid): \(error)")
        }
        guard count == 1 else { return }
        let exit = ChildExit(raw), onExit = self.onExit
        self.exit = exit
        close()
        onExit?(exit)
    }
}

/// How a child ended, and what it used.
package struct ChildExit: Hashable, Sendable {
    package enum Status: Hashable, Sendable {
        case exited(code: Int32)
        case killed(signal: Int32, dumpedCore: Bool)
    }
    package var status: Status
    package var userTime: Interval
    package var systemTime: Interval
    package var maximumResidentBytes: Int64

    init(_ raw: asterism_exit) {
        status =
            raw.code == Int32(CLD_EXITED)
            ? .exited(code: raw.status) : .killed(signal: raw.status, dumpedCore: raw.code == Int32(CLD_DUMPED))
        userTime = .microseconds(raw.user_microseconds)
        systemTime = .microseconds(raw.system_microseconds)
        maximumResidentBytes = raw.maximum_resident_bytes
    }
}

extension ChildExit.Status: CustomStringConvertible {
    package var description: String {
        switch self {
        case .exited(let code): "exited with \(code)"
        case .killed(let signal, let dumpedCore): "killed by signal \(signal)\(dumpedCore ? ", core dumped" : "")"
        }
    }
}

/// Why a process did not start: at which step, and what the kernel reported.
package struct SpawnError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Step: String, Hashable, Sendable, CaseIterable {
        case arguments = "arguments"
        case pipe = "pipe"
        case clone = "clone"
        case pidfd = "pidfd"
        case cgroup = "cgroup"
        case signals = "signals"
        case session = "session"
        case oomScore = "oom_score_adj"
        case limits = "limits"
        case nice = "nice"
        case groups = "supplementary groups"
        case gid = "gid"
        case uid = "uid"
        case privileges = "no_new_privs"
        case parentDeathSignal = "parent death signal"
        case directory = "working directory"
        case descriptors = "descriptors"
        case execute = "exec"
        case watch = "watch"
    }
    package var step: Step
    package var reason: Errno

    package init(step: Step, reason: Errno) {
        self.step = step
        self.reason = reason
    }

    package var description: String { "\(step.rawValue): \(reason)" }
}
