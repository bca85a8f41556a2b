import CLibuv
import Glibc

/// Calls back while a descriptor is ready. The descriptor becomes non-blocking, for all processes that share its open file.
/// Regular files cannot be polled (EPERM).
package final class Poll: Source {
    package struct Events: OptionSet, Hashable, Sendable {
        package let rawValue: Int32
        package init(rawValue: Int32) { self.rawValue = rawValue }

        package static let readable = Events(rawValue: Int32(UV_READABLE.rawValue))
        package static let writable = Events(rawValue: Int32(UV_WRITABLE.rawValue))
        /// POLLPRI: pressure triggers of /proc/pressure, changes in sysfs and cgroup.events, urgent data of TCP.
        package static let priority = Events(rawValue: Int32(UV_PRIORITIZED.rawValue))
        /// POLLRDHUP: the far end will send no more.
        package static let disconnect = Events(rawValue: Int32(UV_DISCONNECT.rawValue))
        /// POLLERR. It is always reported, without a request. Then the source stops until it is started again: an error that
        /// is never cleared would otherwise be reported forever.
        package static let error = Events(rawValue: 1 << 16)
    }

    private var onEvents: ((Events) -> Void)?

    /// Watches a descriptor that the caller owns and keeps open until this source is closed.
    package init(
        on loop: Loop, _ description: String, watching raw: Int32, onEvents: @escaping (Events) -> Void
    ) throws(Errno) {
        self.onEvents = onEvents
        try super.init(on: loop, description, as: uv_poll_t.self) { uv_poll_init($0, $1, raw) }
    }

    /// Watches a descriptor of its own, which is closed with this source.
    package init(
        on loop: Loop, _ description: String, owning owned: consuming FileDescriptor,
        onEvents: @escaping (Events) -> Void
    ) throws(Errno) {
        let number = owned.raw
        self.onEvents = onEvents
        try super.init(on: loop, description, as: uv_poll_t.self) { uv_poll_init($0, $1, number) }
        descriptor = consume owned
    }

    /// From now on reports `events` and no others. If `events` is empty it reports nothing, not even `.error`.
    package func start(_ events: Events) {
        loop.preconditionOnLoop()
        guard let poll = raw(uv_poll_t.self) else { return }
        let status = uv_poll_start(poll, events.rawValue) { handle, status, events in
            guard let poll = Poll.of(handle) else { return }
            poll.onEvents?(status < 0 ? .error : Events(rawValue: events))
        }
        precondition(status == 0, "uv_poll_start: \(Errno(uv: status))")
    }

    package func stop() {
        loop.preconditionOnLoop()
        if let poll = raw(uv_poll_t.self) { uv_poll_stop(poll) }
    }

    override func didClose() { onEvents = nil }
}
