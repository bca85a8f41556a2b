package import EventLoop
import Glibc

/// Files that survive kill -9 and a power failure: they are written to a second file, flushed and renamed into place, and
/// then the directory is flushed. A reader sees the old content or the new, never a part.
package enum Files {
    /// Makes the directory and its parents; those that are made have `mode`, whatever the umask is.
    package static func makeDirectory(_ path: String, mode: UInt32 = 0o700) throws(FileError) {
        var partial = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: true) {
            partial += (partial.isEmpty && !path.hasPrefix("/") ? "" : "/") + part
            if mkdir(partial, mode) == 0 {
                guard chmod(partial, mode) == 0 else { throw FileError("chmod", partial, Errno(errno)) }
            } else if errno != EEXIST {
                throw FileError("mkdir", partial, Errno(errno))
            }
        }
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw FileError("mkdir", path, Errno(ENOTDIR))
        }
    }

    /// The file's bytes; `nil` if there is none.
    package static func read(_ path: String, limit: Int = 64 << 20) throws(FileError) -> [UInt8]? {
        do throws(Errno) {
            let file = try FileDescriptor.open(path, O_RDONLY | O_CLOEXEC)
            return try file.readAll(limit: limit)
        } catch {
            if error.code == ENOENT { return nil }
            throw FileError("read", path, error)
        }
    }

    package static func write(_ bytes: [UInt8], to path: String, mode: UInt32 = 0o600) throws(FileError) {
        let temporary = "\(path).new"
        do throws(Errno) {
            let file = try FileDescriptor.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode: mode)
            // The umask may have reduced the mode, and a file that a crash has left may have another mode.
            guard fchmod(file.raw, mode) == 0 else { throw Errno(errno) }
            try file.writeAll(bytes)
            guard fsync(file.raw) == 0 else { throw Errno(errno) }
            guard Glibc.rename(temporary, path) == 0 else { throw Errno(errno) }
            let directory = try FileDescriptor.open(parent(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard fsync(directory.raw) == 0 else { throw Errno(errno) }
        } catch { throw FileError("write", path, error) }
    }

    /// Renames a file within its directory, and flushes the directory.
    package static func rename(_ old: String, to new: String) throws(FileError) {
        do throws(Errno) {
            guard Glibc.rename(old, new) == 0 else { throw Errno(errno) }
            let directory = try FileDescriptor.open(parent(of: new), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard fsync(directory.raw) == 0 else { throw Errno(errno) }
        } catch { throw FileError("rename", old, error) }
    }

    /// Takes the lock that reserves a directory for one program; held until the result is closed.
    package static func lock(_ path: String) throws(FileError) -> FileDescriptor {
        do throws(Errno) {
            let file = try FileDescriptor.open(path, O_RDWR | O_CREAT | O_CLOEXEC)
            guard flock(file.raw, LOCK_EX | LOCK_NB) == 0 else { throw Errno(errno) }
            return file
        } catch { throw FileError("lock", path, error) }
    }

    /// The directory that a path lies in.
    package static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}

package struct FileError: Error, Hashable, Sendable, CustomStringConvertible {
    package private(set) var operation: String
    package private(set) var path: String
    package private(set) var reason: Errno

    package init(_ operation: String, _ path: String, _ reason: Errno) {
        self.operation = operation
        self.path = path
        self.reason = reason
    }

    package var description: String {
        if operation == "lock", reason.code == EWOULDBLOCK { return "\(path): another process holds the lock" }
        return "\(operation) \(path): \(reason.message)"
    }
}
