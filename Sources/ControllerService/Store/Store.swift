package import Control
import Daemon
import EventLoop
import GRDB
import Glibc
package import Wire

/// # The controller's disk
///
/// One SQLite file, `controller.sqlite`, in a directory that only its owner may enter. SQLite writes ahead to a log (WAL)
/// and, with `synchronous = FULL`, flushes that log before a transaction is said to be done. So when `apply` returns, its
/// changes survive kill -9 and a lost power supply, and what was in the middle of being written is gone as if never
/// begun. The controller replies only after that.
///
/// The file holds the fleet's signing key and the tokens' secrets in the clear: whoever can read it is the controller.
/// It is made with mode 0600, in a directory of mode 0700, and a lock file beside it keeps a second controller out.
///
/// Everything is called on the loop's thread and blocks it for the time of a flush.
package final class Store {
    package static let fileName = "controller.sqlite"
    /// Events kept on disk, which is as many as the controller keeps in memory.
    package static let eventLimit: Int64 = 20_000

    package let path: String
    private let queue: DatabaseQueue
    private let lock: FileDescriptor

    /// Opens the store of a directory; makes both if they are not there.
    package init(directory: String) throws(StoreError) {
        path = "\(directory)/\(Store.fileName)"
        let path = self.path
        do throws(FileError) {
            try Files.makeDirectory(directory, mode: 0o700)
            lock = try Files.lock("\(directory)/lock")
        } catch { throw StoreError(.file(error.description), directory) }
        do throws(Errno) { try Store.makeFile(path) } catch { throw StoreError(.file(error.description), path) }
        queue = try StoreError.caught(path) {
            var configuration = Configuration()
            configuration.label = "store"
            configuration.busyMode = .timeout(5)
            let queue = try DatabaseQueue(path: path, configuration: configuration)
            try queue.writeWithoutTransaction { try StoreSchema.open($0, path) }
            return queue
        }
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
    private static func makeFile(_ path: String) throws(Errno) {
        let file = try FileDescriptor.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600)
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

/// Why the store cannot be used; the file is part of it.
package struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        /// The directory, the file or the lock: what the system said.
        case file(String)
        /// Not a database, or a broken one.
        case corrupt(String)
        /// A database of another program.
        case foreign
        /// Written by a later version of this program.
        case newer(found: Int, known: Int)
        /// No space, no memory, a failing disk.
        case database(String)
    }
    package var reason: Reason
    package var path: String

    init(_ reason: Reason, _ path: String) {
        self.reason = reason
        self.path = path
    }

    package var description: String {
        switch reason {
        case .file(let message): message.contains(path) ? message : "\(path): \(message)"
        case .corrupt(let message):
            "\(path): the database is damaged (\(message)); put a backup in its place, with no -wal and -shm files"
        case .foreign: "\(path): this is a database of another program"
        case .newer(let found, let known):
            "\(path): written by a later version (schema \(found), this program knows \(known))"
        case .database(let message): "\(path): \(message)"
        }
    }

    static func caught<Value>(_ path: String, _ body: () throws -> Value) throws(StoreError) -> Value {
        do { return try body() } catch let error as StoreError { throw error } catch let error as DatabaseError {
            switch error.resultCode {
            case .SQLITE_CORRUPT, .SQLITE_NOTADB: throw StoreError(.corrupt(error.message ?? "no reason given"), path)
            default: throw StoreError(.database(error.message ?? "SQLite error \(error.resultCode.rawValue)"), path)
            }
        } catch { throw StoreError(.database("\(error)"), path) }
    }
}
