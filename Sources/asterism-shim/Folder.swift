import Base
import Glibc
import Platform
import ShimProtocol

/// The folder of a generation, held open: the shim works with names relative to it, so a change of its path has no effect.
struct Folder {
    let descriptor: Int32

    init?(_ path: String) {
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor < 0 { return nil }
    }

    func has(_ name: String) -> Bool { faccessat(descriptor, name, F_OK, 0) == 0 }

    /// Makes a file, the entries of this folder and those of `ancestors` above it durable. 0, or errno.
    ///
    /// Each fsync(2) is a flush of the disk and takes milliseconds; concurrent calls share one.
    func makeDurable(_ file: Int32, ancestors: Int) -> Int32 {
        var above: [Int32] = []
        defer { for folder in above { close(folder) } }
        var path = ".."
        for _ in 0..<ancestors {
            let folder = openat(descriptor, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            if folder < 0 { return errno }
            above.append(folder)
            path += "/.."
        }
        let others = ([descriptor] + above).map { Synchronizing($0) }
        let own = fsync(file) < 0 ? errno : 0
        return others.reduce(own) { max($0, $1.wait()) }
    }

    /// Reserves the space that a later `put` of this name needs, so that it succeeds even if the disk is full by then.
    func reserve(_ name: String) -> Int32 {
        let file = openat(
            descriptor, name + GenerationDirectory.reserved, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        if file < 0 { return errno }
        defer { close(file) }
        return writeAll(file, [UInt8](repeating: 0, count: 256))
    }

    /// Writes a file atomically: temporary file, rename and, if it must survive a power failure, fsync of the file before and
    /// of the folder after. 0, or errno.
    @discardableResult
    func put(_ name: String, _ bytes: [UInt8], durably: Bool) -> Int32 {
        let temporary = name + GenerationDirectory.reserved
        let file = openat(descriptor, temporary, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        if file < 0 { return errno }
        defer { close(file) }
        let written = writeAll(file, bytes)
        if written != 0 { return written }
        if ftruncate(file, off_t(bytes.count)) < 0 { return errno }
        if durably, fsync(file) < 0 { return errno }
        if renameat(descriptor, temporary, descriptor, name) < 0 { return errno }
        if durably, fsync(descriptor) < 0 { return errno }
        return 0
    }
}

/// One fsync(2) on a thread of its own.
private final class Synchronizing {
    private let descriptor: Int32
    private var thread: pthread_t?
    private var failure: Int32 = 0

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { context in
                Unmanaged<Synchronizing>.fromOpaque(context!).takeUnretainedValue().run()
                return nil
            }, Unmanaged.passUnretained(self).toOpaque())
        if status == 0 { self.thread = thread } else { run() }
    }

    private func run() { if fsync(descriptor) < 0 { failure = errno } }

    /// 0, or errno. To be called once.
    func wait() -> Int32 {
        if let thread { pthread_join(thread, nil) }
        return failure
    }
}

/// pipe2(2) with O_CLOEXEC, which Swift's Glibc lacks. Nothing else forks between the calls: the shim forks on one thread.
func openPipe() -> (read: Int32, write: Int32)? {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return nil }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
}

/// 0, or errno.
func writeAll(_ file: Int32, _ bytes: [UInt8]) -> Int32 {
    var offset = 0
    while offset < bytes.count {
        let count = bytes.withUnsafeBytes { write(file, $0.baseAddress! + offset, bytes.count - offset) }
        if count < 0 && errno == EINTR { continue }
        if count < 0 { return errno }
        if count == 0 { return EIO }
        offset += count
    }
    return 0
}

/// A whole file, or as much of it as `limit`; `nil` if it cannot be opened or read.
func readAll(_ path: String, in folder: Int32 = AT_FDCWD, limit: Int) -> [UInt8]? {
    let file = openat(folder, path, O_RDONLY | O_CLOEXEC)
    if file < 0 { return nil }
    defer { close(file) }
    return readAll(file, limit: limit)
}

func readAll(_ file: Int32, limit: Int) -> [UInt8]? {
    var all: [UInt8] = []
    while all.count < limit {
        var failed = false
        let size = min(4096, limit - all.count)
        let chunk = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            let got = read(file, buffer.baseAddress, size)
            failed = got < 0 && errno != EINTR
            count = max(0, got)
            if got < 0 && errno == EINTR { count = 0 }
        }
        if failed { return nil }
        if chunk.isEmpty { return all }
        all += chunk
    }
    return all
}

/// Milliseconds of a clock that never steps.
func monotonicMilliseconds() -> Int64 { Int64(Clock.monotonic().nanoseconds / 1_000_000) }
