import CLibuv
import CLinux
import Glibc

/// Watches a process that is not our child, such as a worker that a former run of the agent started. The kernel reports when
/// it ends, but only its parent learns how it ended.
package final class ProcessWatch: Source {
    package let pid: Int32
    private var onExit: (() -> Void)?

    /// ESRCH if there is no such process. `onExit` is called once, after which this source is closed.
    package init(on loop: Loop, _ description: String, pid: Int32, onExit: @escaping () -> Void) throws(Errno) {
        self.pid = pid
        self.onExit = onExit
        let pidfd = FileDescriptor(owning: try syscall("pidfd_open") { asterism_pidfd_open(pid) }), number = pidfd.raw
        try super.init(on: loop, description, as: uv_poll_t.self) { uv_poll_init($0, $1, number) }
        descriptor = consume pidfd
        let status = uv_poll_start(raw(uv_poll_t.self), Int32(UV_READABLE.rawValue)) { handle, _, _ in
            ProcessWatch.of(handle)?.ended()
        }
        precondition(status == 0, "uv_poll_start: \(Errno(uv: status))")
    }

    /// As above, but only if it is still the process that was recorded; ESRCH if the number means another by now.
    package convenience init(
        on loop: Loop, _ description: String, _ identity: ProcessIdentity, onExit: @escaping () -> Void
    ) throws(Errno) {
        try self.init(on: loop, description, pid: identity.pid, onExit: onExit)
        // Read after the pidfd is open: from then on the number cannot move to another process unseen.
        let found = try ProcessIdentity.read(identity.pid)
        guard found == identity else { throw Errno(ESRCH) }
    }

    /// The pidfd; nil once the process ended or the source was closed.
    package var pidfd: Int32? { isOpen ? descriptor?.raw : nil }

    /// ESRCH once it ended, EPERM if it belongs to another user.
    package func send(signal: Int32) throws(Errno) {
        guard let pidfd else { throw Errno(ESRCH) }
        try syscall("pidfd_send_signal") { asterism_pidfd_signal(pidfd, signal) }
    }

    /// A signal with an integer, as sigqueue(3).
    package func send(signal: Int32, value: Int32) throws(Errno) {
        guard let pidfd else { throw Errno(ESRCH) }
        try syscall("pidfd_send_signal") { asterism_pidfd_queue(pidfd, signal, value) }
    }

    override func didClose() { onExit = nil }

    private func ended() {
        let onExit = self.onExit
        close()
        onExit?()
    }
}

/// What distinguishes one process from all others, permanently: process numbers are used again, and start times begin again
/// at each boot.
package struct ProcessIdentity: Hashable, Sendable {
    /// /proc/sys/kernel/random/boot_id.
    package var bootID: String
    package var pid: Int32
    /// Field 22 of /proc/PID/stat: clock ticks (1/100 s) from boot to the process's start.
    package var startTime: UInt64

    package init(bootID: String, pid: Int32, startTime: UInt64) {
        self.bootID = bootID
        self.pid = pid
        self.startTime = startTime
    }

    /// Reads it from a proc file system; ESRCH if there is no such process.
    package static func read(_ pid: Int32, proc: String = "/proc") throws(Errno) -> ProcessIdentity {
        let boot = try text("\(proc)/sys/kernel/random/boot_id")
        let stat: String
        do throws(Errno) { stat = try text("\(proc)/\(pid)/stat") } catch {
            throw error.code == ENOENT ? Errno(ESRCH) : error
        }
        guard let startTime = startTime(inStat: stat) else { throw Errno(EPROTO) }
        return ProcessIdentity(bootID: String(boot.prefix { $0 != "\n" }), pid: pid, startTime: startTime)
    }

    /// The name in field 2 may hold spaces and parentheses, so fields are counted from its last one.
    package static func startTime(inStat text: String) -> UInt64? {
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        return fields.count > 19 ? UInt64(fields[19].prefix { $0.isNumber }) : nil
    }

    private static func text(_ path: String) throws(Errno) -> String {
        let file = try FileDescriptor.open(path, O_RDONLY)
        return String(decoding: try file.readAll(limit: 64 * 1024), as: UTF8.self)
    }
}
