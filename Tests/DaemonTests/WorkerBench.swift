import Base
import Daemon
import EventLoop
import Glibc
import Platform
import Testing
import Wire

/// One after the other: they count this process's descriptors and measure times.
@Suite(.serialized) struct WorkerTests {}

/// A loop, a state folder and a host, and the events that the host reported.
final class WorkerBench {
    let loop = Loop()
    let state: String
    let cgroupRoot: String?
    private(set) var host: WorkerHost!
    var events: [WorkerEvent] = []

    /// The shim that was built with these tests.
    static let shim: String = {
        if let chosen = getenv("ASTERISM_TEST_SHIM") { return String(cString: chosen) }
        let directory = CommandLine.arguments[0].split(separator: "/", omittingEmptySubsequences: false).dropLast()
        let sources = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3)
        let folders = [directory.joined(separator: "/"), sources.joined(separator: "/") + "/.build/debug"]
        return folders.map { $0 + "/asterism-shim" }.first { access($0, X_OK) == 0 } ?? "/nonexistent/asterism-shim"
    }()

    /// A folder of a test's own, empty.
    static func folder() -> String {
        var template = Array("/tmp/asterism-daemon-XXXXXX".utf8CString)
        return String(cString: mkdtemp(&template)!)
    }

    init(state: String? = nil, cgroupRoot: String? = nil) throws {
        self.state = state ?? WorkerBench.folder()
        self.cgroupRoot = cgroupRoot
        chmod(self.state, 0o711)
        try startHost()
    }

    func startHost() throws {
        let settings = WorkerHost.Settings(stateDirectory: state, shim: WorkerBench.shim, cgroupRoot: cgroupRoot)
        host = try WorkerHost(on: loop, settings) { [unowned self] in events.append($0) }
    }

    /// The agent dies, from the view of its workers.
    func stopHost() {
        host.close()
        host = nil
    }

    /// Ends everything and removes the state folder, also processes that a failed test left running.
    func tearDown() {
        for worker in host.live { host.killTree(worker) }
        _ = drive { host.live.isEmpty }
        stopHost()
        _ = system("rm -rf '\(state)'")
        if let cgroupRoot { _ = system("rmdir '\(cgroupRoot)'/* '\(cgroupRoot)' 2>/dev/null") }
    }

    @discardableResult
    func drive(for limit: Interval = .seconds(10), until done: () -> Bool) -> Bool {
        let end = loop.now + limit
        let tick = Timer(on: loop, "test tick") {}
        tick.arm(every: .milliseconds(5))
        defer { tick.close() }
        while !done() {
            if loop.now > end { return false }
            loop.runOnce()
        }
        return true
    }

    func launch(_ worker: WorkerRef, _ spec: WorkerSpec) throws {
        try host.launch(worker, spec, operation: "op-\(worker)")
    }

    /// Runs a shell script as a worker, up to its start.
    @discardableResult
    func start(_ worker: WorkerRef, _ script: String, _ change: (inout WorkerSpec) -> Void = { _ in }) throws
        -> WorkerStart
    {
        var spec = WorkerSpec(command: ["/bin/sh", "-c", script])
        change(&spec)
        try launch(worker, spec)
        try #require(drive { self.started(worker) != nil || self.isOver(worker) })
        return try #require(started(worker))
    }

    func started(_ worker: WorkerRef) -> WorkerStart? {
        for case .started(worker, let start) in events { return start }
        return nil
    }
    func end(_ worker: WorkerRef) -> WorkerEnd? {
        for case .exited(worker, let end) in events { return end }
        return nil
    }
    func failure(_ worker: WorkerRef) -> SpecProblem? {
        for case .launchFailed(worker, let problem) in events { return problem }
        return nil
    }
    func stuck(_ worker: WorkerRef) -> [Int32]? {
        for case .stuck(worker, let processes) in events { return processes }
        return nil
    }
    func isLost(_ worker: WorkerRef) -> Bool {
        events.contains { if case .lost(worker, _) = $0 { true } else { false } }
    }
    func isOver(_ worker: WorkerRef) -> Bool { end(worker) != nil || failure(worker) != nil || isLost(worker) }

    func awaitEnd(_ worker: WorkerRef, for limit: Interval = .seconds(10)) throws -> WorkerEnd {
        try #require(drive(for: limit) { self.isOver(worker) })
        return try #require(end(worker))
    }

    /// The whole log, read in small pieces from an offset on.
    func log(_ worker: WorkerRef, from offset: Int64 = 0, pieces: Int = 64 * 1024) -> [UInt8] {
        var bytes: [UInt8] = []
        var next = offset
        while true {
            let chunk = host.readLog(worker, from: next, limit: pieces)
            bytes += chunk.bytes
            next = chunk.nextOffset
            if chunk.bytes.isEmpty || chunk.isFinal { return bytes }
        }
    }
    func logText(_ worker: WorkerRef) -> String { String(decoding: log(worker), as: UTF8.self) }

    func folder(_ worker: WorkerRef) -> String { "\(state)/workers/\(worker.name)/\(worker.generation)" }

    /// The shim of a worker, as /proc shows it.
    func shim(of worker: WorkerRef) -> Int32? { processes(having: "ASTERISM_SHIM=\(worker)/").first }
}

func numbers(in path: String) -> [Int32] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var all: [Int32] = []
    while let entry = readdir(folder) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
        if let number = Int32(name) { all.append(number) }
    }
    return all
}

/// Processes in whose environment a variable has this prefix.
func processes(having prefix: String) -> [Int32] {
    numbers(in: "/proc").filter { process in
        contents("/proc/\(process)/environ").split(separator: 0).contains { $0.starts(with: prefix.utf8) }
    }
}

func contents(_ path: String) -> [UInt8] {
    guard let file = try? FileDescriptor.open(path, O_RDONLY), let bytes = try? file.readAll(limit: 64 << 20) else {
        return []
    }
    return bytes
}

/// Gone, or only waiting for its parent. A process whose first thread has ended while others end is not: it holds its
/// files, and so its locks, until the last one has.
func isDead(_ process: Int32) -> Bool {
    let stat = String(decoding: contents("/proc/\(process)/stat"), as: UTF8.self)
    guard let end = stat.lastIndex(of: ")") else { return true }
    let fields = stat[end...].dropFirst(2).split(separator: " ")
    return fields[0] == "Z" && fields[17] == "1"
}

func descriptorCount() -> Int { numbers(in: "/proc/self/fd").count }

func wallNanoseconds() -> Int64 { Int64(Clock.wallNanoseconds()) }
