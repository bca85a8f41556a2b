import FoundationEssentials
import GRDB

/// Arrays of bytes as SQLite's blobs, which GRDB knows as Foundation's `Data`.
enum Blob {
    static func value(_ bytes: [UInt8]) -> DatabaseValue { Data(bytes).databaseValue }
    static func bytes(_ row: Row, _ column: String) -> [UInt8] { Array(row[column] as Data) }
}
