import Glibc

/// The file of a listening unix socket, known by its inode.
package final class SocketFile {
    private let path: String
    private let identity: (dev_t, ino_t)
    private var isRemoved = false

    /// The socket that lies at `path` now.
    package init(_ path: String) throws(Errno) {
        self.path = path
        guard let found = SocketFile.identity(of: path) else { throw Errno(ENOENT) }
        identity = found
    }

    /// Removes the file, if it is still the same.
    package func remove() {
        guard !isRemoved else { return }
        isRemoved = true
        if let found = SocketFile.identity(of: path), found == identity { unlink(path) }
    }

    /// A bound socket at `path`. A socket file without a listener is replaced. The file has `mode` less the umask.
    package static func bind(_ path: String, _ mode: UInt32) throws(Errno) -> FileDescriptor {
        // Abstract names have no file and so no mode, so access could not be limited.
        guard !path.hasPrefix("@") else { throw Errno(EINVAL) }
        let address = try UnixAddress(path)
        let lock = try FileDescriptor.open(directory(of: path), O_RDONLY | O_DIRECTORY)
        try waitForTurn(lock)
        let socket = try FileDescriptor.socket(AF_UNIX, .stream)
        // Linux gives the file the mode that the socket has, so it is never open to more users than it should be.
        try syscall("fchmod") { fchmod(socket.raw, mode) }
        do throws(Errno) { try syscall("bind") { address.with { Glibc.bind(socket.raw, $0, $1) } } } catch {
            guard error.code == EADDRINUSE, try isStale(path, address) else { throw error }
            try syscall("unlink") { unlink(path) }
            try syscall("bind") { address.with { Glibc.bind(socket.raw, $0, $1) } }
        }
        return socket
    }

    /// A turn lasts a few system calls, so this waits for it. But any user who may read the directory can take the lock and
    /// keep it, so the wait has a limit.
    private static func waitForTurn(_ lock: borrowing FileDescriptor) throws(Errno) {
        for _ in 0..<turnAttempts {
            if flock(lock.raw, LOCK_EX | LOCK_NB) == 0 { return }
            guard errno == EWOULDBLOCK || errno == EINTR else { break }
            usleep(turnMicroseconds)
        }
        try syscall("flock") { flock(lock.raw, LOCK_EX | LOCK_NB) }
    }
    /// Two seconds in total.
    private static let turnAttempts = 400, turnMicroseconds: UInt32 = 5000

    private static func isStale(_ path: String, _ address: UnixAddress) throws(Errno) -> Bool {
        guard identity(of: path) != nil else { return false }
        let probe = try FileDescriptor.socket(AF_UNIX, .stream)
        do throws(Errno) { try syscall("connect") { address.with { connect(probe.raw, $0, $1) } } } catch {
            // EAGAIN is a full backlog: a listener is there, and is busy.
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
