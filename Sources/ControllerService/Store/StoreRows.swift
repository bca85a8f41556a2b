import Base
import Control
import Daemon
import GRDB
import Wire

/// Values as rows, and rows as values. Numbers of 64 bits without sign are kept by their bits.
enum StoreRows {
    // MARK: - Writing

    static func apply(_ change: StoreChange, _ database: Database) throws {
        switch change {
        case .counters(let counters): try save(counters, database)
        case .node(let record): try save(record, database)
        case .token(let record): try save(record, database)
        case .worker(let record): try save(record, database)
        case .removeWorker(let name): try run("DELETE FROM workers WHERE name = ?", [name], database)
        case .operation(let record): try save(record, database)
        case .forgetOperations(let number):
            try run("DELETE FROM operations WHERE number <= ?", [bits(number)], database)
        case .event(let event): try save(event, database)
        }
    }

    static func insert(_ secrets: StoredSecrets, _ database: Database) throws {
        try run(
            "INSERT INTO secrets VALUES (1, ?, ?, ?)",
            [blob(secrets.fleet.bytes), blob(secrets.authority), blob(secrets.identity)], database)
    }

    private static func save(_ counters: StoredCounters, _ database: Database) throws {
        try run(
            """
            INSERT OR REPLACE INTO counters (only_row, serial, generation, operation, overlay, overlay_network)
            VALUES (1, ?, ?, ?, ?, ?)
            """,
            [
                bits(counters.serial), bits(counters.generation), bits(counters.operation), bits(counters.overlay),
                counters.overlayNetwork?.description,
            ], database)
    }

    private static func save(_ record: NodeRecord, _ database: Database) throws {
        try run(
            """
            INSERT INTO nodes (node, certificate, enrolled_at, token, revision) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (node) DO UPDATE SET certificate = excluded.certificate, enrolled_at = excluded.enrolled_at,
            token = excluded.token, revision = excluded.revision
            """,
            [
                blob(record.node.bytes), blob(record.certificate.encoded()), record.enrolledAt.milliseconds,
                record.token, bits(record.revision),
            ], database)
    }

    private static func save(_ record: TokenRecord, _ database: Database) throws {
        try run(
            """
            INSERT INTO tokens (id, secret, name, created_at, expires_at, uses, used, is_revoked,
            is_for_beacons) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET secret = excluded.secret, name = excluded.name,
            created_at = excluded.created_at, expires_at = excluded.expires_at, uses = excluded.uses,
            used = excluded.used, is_revoked = excluded.is_revoked, is_for_beacons = excluded.is_for_beacons
            """,
            [
                blob(record.id), blob(record.secret), record.name, record.createdAt.milliseconds,
                record.expiresAt.milliseconds, record.uses, record.used, record.isRevoked,
                record.isForBeacons,
            ], database)
    }

    private static func save(_ record: PlacementRecord, _ database: Database) throws {
        let desired = record.desired
        try run(
            """
            INSERT INTO workers (name, generation, node, spec, run, operation) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT (name) DO UPDATE SET generation = excluded.generation, node = excluded.node,
            spec = excluded.spec, run = excluded.run, operation = excluded.operation
            """,
            [
                desired.worker.name, bits(desired.worker.generation), blob(record.node.bytes),
                String(decoding: StrictJSON.encode(desired.spec), as: UTF8.self), desired.run, desired.operation,
            ], database)
    }

    private static func save(_ record: OperationRecord, _ database: Database) throws {
        try run(
            "INSERT OR REPLACE INTO operations VALUES (?, ?, ?, ?)",
            [bits(record.number), record.operation, record.worker.name, bits(record.worker.generation)], database)
    }

    private static func save(_ event: EventView, _ database: Database) throws {
        try run(
            "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                bits(event.id), event.at.milliseconds, event.kind.rawValue, event.node.map { blob($0.bytes) },
                event.nodeName, event.worker, event.message,
            ], database)
        try run("DELETE FROM events WHERE id <= ?", [bits(event.id) - Store.eventLimit], database)
    }

    private static func run(
        _ sql: String, _ arguments: [(any DatabaseValueConvertible)?], _ database: Database
    ) throws {
        try database.cachedStatement(sql: sql).execute(arguments: StatementArguments(arguments))
    }

    // MARK: - Reading

    static func secrets(_ database: Database, _ path: String) throws -> StoredSecrets? {
        guard let row = try Row.fetchOne(database, sql: "SELECT * FROM secrets") else { return nil }
        let reader = RowReader(row, "secrets", path)
        let authority = try reader.blob("authority", count: 32), identity = try reader.blob("identity", count: 32)
        // 16 bytes make a fleet's id.
        let fleet = FleetID(hex: try reader.blob("fleet", count: 16).hex)!
        return StoredSecrets(fleet: fleet, authority: authority, identity: identity)
    }

    static func load(_ database: Database, _ path: String) throws -> StoredState {
        func all<Value>(_ table: String, by order: String, _ make: (RowReader) throws -> Value) throws -> [Value] {
            var values: [Value] = []
            let rows = try Row.fetchCursor(database, sql: "SELECT * FROM \(table) ORDER BY \(order)")
            while let row = try rows.next() { values.append(try make(RowReader(row, table, path))) }
            return values
        }
        var state = StoredState()
        state.counters = try all("counters", by: "only_row", counters).first ?? StoredCounters()
        state.nodes = try all("nodes", by: "number", node)
        state.tokens = try all("tokens", by: "number", token)
        state.workers = try all("workers", by: "number", worker)
        state.operations = try all("operations", by: "number", operation)
        state.events = try all("events", by: "id", event)
        return state
    }

    private static func counters(_ row: RowReader) throws -> StoredCounters {
        var counters = StoredCounters()
        counters.serial = row.unsigned("serial")
        counters.generation = row.unsigned("generation")
        counters.operation = row.unsigned("operation")
        counters.overlay = row.unsigned("overlay")
        if let text = row.row["overlay_network"] as String? {
            guard let network = IPPrefix(text) else { throw row.broken("overlay_network") }
            counters.overlayNetwork = network
        }
        return counters
    }

    private static func node(_ row: RowReader) throws -> NodeRecord {
        let certificate: SignedCertificate
        do throws(DecodeError) { certificate = try SignedCertificate(decoding: row.blob("certificate")) } catch {
            throw row.broken("certificate")
        }
        return NodeRecord(
            node: try row.node("node"), certificate: certificate, enrolledAt: row.time("enrolled_at"),
            token: row.text("token"), revision: row.unsigned("revision"))
    }

    private static func token(_ row: RowReader) throws -> TokenRecord {
        TokenRecord(
            id: try row.blob("id", count: TokenText.idCount),
            secret: try row.blob("secret", count: TokenText.secretCount), name: row.row["name"],
            createdAt: row.time("created_at"), expiresAt: row.time("expires_at"), uses: row.row["uses"],
            used: row.row["used"], isRevoked: row.row["is_revoked"],
            isForBeacons: row.row["is_for_beacons"])
    }

    private static func worker(_ row: RowReader) throws -> PlacementRecord {
        let spec: WorkerSpec
        do throws(StrictJSONError) { spec = try StrictJSON.decode(from: Array(row.text("spec").utf8)) } catch {
            throw row.broken("spec")
        }
        let worker = WorkerRef(row.text("name"), generation: row.unsigned("generation"))
        return PlacementRecord(
            node: try row.node("node"),
            desired: DesiredWorker(worker, spec: spec, run: row.row["run"], operation: row.text("operation")))
    }

    private static func operation(_ row: RowReader) throws -> OperationRecord {
        OperationRecord(
            number: row.unsigned("number"), operation: row.text("operation"),
            worker: WorkerRef(row.text("worker"), generation: row.unsigned("generation")))
    }

    /// By way of JSON, as events are made by the controller alone.
    private static func event(_ row: RowReader) throws -> EventView {
        var members = [
            JSONMember("id", .number(String(row.unsigned("id")))),
            JSONMember("at", .number(String(row.time("at").milliseconds))),
            JSONMember("kind", .string(row.text("kind"))), JSONMember("message", .string(row.text("message"))),
        ]
        if row.row["node"] != nil { members.append(JSONMember("node", .string(try row.node("node").hex))) }
        for (name, column) in [("nodeName", "node_name"), ("worker", "worker")] {
            if let text = row.row[column] as String? { members.append(JSONMember(name, .string(text))) }
        }
        do throws(StrictJSONError) {
            return try StrictJSON.decode(from: .object(members)) { try EventView(from: $0) }
        } catch { throw row.broken(error.path) }
    }

    // MARK: - Columns

    private static func bits(_ value: UInt64) -> Int64 { Int64(bitPattern: value) }
    private static func blob(_ bytes: [UInt8]) -> DatabaseValue { Blob.value(bytes) }
}

/// One row; its table is STRICT, so a column has the type that the schema states.
private struct RowReader {
    let row: Row
    private let table: String
    private let path: String

    init(_ row: Row, _ table: String, _ path: String) {
        self.row = row
        self.table = table
        self.path = path
    }

    func broken(_ column: String) -> StoreError { StoreError(.corrupt("a bad \(column) in \(table)"), path) }

    func text(_ column: String) -> String { row[column] }
    func time(_ column: String) -> UnixTime { UnixTime(milliseconds: row[column]) }
    func unsigned(_ column: String) -> UInt64 { UInt64(bitPattern: row[column] as Int64) }
    func blob(_ column: String) -> [UInt8] { Blob.bytes(row, column) }

    func blob(_ column: String, count: Int) throws -> [UInt8] {
        let bytes = blob(column)
        guard bytes.count == count else { throw broken(column) }
        return bytes
    }

    func node(_ column: String) throws -> NodeID {
        guard let node = NodeID(blob(column)) else { throw broken(column) }
        return node
    }
}
