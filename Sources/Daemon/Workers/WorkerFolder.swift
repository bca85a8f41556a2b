import Base
import EventLoop
import Glibc
import ShimProtocol
package import Wire

/// Where a node's workers are stored on its disk, and the file operations on one generation's folder.
/// ShimProtocol/GenerationDirectory.swift explains the files, and `PassableFolder` explains who may enter.
package struct WorkerFolder: Hashable, Sendable {
    package let worker: WorkerRef
    package let path: String

    package init(_ worker: WorkerRef, in state: String) {
        self.worker = worker
        path = "\(state)/workers/\(worker.name)/\(worker.generation)"
    }

    package func path(of file: String) -> String { "\(path)/\(file)" }

    /// Makes the folder; EEXIST if this generation was launched before. Returns how many folders above it are new entries of
    /// their own parents.
    func make(in state: String) throws(Errno) -> UInt8 {
        let above = "\(state)/workers/\(worker.name)"
        let isNew = mkdir(above, PassableFolder.mode) == 0
        if !isNew, errno != EEXIST { throw Errno(errno) }
        try PassableFolder.open(above)
        try succeed(mkdir(path, PassableFolder.mode))
        try PassableFolder.open(path)
        return isNew ? 2 : 1
    }

    func write(_ file: String, _ bytes: [UInt8]) throws(Errno) {
        let descriptor = try FileDescriptor.open(path(of: file), O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        try descriptor.writeAll(bytes)
    }

    /// `nil` if there is no such file, or if it is invalid.
    func report(_ file: String) -> ShimReport? {
        guard let bytes = readSmallFile(path(of: file), limit: ShimReport.bytes) else { return nil }
        do throws(DecodeError) { return try ShimReport(decoding: bytes) } catch { return nil }
    }

    func exitRecord(_ nonce: UInt64) -> ExitRecord? {
        guard case .ended(let record) = report(GenerationDirectory.exit), record.nonce == nonce else { return nil }
        return record
    }
    func startedRecord(_ nonce: UInt64) -> StartedRecord? {
        guard case .started(let record) = report(GenerationDirectory.started), record.nonce == nonce else { return nil }
        return record
    }
    func stuckRecord(_ nonce: UInt64) -> StuckRecord? {
        guard case .stuck(let record) = report(GenerationDirectory.stuck), record.nonce == nonce else { return nil }
        return record
    }

    /// Whether a shim has ever held this generation: the first thing that it does is to reserve space for `exit`.
    var hasBegun: Bool {
        [
            GenerationDirectory.exit, GenerationDirectory.exit + GenerationDirectory.reserved,
            GenerationDirectory.started,
        ]
        .contains { access(path(of: $0), F_OK) == 0 }
    }

    var launchFile: LaunchFile? {
        guard let bytes = readSmallFile(path(of: GenerationDirectory.launch), limit: LaunchFile.fileBytes) else {
            return nil
        }
        do throws(DecodeError) { return try LaunchFile(decoding: bytes) } catch { return nil }
    }

    /// Takes the lock that a living shim holds; `nil` if a shim holds it.
    func lock() throws(Errno) -> FileDescriptor? {
        let file = try FileDescriptor.open(path(of: GenerationDirectory.launch), O_RDONLY)
        if flock(file.raw, LOCK_EX | LOCK_NB) == 0 { return file }
        if errno == EWOULDBLOCK { return nil }
        throw Errno(errno)
    }

    /// Writes `exit` in place of the shim. Only under the lock.
    func conclude(_ record: ExitRecord) throws(Errno) {
        let new = path(of: GenerationDirectory.exit + ".host")
        let file = try FileDescriptor.open(new, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        try file.writeAll(ShimReport.ended(record).encoded)
        try succeed(fsync(file.raw))
        try succeed(rename(new, path(of: GenerationDirectory.exit)))
        let folder = try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY)
        try succeed(fsync(folder.raw))
    }

    /// All generations in a state folder, by name and number.
    static func all(in state: String) -> [WorkerFolder] {
        var all: [WorkerFolder] = []
        for name in names(in: "\(state)/workers") where WorkerSpec.isName(name) {
            for generation in names(in: "\(state)/workers/\(name)") {
                guard let number = UInt64(generation), String(number) == generation else { continue }
                all.append(WorkerFolder(WorkerRef(name, generation: number), in: state))
            }
        }
        return all.sorted { $0.worker < $1.worker }
    }
}

/// The names in a folder, without `.` and `..`, sorted; none if it cannot be read.
func names(in path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var all: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { all.append(name) }
    }
    return all.sorted()
}

/// `nil` if the file cannot be read or is longer than `limit`.
func readSmallFile(_ path: String, limit: Int) -> [UInt8]? {
    do throws(Errno) { return try FileDescriptor.open(path, O_RDONLY).readAll(limit: limit) } catch { return nil }
}

func succeed(_ result: Int32) throws(Errno) {
    if result < 0 { throw Errno(errno) }
}

/// Deletes a folder and all that is in it, following no link; what cannot be deleted stays.
func removeTree(_ path: String) {
    func empty(_ folder: Int32, depth: Int) {
        // The descriptor belongs to the stream from now on.
        guard let stream = fdopendir(folder) else {
            close(folder)
            return
        }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            var name = entry.pointee.d_name
            withUnsafeBytes(of: &name) { bytes in
                let name = bytes.bindMemory(to: CChar.self).baseAddress!
                if strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || unlinkat(folder, name, 0) == 0 { return }
                // Deeper than any path that PATH_MAX lets a program name.
                guard errno == EISDIR || errno == EPERM, depth < 2048 else { return }
                let below = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                guard below >= 0 else { return }
                empty(below, depth: depth + 1)
                unlinkat(folder, name, AT_REMOVEDIR)
            }
        }
    }
    let folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    guard folder >= 0 else { return }
    empty(folder, depth: 0)
    rmdir(path)
}
