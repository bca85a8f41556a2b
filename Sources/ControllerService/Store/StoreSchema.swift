import Control
import GRDB

/// The tables, and how a file of an earlier version becomes one of this. `application_id` identifies the file as one of
/// this program. `user_version` states how many of the steps below were applied to it. A step, once released, is never
/// changed.
enum StoreSchema {
    /// "ASTR".
    static let application: Int64 = 0x4153_5452

    static let steps: [String] = [
        """
        CREATE TABLE secrets (
            only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
            fleet BLOB NOT NULL, authority BLOB NOT NULL, identity BLOB NOT NULL
        ) STRICT;
        CREATE TABLE counters (
            only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
            serial INTEGER NOT NULL, generation INTEGER NOT NULL, operation INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE nodes (
            number INTEGER PRIMARY KEY, node BLOB NOT NULL UNIQUE, certificate BLOB NOT NULL,
            enrolled_at INTEGER NOT NULL, token TEXT NOT NULL, revision INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE tokens (
            number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, secret BLOB NOT NULL, name TEXT,
            created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, uses INTEGER NOT NULL, used INTEGER NOT NULL,
            is_revoked INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE workers (
            number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, generation INTEGER NOT NULL, node BLOB NOT NULL,
            spec TEXT NOT NULL, run INTEGER NOT NULL, operation TEXT NOT NULL
        ) STRICT;
        CREATE TABLE operations (
            number INTEGER PRIMARY KEY, operation TEXT NOT NULL, worker TEXT NOT NULL, generation INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE events (
            id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, node BLOB, node_name TEXT, worker TEXT,
            message TEXT NOT NULL
        ) STRICT;
        """,
        // 2 is the first node's; a network is chosen at the next start.
        """
        ALTER TABLE counters ADD COLUMN overlay INTEGER NOT NULL DEFAULT 2;
        ALTER TABLE counters ADD COLUMN overlay_network TEXT;
        """,
        "ALTER TABLE tokens ADD COLUMN is_for_beacons INTEGER NOT NULL DEFAULT 0;",
        // No table has changed, but events have kinds that an earlier program would read as damage.
        "UPDATE counters SET serial = serial;",
    ]

    /// Checks the file, sets what holds for the connection, and takes the steps that are left.
    static func open(_ database: Database, _ path: String) throws {
        let id = try Int64.fetchOne(database, sql: "PRAGMA application_id") ?? 0
        let version = try Int.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        let tables = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_schema") ?? 0
        guard id == application || (id == 0 && version == 0 && tables == 0) else { throw StoreError(.foreign, path) }
        guard version <= steps.count else {
            throw StoreError(.newer(found: version, known: steps.count), path)
        }
        let mode = try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
        guard mode == "wal" else {
            throw StoreError(.database("no write-ahead log here, but '\(mode ?? "")'", .refused), path)
        }
        try database.execute(sql: "PRAGMA synchronous = FULL")
        let health = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? "no answer"
        guard health == "ok" else { throw StoreError(.corrupt(health), path) }
        for (index, step) in steps.enumerated() where index >= version {
            try database.inTransaction(.immediate) {
                try database.execute(sql: step)
                try database.execute(sql: "PRAGMA application_id = \(application); PRAGMA user_version = \(index + 1)")
                return .commit
            }
        }
    }
}
