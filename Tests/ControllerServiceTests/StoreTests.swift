import Base
import Control
import ControllerService
import GRDB
import Glibc
import Noise
import Testing
import Wire

@Suite struct StoreTests {
    @Test func `what was applied is there after a restart`() throws {
        try withTemporaryDirectory { directory in
            let secrets = StoredSecrets(
                fleet: FleetID(1, .max), authority: Array(1...32), identity: Array((1...32).reversed()))
            let state = Sample.state()
            do {
                let store = try Store(directory: "\(directory)/data")
                #expect(try store.secrets() == nil)
                #expect(try store.load() == StoredState())
                try store.found(secrets)
                try store.apply(Sample.changes(of: state))
                try store.close()
            }
            let store = try Store(directory: "\(directory)/data")
            #expect(try store.secrets() == secrets)
            #expect(try store.load() == state)
        }
    }

    @Test func `a row is changed in its place, and removed`() throws {
        try withTemporaryDirectory { directory in
            let store = try Store(directory: directory)
            var state = Sample.state()
            try store.apply(Sample.changes(of: state))
            state.tokens[0].used = 3
            state.tokens[0].isRevoked = true
            state.nodes[1].revision = .max
            state.workers[0].desired.run = false
            state.counters.serial = 99
            let removed = state.workers.removeLast()
            let forgotten = state.operations.removeFirst()
            try store.apply([
                .token(state.tokens[0]), .node(state.nodes[1]), .worker(state.workers[0]), .counters(state.counters),
                .removeWorker(name: removed.desired.worker.name), .forgetOperations(through: forgotten.number),
            ])
            #expect(try store.load() == state)
        }
    }

    @Test func `a transaction is done whole or not at all`() throws {
        try withTemporaryDirectory { directory in
            let store = try Store(directory: directory)
            let state = Sample.state()
            let path = store.path
            try store.apply([.token(state.tokens[0])])
            let other = try DatabaseQueue(path: path)
            try other.write { try $0.execute(sql: "DROP TABLE events") }
            #expect(throws: StoreError.self) { try store.apply(Sample.changes(of: state)) }
            let counts = try other.read { database in
                try ["tokens", "nodes"].map { try Int.fetchOne(database, sql: "SELECT count(*) FROM \($0)") }
            }
            #expect(counts == [1, 0])
            try other.close()
        }
    }

    @Test func `only its owner may read it, and only one may use it`() throws {
        try withTemporaryDirectory { directory in
            let data = "\(directory)/data"
            let store = try Store(directory: data)
            try store.apply(Sample.changes(of: Sample.state()))
            var status = stat()
            #expect(stat(data, &status) == 0 && status.st_mode & 0o777 == 0o700)
            for name in names(in: data) where !name.hasPrefix(".") {
                #expect(stat("\(data)/\(name)", &status) == 0 && status.st_mode & 0o777 == 0o600, "\(name)")
            }
            #expect(names(in: data).contains("controller.sqlite-wal"))
            let error = #expect(throws: StoreError.self) { try Store(directory: data) }
            #expect(
                error?.description.contains("another process holds the lock") == true, "\(String(describing: error))")
            withExtendedLifetime(store) {}
        }
    }

    @Test func `every commit is flushed`() throws {
        try withTemporaryDirectory { directory in
            let store = try Store(directory: directory)
            #expect(try store.flushing == "wal, 2")
        }
    }

    @Test func `a file that is no database, or a broken one, is named`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/\(Store.fileName)"
            try write(Array(repeating: 0x58, count: 8192), path)
            expectError(directory) { if case .corrupt = $0 { true } else { false } }

            unlink(path)
            do {
                let store = try Store(directory: directory)
                for round in 0..<50 { try store.apply(Sample.changes(of: Sample.state(seed: UInt64(round)))) }
                try store.close()
            }
            var bytes = try read(path)
            #expect(bytes.count > 20_000)
            for index in 8192..<16_384 { bytes[index] ^= 0xff }
            try write(bytes, path)
            expectError(directory) { if case .corrupt = $0 { true } else { false } }
        }
    }

    @Test func `a database of another program or of a later version is left alone`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/\(Store.fileName)"
            let foreign = try DatabaseQueue(path: path)
            try foreign.write { try $0.execute(sql: "CREATE TABLE pigeons (name TEXT)") }
            try foreign.close()
            expectError(directory) { $0 == .foreign }
            unlink(path)
            try Store(directory: directory).close()
            let later = try DatabaseQueue(path: path)
            try later.writeWithoutTransaction { try $0.execute(sql: "PRAGMA user_version = 7") }
            try later.close()
            expectError(directory) { $0 == .newer(found: 7, known: 4) }
        }
    }

    @Test func `a database from before there were overlay addresses is taken over`() throws {
        try withTemporaryDirectory { directory in
            var state = Sample.state()
            do {
                let store = try Store(directory: directory)
                try store.apply(Sample.changes(of: state))
                try store.close()
            }
            do {
                let queue = try DatabaseQueue(path: "\(directory)/\(Store.fileName)")
                try queue.write { database in
                    try database.execute(
                        sql: """
                            ALTER TABLE counters DROP COLUMN overlay; ALTER TABLE counters DROP COLUMN overlay_network;
                            ALTER TABLE tokens DROP COLUMN is_for_beacons;
                            PRAGMA user_version = 1
                            """)
                }
                try queue.close()
            }
            state.counters.overlay = OverlayPool.firstOfNodes
            state.counters.overlayNetwork = nil
            for index in state.tokens.indices { state.tokens[index].isForBeacons = false }
            #expect(try Store(directory: directory).load() == state)
        }
    }

    @Test func `old events are forgotten`() throws {
        try withTemporaryDirectory { directory in
            let store = try Store(directory: directory)
            let base = Sample.state().events[0]
            let count = UInt64(Store.eventLimit) + 500
            try store.apply(
                (1...count).map { id in
                    var event = base
                    event.id = id
                    return .event(event)
                })
            let events = try store.load().events
            #expect(events.count == Int(Store.eventLimit))
            #expect(events.first?.id == 501 && events.last?.id == count)
        }
    }

    @Test func `an empty database, or one that is lost, is no first start`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/\(Store.fileName)", fleet = FleetID(7, 9)
            try write([], path)
            expectError(directory) { $0 == .empty }
            unlink(path)
            do {
                let store = try Store(directory: directory)
                try store.mark(fleet)
                try store.apply(Sample.changes(of: Sample.state()))
                try store.close()
            }
            // A fleet that is there is not replaced.
            expectError(directory, isNewFleet: true) { $0 == .inUse }
            #expect(try Store(directory: directory).load() == Sample.state())

            try write([], path)
            expectError(directory) { $0 == .empty }
            unlink(path)
            expectError(directory) { $0 == .missing(trace: "\(directory)/fleet") }
            unlink("\(directory)/fleet")
            try write([1], path + "-wal")
            expectError(directory) { $0 == .missing(trace: path + "-wal") }
            let error = #expect(throws: StoreError.self) { try Store(directory: directory) }
            #expect(error?.description.contains("--new-fleet") == true && error?.status == .refused)
            #expect(names(in: directory).filter { !$0.hasPrefix(".") }.sorted() == [Store.fileName + "-wal", "lock"])

            try write(Array("text".utf8), "\(directory)/fleet")
            do {
                let store = try Store(directory: directory, isNewFleet: true)
                #expect(try store.secrets() == nil && store.load() == StoredState())
                #expect(store.renamed.count == 2)
                for renamed in store.renamed { #expect(try !read(renamed).isEmpty && renamed.contains(".old-")) }
                try store.mark(fleet)
                #expect(try read("\(directory)/fleet") == Array("\(fleet.bytes.hex)\n".utf8))
                try store.close()
            }
            #expect(try Store(directory: directory).renamed.isEmpty)
        }
    }

    @Test func `a first start that was killed is completed later`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/\(Store.fileName)"
            for suffix in ["", "-wal", "-shm"] { try write(Array(repeating: 7, count: 5000), path + ".new" + suffix) }
            let store = try Store(directory: directory)
            #expect(try store.load() == StoredState())
            #expect(!names(in: directory).contains { $0.contains(".new") })
        }
    }

    @Test func `each obstacle has its status`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/\(Store.fileName)"
            do {
                let store = try Store(directory: directory)
                let second = #expect(throws: StoreError.self) { try Store(directory: directory) }
                #expect(second?.status == .unavailable)
                withExtendedLifetime(store) {}
            }
            var configuration = Configuration()
            configuration.allowsUnsafeTransactions = true
            let other = try DatabaseQueue(path: path, configuration: configuration)
            try other.writeWithoutTransaction {
                try $0.execute(sql: "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
            }
            let locked = #expect(throws: StoreError.self) { try Store(directory: directory) }
            #expect(locked?.status == .unavailable && locked?.description.contains("another process uses it") == true)
            try other.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
            try other.close()
            unlink(path)
            // A link may lead anywhere.
            symlink("/etc/passwd", path)
            let link = #expect(throws: StoreError.self) { try Store(directory: directory) }
            #expect(link?.description.contains(path) == true)
            unlink(path)
            try write(Array(repeating: 0x58, count: 8192), path)
            #expect(#expect(throws: StoreError.self) { try Store(directory: directory) }?.status == .refused)
        }
    }

    @Test(.enabled(if: geteuid() == 0, "it takes another user's place"))
    func `root does not work in another user's folder`() throws {
        try withTemporaryDirectory { directory in
            let data = "\(directory)/data"
            try Store(directory: data).close()
            try #require(chown(data, 65_534, 65_534) == 0)
            let error = #expect(throws: StoreError.self) { try Store(directory: data) }
            #expect(error?.status == .refused)
            #expect(error?.description.contains("belongs to uid 65534, and this program runs as uid 0") == true)
        }
    }

    private func expectError(
        _ directory: String, isNewFleet: Bool = false, _ isRight: (StoreError.Reason) -> Bool
    ) {
        let error = #expect(throws: StoreError.self) { try Store(directory: directory, isNewFleet: isNewFleet) }
        guard let error else { return }
        #expect(isRight(error.reason), "\(error)")
        #expect(error.description.contains("\(directory)/\(Store.fileName)"))
    }
}

/// The process that writes is killed with SIGKILL in the middle of it, again and again.
@Suite(.serialized) struct KilledStoreTests {
    /// After so many transactions, and so many microseconds.
    @Test(arguments: zip([1, 2, 7, 20], [0, 230, 610, 1170] as [UInt32]))
    func `kill -9 loses nothing that was reported to be done (in its own process)`(count: Int, delay: UInt32)
        async throws
    {
        var template = Array("/tmp/asterism-test-XXXXXX".utf8CString)
        let directory = String(cString: mkdtemp(&template)!)
        defer {
            for name in names(in: directory) { unlink("\(directory)/\(name)") }
            rmdir(directory)
        }
        for _ in 0..<3 {
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [directory = directory as String, count = count as Int, delay = delay as UInt32] in
                try writeUntilKilled(directory, after: count, delay)
            }
        }
        let reported = try read("\(directory)/reported").count
        #expect(reported >= 3 * count)
        let state = try Store(directory: directory).load()
        // One more may have been done and not reported; each time the process was killed.
        #expect((reported...reported + 3).contains(Int(state.counters.serial)))
        // The rows of one transaction are all there.
        #expect(state.tokens.count == Int(state.counters.serial))
        #expect(state.events.count == Int(state.counters.serial))
        #expect(state.events.map(\.id) == (0..<state.counters.serial).map { $0 + 1 })
        #expect(state.tokens.map(\.used) == (0..<Int(state.counters.serial)).map { $0 + 1 })
    }
}

/// Applies changes and appends a byte to a file for each, until the end.
private func writeUntilKilled(_ directory: String, after count: Int, _ microseconds: UInt32) throws {
    let store = try Store(directory: directory)
    var state = try store.load()
    var number = state.events.isEmpty ? 0 : state.counters.serial
    let reported = open("\(directory)/reported", O_WRONLY | O_CREAT | O_APPEND, 0o600)
    let killer = Killer(reported, after: count, microseconds)
    var thread = pthread_t()
    pthread_create(
        &thread, nil,
        { argument in
            let killer = Unmanaged<Killer>.fromOpaque(argument!).takeUnretainedValue()
            while Killer.size(killer.file) < killer.target { usleep(50) }
            usleep(killer.microseconds)
            kill(getpid(), SIGKILL)
            return nil
        }, Unmanaged.passRetained(killer).toOpaque())
    let sample = Sample.state()
    while true {
        number += 1
        var token = sample.tokens[0], event = sample.events[0]
        token.id = withUnsafeBytes(of: number.bigEndian) { Array($0) }
        token.used = Int(number)
        event.id = number
        state.counters.serial = number
        try store.apply([.token(token), .event(event), .counters(state.counters)])
        write(reported, ".", 1)
    }
}

/// When a process is to die: once its file is so long, and a little later.
private final class Killer {
    let file: Int32
    let target: Int
    let microseconds: UInt32

    init(_ file: Int32, after count: Int, _ microseconds: UInt32) {
        self.file = file
        self.microseconds = microseconds
        target = Killer.size(file) + count
    }

    static func size(_ file: Int32) -> Int {
        var status = stat()
        return fstat(file, &status) == 0 ? Int(status.st_size) : 0
    }
}

func read(_ path: String) throws -> [UInt8] {
    let file = open(path, O_RDONLY)
    try #require(file >= 0)
    defer { close(file) }
    var bytes: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = read(file, &buffer, buffer.count)
        if count <= 0 { return bytes }
        bytes += buffer[..<count]
    }
}

func write(_ bytes: [UInt8], _ path: String) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    try #require(file >= 0)
    defer { close(file) }
    #expect(write(file, bytes, bytes.count) == bytes.count)
}
