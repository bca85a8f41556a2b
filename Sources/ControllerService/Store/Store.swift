import Base
package import Control
import Daemon
import EventLoop
import GRDB
import Glibc
package import Wire

/// # The controller's disk
///
/// One SQLite file, `controller.sqlite`, in a directory that only its owner may enter. SQLite writes ahead to a log (WAL)
/// and, with `synchronous = FULL`, flushes that log before a transaction is reported to be done. So when `apply` returns, its
/// changes survive kill -9 and a loss of power. An incomplete transaction leaves no trace. The controller replies only after
/// that.
///
/// The file holds the fleet's signing key and the tokens' secrets in the clear: anyone who can read it can act as the
/// controller. It is made with mode 0600, in a directory of mode 0700, and a lock file next to it keeps a second
/// controller out.
///
/// Everything is called on the loop's thread and blocks it for the time of a flush.
package final class Store {
    package static let fileName = "controller.sqlite"
    /// Events kept on disk, which is as many as the controller keeps in memory.
    package static let eventLimit: Int64 = 20_000

    package let path: String
    private let queue: DatabaseQueue
    private let lock: FileDescriptor
    /// What was left of a fleet before this one, under its new names.
    package let renamed: [String]

    /// Opens the store of a directory; makes both where there is nothing yet. An empty or lost database is refused. With
    /// `isNewFleet`, what is left is renamed and a new database is made.
    package init(directory: String, isNewFleet: Bool = false) throws(StoreError) {
        path = "\(directory)/\(Store.fileName)"
        let path = self.path, folder = StoreFolder(directory)
        do throws(FileError) {
            try Files.makeDirectory(directory, mode: 0o700)
            try folder.checkOwner()
            lock = try Files.lock("\(directory)/lock")
        } catch { throw StoreError(.file(folder.explain(error), error.reason), directory) }
        let left = try folder.look(isNewFleet: isNewFleet)
        renamed = left.renamed
        if left.isFirstStart { try Store.make(path) }
        do throws(Errno) { try Store.setMode(path, creating: false) } catch {
            throw StoreError(.file(error.message, error), path)
        }
        queue = try Store.open(path, path)
    }

    private static func open(_ file: String, _ path: String) throws(StoreError) -> DatabaseQueue {
        try StoreError.caught(path) {
            var configuration = Configuration()
            configuration.label = "store"
            configuration.busyMode = .timeout(5)
            let queue = try DatabaseQueue(path: file, configuration: configuration)
            try queue.writeWithoutTransaction { try StoreSchema.open($0, path) }
            return queue
        }
    }

    /// Makes a database under another name and renames it when it is complete. So a first start that is killed leaves no
    /// empty file, which the next start would refuse.
    private static func make(_ path: String) throws(StoreError) {
        let temporary = "\(path).new"
        for suffix in StoreFolder.suffixes { unlink(temporary + suffix) }
        do throws(Errno) { try setMode(temporary, creating: true) } catch {
            throw StoreError(.file(error.message, error), path)
        }
        let queue = try open(temporary, path)
        try StoreError.caught(path) { try queue.close() }
        do throws(FileError) { try Files.rename(temporary, to: path) } catch {
            throw StoreError(.file(error.description, error.reason), path)
        }
    }

    /// Notes in the folder which fleet it holds, so that a lost database is not mistaken for a first start.
    package func mark(_ fleet: FleetID) throws(StoreError) {
        let marker = StoreFolder.marker(Files.parent(of: path)), text = Array("\(fleet.bytes.hex)\n".utf8)
        do throws(FileError) {
            if try Files.read(marker) != text { try Files.write(text, to: marker) }
        } catch { throw StoreError(.file(error.description, error.reason), marker) }
    }

    /// What the controller was founded with; `nil` before `found`.
    package func secrets() throws(StoreError) -> StoredSecrets? {
        let path = path
        return try StoreError.caught(path) {
            try queue.read { try StoreRows.secrets($0, path) }
        }
    }

    /// Keeps the secrets of a new fleet. Once only.
    package func found(_ secrets: StoredSecrets) throws(StoreError) {
        try StoreError.caught(path) { try queue.write { try StoreRows.insert(secrets, $0) } }
    }

    /// All changes, or none; durable on return.
    package func apply(_ changes: [StoreChange]) throws(StoreError) {
        guard !changes.isEmpty else { return }
        try StoreError.caught(path) {
            try queue.write { database in
                for change in changes { try StoreRows.apply(change, database) }
            }
        }
    }

    package func load() throws(StoreError) -> StoredState {
        let path = path
        return try StoreError.caught(path) { try queue.read { try StoreRows.load($0, path) } }
    }

    /// The journal's mode and the level of `synchronous`, as SQLite has them.
    package var flushing: String {
        get throws(StoreError) {
            try StoreError.caught(path) {
                try queue.read { database in
                    let mode = try String.fetchOne(database, sql: "PRAGMA journal_mode") ?? ""
                    return try "\(mode), \(Int.fetchOne(database, sql: "PRAGMA synchronous") ?? -1)"
                }
            }
        }
    }

    /// Moves what is in the log to the file, and closes both.
    package func close() throws(StoreError) {
        try StoreError.caught(path) { try queue.close() }
    }

    /// SQLite makes its log with the mode of the file, so the file must have the right one from the start.
    private static func setMode(_ path: String, creating: Bool) throws(Errno) {
        let file = try FileDescriptor.open(path, O_RDWR | O_NOFOLLOW | (creating ? O_CREAT : 0), mode: 0o600)
        guard fchmod(file.raw, 0o600) == 0 else { throw Errno(errno) }
    }
}

/// What a fleet is founded with, and never changes.
package struct StoredSecrets: Hashable, Sendable {
    package var fleet: FleetID
    /// The Ed25519 key that signs the fleet's certificates, 32 bytes.
    package var authority: [UInt8]
    /// The controller's own X25519 key, 32 bytes.
    package var identity: [UInt8]

    package init(fleet: FleetID, authority: [UInt8], identity: [UInt8]) {
        precondition(authority.count == 32 && identity.count == 32, "\(authority.count) and \(identity.count) bytes")
        self.fleet = fleet
        self.authority = authority
        self.identity = identity
    }
}
