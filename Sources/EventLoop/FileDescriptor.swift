import CLinux
import Glibc

/// An open descriptor with one owner, closed when the owner goes.
package struct FileDescriptor: ~Copyable {
    /// The number; valid while this value lives.
    package let raw: Int32

    /// Takes ownership of a descriptor that no other code closes.
    package init(owning raw: Int32) {
        precondition(raw >= 0, "descriptor \(raw)")
        self.raw = raw
    }

    deinit { _ = Glibc.close(raw) }

    /// open(2), close-on-exec.
    package static func open(_ path: String, _ flags: Int32, mode: UInt32 = 0o600) throws(Errno) -> FileDescriptor {
        FileDescriptor(owning: try syscall("open") { Glibc.open(path, flags | O_CLOEXEC, mode) })
    }

    /// pipe2(2), close-on-exec.
    package static func pipe() throws(Errno) -> Pipe {
        var ends: [Int32] = [-1, -1]
        try syscall("pipe2") { asterism_pipe(&ends) }
        return Pipe(read: FileDescriptor(owning: ends[0]), write: FileDescriptor(owning: ends[1]))
    }

    /// Closes, and throws the error that close(2) returned. For files that may be the error of a much earlier write.
    package consuming func close() throws(Errno) {
        let raw = self.raw
        discard self
        // Linux frees the number even when it returns EINTR, so there is no second attempt (close(2)).
        if Glibc.close(raw) == -1, errno != EINTR { throw .current }
    }

    /// Gives up ownership of the number; from now on the caller closes it.
    package consuming func release() -> Int32 {
        let raw = self.raw
        discard self
        return raw
    }

    /// A second descriptor of the same open file, close-on-exec.
    package func duplicate() throws(Errno) -> FileDescriptor {
        let raw = self.raw
        return FileDescriptor(owning: try syscall("fcntl") { fcntl(raw, F_DUPFD_CLOEXEC, 0) })
    }

    /// One read(2) of at most `limit` bytes; empty at the end of the file.
    package func read(atMost limit: Int) throws(Errno) -> [UInt8] {
        var failure: Errno?
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            do throws(Errno) { count = try syscall("read") { Glibc.read(raw, buffer.baseAddress, limit) } } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Everything up to the end of the file; EFBIG if that is more than `limit` bytes.
    package func readAll(limit: Int) throws(Errno) -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let more = try read(atMost: min(64 * 1024, limit + 1 - all.count))
            if more.isEmpty { return all }
            all += more
            if all.count > limit { throw Errno(EFBIG) }
        }
    }

    /// write(2) until all is written.
    package func writeAll(_ bytes: some Sequence<UInt8>) throws(Errno) {
        let bytes = Array(bytes)
        var offset = 0
        while offset < bytes.count {
            offset += try syscall("write") {
                bytes.withUnsafeBytes { Glibc.write(raw, $0.baseAddress! + offset, bytes.count - offset) }
            }
        }
    }
}

/// The two ends of a pipe(2).
package struct Pipe: ~Copyable {
    package let read: FileDescriptor
    package let write: FileDescriptor

    init(read: consuming FileDescriptor, write: consuming FileDescriptor) {
        self.read = read
        self.write = write
    }

    /// Takes the pair apart.
    package consuming func ends() -> (read: Int32, write: Int32) { (read.release(), write.release()) }
}
