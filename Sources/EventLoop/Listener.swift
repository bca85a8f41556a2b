package import Base
import CLibuv
import Glibc

/// Accepts connections over TCP or at a path.
///
/// A path is taken over only if its former owner is gone. A socket file without a listener is replaced. A socket file with a
/// listener, or a file of another kind, is EADDRINUSE. Of two programs that start at once, one wins: a lock on the directory
/// serialises them. Closing the listener removes the file, if it is still the same file.
package final class Listener: Source {
    /// The maximum of open connections that this listener accepted; beyond it, a new one is closed at once and counted.
    package var connectionLimit = 1024
    package private(set) var accepted: UInt64 = 0
    package private(set) var refused: UInt64 = 0
    /// Failures of accept(2), by reason. The listener goes on.
    package private(set) var errors: [Errno: UInt64] = [:]

    private var onConnection: ((ByteStream) -> Void)?
    private let tally = Tally()
    private let file: SocketFile?

    /// Listens at an address; port 0 lets the kernel choose.
    package init(
        on loop: Loop, _ description: String, tcp address: SocketAddress, backlog: Int32 = 128,
        onConnection: @escaping (ByteStream) -> Void
    ) throws(Errno) {
        file = nil
        self.onConnection = onConnection
        try super.init(on: loop, description, as: uv_tcp_t.self) { uv_tcp_init($0, $1) }
        var (storage, _) = address.storage
        let handle = raw(uv_tcp_t.self), flags = address.ip.isIPv4 ? 0 : UInt32(UV_TCP_IPV6ONLY.rawValue)
        try uv(
            withUnsafeBytes(of: &storage) {
                uv_tcp_bind(handle, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), flags)
            })
        try listen(backlog)
    }

    /// Listens at a path. `mode` is the file's mode from its first moment, less the umask.
    package init(
        on loop: Loop, _ description: String, unix path: String, mode: UInt32 = 0o600, backlog: Int32 = 128,
        onConnection: @escaping (ByteStream) -> Void
    ) throws(Errno) {
        let socket = try SocketFile.bind(path, mode)
        file = try SocketFile(path)
        self.onConnection = onConnection
        try super.init(on: loop, description, as: uv_pipe_t.self) { uv_pipe_init($0, $1, 0) }
        try uv(uv_pipe_open(raw(uv_pipe_t.self), socket.raw))
        _ = socket.release()
        try listen(backlog)
    }

    deinit { file?.remove() }

    /// Connections that were accepted here and are not closed.
    package var openConnections: Int { tally.count }

    /// The address of a TCP listener.
    package var localAddress: SocketAddress? {
        guard let handle else { return nil }
        var number: uv_os_fd_t = -1
        guard uv_fileno(handle, &number) == 0 else { return nil }
        return try? address("getsockname") { getsockname(number, $0, $1) }
    }

    override func didClose() {
        onConnection = nil
        file?.remove()
    }

    private var isUnix: Bool { file != nil }

    private func listen(_ backlog: Int32) throws(Errno) {
        try uv(
            uv_listen(raw(uv_stream_t.self), backlog) { handle, status in
                guard let listener = Listener.of(handle) else { return }
                if status < 0 { listener.errors[Errno(uv: status), default: 0] += 1 } else { listener.accept() }
            })
    }

    private func accept() {
        do throws(Errno) {
            let place = tally.count < connectionLimit ? Place(tally) : nil
            let stream = try ByteStream(on: loop, "\(description): connection", isUnix: isUnix, place: place)
            try uv(uv_accept(raw(uv_stream_t.self), stream.raw(uv_stream_t.self)))
            guard place != nil else {
                refused += 1
                return
            }
            if !isUnix { uv_tcp_nodelay(stream.raw(uv_tcp_t.self), 1) }
            accepted += 1
            onConnection?(stream)
        } catch {
            errors[error, default: 0] += 1
        }
    }

    fileprivate final class Tally {
        var count = 0
    }

    /// One of the connections that the limit counts; released in `deinit`.
    final class Place {
        private let tally: Tally

        fileprivate init(_ tally: Tally) {
            self.tally = tally
            tally.count += 1
        }

        deinit { tally.count -= 1 }
    }
}
