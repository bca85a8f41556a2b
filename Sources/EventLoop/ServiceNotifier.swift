package import Base
import Glibc
import Platform

/// Reports this service's state to the service manager (sd_notify(3)), without libsystemd: datagrams of `NAME=value` lines to
/// the socket in NOTIFY_SOCKET.
package struct ServiceNotifier: Sendable {
    /// How often the manager expects `WATCHDOG=1`; nil if it does not watch this process. Half of it is the recommended
    /// interval (sd_watchdog_enabled(3)).
    package let watchdog: Interval?
    private let path: String

    /// From the values of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; nil if no manager listens. A watchdog that is meant
    /// for another process is ignored.
    package init?(socket: String?, watchdogMicroseconds: String? = nil, watchdogPID: String? = nil) {
        guard let socket, socket.hasPrefix("/") || socket.hasPrefix("@") else { return nil }
        path = socket
        let isOurs = watchdogPID.map { Int32($0) == getpid() } ?? true
        let count = watchdogMicroseconds.flatMap { Int64($0) } ?? 0
        watchdog = isOurs && (1...Int64.max / 1000).contains(count) ? .microseconds(count) : nil
    }

    package func ready(status: String? = nil) throws(Errno) { try send(["READY=1"] + line(status)) }
    /// The configuration is being read again; `ready` is to be called when that is done.
    package func reloading() throws(Errno) {
        try send(["RELOADING=1", "MONOTONIC_USEC=\(Clock.monotonic().nanoseconds / 1000)"])
    }
    package func status(_ text: String) throws(Errno) { try send(line(text)) }
    package func stopping(status: String? = nil) throws(Errno) { try send(["STOPPING=1"] + line(status)) }
    /// This process is alive; to be called at least every `watchdog`.
    package func alive() throws(Errno) { try send(["WATCHDOG=1"]) }
    /// Has the manager act as if the watchdog had run out.
    package func watchdogTrigger() throws(Errno) { try send(["WATCHDOG=trigger"]) }

    private func line(_ status: String?) -> [String] {
        // A newline would begin another assignment.
        status.map { ["STATUS=" + $0.split { $0.isNewline }.joined(separator: " ")] } ?? []
    }

    private func send(_ lines: [String]) throws(Errno) {
        let address = try UnixAddress(path), socket = try FileDescriptor.socket(AF_UNIX, .datagram)
        let text = Array(lines.joined(separator: "\n").utf8)
        try syscall("sendto") {
            address.with { sendto(socket.raw, text, text.count, Int32(MSG_NOSIGNAL), $0, $1) }
        }
    }
}
