package import Base
import CLibuv
import Glibc

/// Accepts connections over TCP or at a path.
///
/// A path is taken over only from the dead: a socket file that nobody answers at is replaced, one with a listener
/// behind it, or a file of another kind, is EADDRINUSE. Of two programs that start at once, one wins: they take turns
/// by a lock on the directory. The file goes when the listener is closed, if it is still the same file.
package final class Listener: Source {
    /// Connections accepted through this listener and still open; beyond it, a new one is closed at once and counted.
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

    /// Connections accepted here and not closed.
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

    /// One of the connections that the limit counts; given back when it goes.
    final class Place {
        private let tally: Tally

        fileprivate init(_ tally: Tally) {
            self.tally = tally
            tally.count += 1
        }

        deinit { tally.count -= 1 }
    }
}

/// The file of a listening unix socket, known by its inode.
private final class SocketFile {
    private let path: String
    private let identity: (dev_t, ino_t)
    private var isRemoved = false

    init(_ path: String) throws(Errno) {
        self.path = path
        guard let found = SocketFile.identity(of: path) else { throw Errno(ENOENT) }
        identity = found
    }

    func remove() {
        guard !isRemoved else { return }
        isRemoved = true
        if let found = SocketFile.identity(of: path), found == identity { unlink(path) }
    }

    /// A bound socket at `path`.
    static func bind(_ path: String, _ mode: UInt32) throws(Errno) -> FileDescriptor {
        // Abstract names have no file and so no mode; who may connect could not be said.
        guard !path.hasPrefix("@") else { throw Errno(EINVAL) }
        let address = try UnixAddress(path)
        let lock = try FileDescriptor.open(directory(of: path), O_RDONLY | O_DIRECTORY)
        try waitForTurn(lock)
        let socket = try FileDescriptor.socket(AF_UNIX, .stream)
        // Linux gives the file the mode that the socket has, so it is never open to more than it should be.
        try syscall("fchmod") { fchmod(socket.raw, mode) }
        do throws(Errno) { try syscall("bind") { address.with { Glibc.bind(socket.raw, $0, $1) } } } catch {
            guard error.code == EADDRINUSE, try isStale(path, address) else { throw error }
            try syscall("unlink") { unlink(path) }
            try syscall("bind") { address.with { Glibc.bind(socket.raw, $0, $1) } }
        }
        return socket
    }

    /// A turn is a few system calls long, so it is waited for; but anybody who may read the directory can take the lock
    /// and keep it, so not for ever.
    private static func waitForTurn(_ lock: borrowing FileDescriptor) throws(Errno) {
        for _ in 0..<turnAttempts {
            if flock(lock.raw, LOCK_EX | LOCK_NB) == 0 { return }
            guard errno == EWOULDBLOCK || errno == EINTR else { break }
            usleep(turnMicroseconds)
        }
        try syscall("flock") { flock(lock.raw, LOCK_EX | LOCK_NB) }
    }
    /// Two seconds together.
    private static let turnAttempts = 400, turnMicroseconds: UInt32 = 5000

    private static func isStale(_ path: String, _ address: UnixAddress) throws(Errno) -> Bool {
        guard identity(of: path) != nil else { return false }
        let probe = try FileDescriptor.socket(AF_UNIX, .stream)
        do throws(Errno) { try syscall("connect") { address.with { connect(probe.raw, $0, $1) } } } catch {
            // EAGAIN is a full backlog: somebody lives there, and is busy.
            return error.code == ECONNREFUSED
        }
        return false
    }

    /// Device and inode, if it is a socket.
    private static func identity(of path: String) -> (dev_t, ino_t)? {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return nil }
        return (status.st_dev, status.st_ino)
    }

    private static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
