import Base
import Daemon
import EventLoop
import Glibc
import Platform

/// # Before the database is opened
///
/// An empty or missing database looks like a first start. A first start makes a new fleet, with keys that no node knows. So
/// the folder itself remembers that it holds one: in the file `fleet`, and in SQLite's own files. Where one of those is
/// there and the database is not, the operator has to decide.
struct StoreFolder {
    /// SQLite's files, by what stands behind the database's name.
    static let suffixes = ["", "-wal", "-shm", "-journal"]

    private let directory: String

    init(_ directory: String) { self.directory = directory }

    static func marker(_ directory: String) -> String { "\(directory)/fleet" }

    struct Found {
        var isFirstStart: Bool
        var renamed: [String] = []
    }

    /// Looks for the files. With `isNewFleet` the rest of a fleet without a database is renamed.
    func look(isNewFleet: Bool) throws(StoreError) -> Found {
        let path = "\(directory)/\(Store.fileName)"
        let traces = (StoreFolder.suffixes.dropFirst().map { path + $0 } + [StoreFolder.marker(directory)]).filter {
            StoreFolder.size($0) != nil
        }
        let size = StoreFolder.size(path)
        if let size, size > 0 {
            guard !isNewFleet else { throw StoreError(.inUse, path) }
            return Found(isFirstStart: false)
        }
        if size == nil, traces.isEmpty { return Found(isFirstStart: true) }
        guard isNewFleet else { throw StoreError(size == 0 ? .empty : .missing(trace: traces[0]), path) }
        let suffix = ".old-\(Clock.wall().milliseconds / 1000)"
        var found = Found(isFirstStart: true)
        for file in (size == nil ? [] : [path]) + traces {
            do throws(FileError) { try Files.rename(file, to: file + suffix) } catch {
                throw StoreError(.file(error.description, error.reason), path)
            }
            found.renamed.append(file + suffix)
        }
        return found
    }

    /// Files that root makes in another user's folder cannot be opened by that user.
    func checkOwner() throws(FileError) {
        if geteuid() == 0, let owner = StoreFolder.owner(directory), owner != 0 {
            throw FileError("open", directory, Errno(EPERM))
        }
    }

    /// The error, with whose folder it is where that is the reason.
    func explain(_ error: FileError) -> String {
        guard [EACCES, EPERM].contains(error.reason.code), let owner = StoreFolder.owner(directory), owner != geteuid()
        else { return error.description }
        return "\(directory) belongs to uid \(owner), and this program runs as uid \(geteuid()) (\(error)); run it as "
            + "that user"
    }

    private static func owner(_ path: String) -> UInt32? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_uid : nil
    }

    /// Of the file itself, links not followed; `nil` where there is none.
    private static func size(_ path: String) -> Int? {
        var status = stat()
        return lstat(path, &status) == 0 ? Int(status.st_size) : nil
    }
}
