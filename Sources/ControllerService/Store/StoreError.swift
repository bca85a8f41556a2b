package import Control
import Daemon
package import EventLoop
import GRDB
import Glibc

/// Why the store cannot be used; the file is part of it.
package struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Reason: Hashable, Sendable {
        /// The directory, the file or the lock: what the system reported.
        case file(String, Errno)
        /// Not a database, or a broken one.
        case corrupt(String)
        /// A database of another program.
        case foreign
        /// Written by a later version of this program.
        case newer(found: Int, known: Int)
        /// A file without content, where a fleet was.
        case empty
        /// No file, and something else that is left of a fleet.
        case missing(trace: String)
        /// A new fleet is asked for, and the database has one.
        case inUse
        /// No space, no memory, a failing disk, or another process.
        case database(String, ExitStatus)
    }
    package var reason: Reason
    package var path: String

    init(_ reason: Reason, _ path: String) {
        self.reason = reason
        self.path = path
    }

    package var description: String {
        let wayOut =
            "restore a backup, or begin a new fleet: run 'asterism-controller --new-fleet' as the controller's user"
        return switch reason {
        case .file(let message, _): message.contains(path) ? message : "\(path): \(message)"
        case .corrupt(let message):
            "\(path): the database is damaged (\(message)); put a backup in its place, with no -wal and -shm files"
        case .foreign: "\(path): this is a database of another program"
        case .newer(let found, let known):
            "\(path): written by a later version (schema \(found), this program knows \(known)); install that version"
        case .empty: "\(path): the database is empty, and the fleet's keys were in it; \(wayOut)"
        case .missing(let trace): "\(path): the database is missing, but \(trace) is there; \(wayOut)"
        case .inUse:
            "\(path): this database holds a fleet; start without --new-fleet, or move the folder away"
        case .database(let message, _): "\(path): \(message)"
        }
    }

    package var status: ExitStatus {
        switch reason {
        case .file(_, let error): ExitStatus(error)
        case .corrupt, .foreign, .newer, .empty, .missing, .inUse: .refused
        case .database(_, let status): status
        }
    }

    static func caught<Value>(_ path: String, _ body: () throws -> Value) throws(StoreError) -> Value {
        do { return try body() } catch let error as StoreError { throw error } catch let error as DatabaseError {
            throw StoreError(reason(error, path), path)
        } catch { throw StoreError(.database("\(error)", .refused), path) }
    }

    private static func reason(_ error: DatabaseError, _ path: String) -> Reason {
        let message = error.message ?? "SQLite error \(error.resultCode.rawValue)"
        switch error.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: return .corrupt(message)
        case .SQLITE_FULL: return .database("\(message) (ENOSPC)", .unavailable)
        case .SQLITE_IOERR:
            return .database(isFull(path) ? "the file system is full (ENOSPC): \(message)" : message, .unavailable)
        case .SQLITE_BUSY, .SQLITE_LOCKED: return .database("another process uses it: \(message)", .unavailable)
        case .SQLITE_NOMEM: return .database(message, .unavailable)
        default: return .database(message, .refused)
        }
    }

    /// SQLite calls it an I/O error when the memory that its log shares does not fit on the disk.
    private static func isFull(_ path: String) -> Bool {
        var status = statvfs()
        return statvfs(Files.parent(of: path), &status) == 0 && (status.f_bavail == 0 || status.f_favail == 0)
    }
}
