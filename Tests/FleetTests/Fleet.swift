import Base
import Control
import Foundation
import Testing
import Wire

/// # A fleet of real processes
///
/// A controller and agents as people run them, on loopback, with everything they keep in one temporary folder. A test
/// looks until it sees what should be, for a bounded time, and never assumes. However the test ends, every process that
/// belongs to that folder is killed by its pid, including the workers' shims, and the folder is removed.
final class Fleet {
    let root: String
    let relay: Relay?
    let port: UInt16
    let httpPort: UInt16
    private(set) var controller: Program?
    private(set) var agents: [String: Program] = [:]
    private var runs = 0

    private init(isRelayed: Bool) throws {
        root = try temporaryFolder("fleet")
        port = try Ports.take(SOCK_DGRAM)
        httpPort = try Ports.take(SOCK_STREAM)
        relay = isRelayed ? try Relay(to: port) : nil
    }

    /// Runs `body` with a controller and so many agents online, `agent-1` and so on.
    static func with(agents count: Int, isRelayed: Bool = false, _ body: (Fleet) throws -> Void) throws {
        let fleet = try Fleet(isRelayed: isRelayed)
        defer { fleet.close() }
        do {
            try fleet.startController()
            if count > 0 {
                let token = try fleet.token(uses: Int64(count))
                for number in 1...count { try fleet.startAgent("agent-\(number)", token: token) }
                try fleet.waitUntilOnline(count)
            }
            try body(fleet)
        } catch {
            fleet.printLogs()
            throw error
        }
    }

    private func close() {
        for program in agents.values { program.end() }
        controller?.end()
        relay?.close()
        // Workers and their shims outlive agents by design. Shims are killed first: otherwise they would still record the
        // ends of their workers, which takes time.
        for _ in 0..<100 {
            let left = ProcessFacts.under(root)
            if left.isEmpty { break }
            for pid in left { kill(pid, SIGKILL) }
            usleep(20_000)
        }
        #expect(ProcessFacts.under(root).isEmpty, "processes were left behind")
        try? FileManager.default.removeItem(atPath: root)
    }

    private func printLogs() {
        for (name, program) in agents.map({ ($0, $1) })
            + [("controller", controller)].compactMap({ name, program in
                program.map { (name, $0) }
            })
        {
            let ending = program.isRunning ? "runs" : "status \(program.status ?? -1)"
            print("--- \(name) (\(ending)):\n" + program.text.split(separator: "\n").suffix(25).joined(separator: "\n"))
        }
    }

    // MARK: Programs

    func path(_ name: String) -> String { "\(root)/\(name)" }
    var controllerSocket: String { path("c.sock") }
    func agentSocket(_ name: String) -> String { path("\(name).sock") }
    func agentData(_ name: String) -> String { path(name) }

    /// `data`: another folder is another fleet.
    func startController(data: String = "controller") throws {
        let advertised = relay?.port ?? port
        controller = try Program(
            "asterism-controller",
            [
                "--data", path(data), "--listen", "127.0.0.1:\(port)", "--advertise", "127.0.0.1:\(advertised)",
                "--http", "127.0.0.1:\(httpPort)", "--http-insecure", "--socket", controllerSocket,
                "--name", "controller", "--log-level", "debug",
            ], output: path("controller.log"))
        let program = try #require(controller)
        try eventually("the controller answers") {
            try #require(program.isRunning, "the controller has ended: \(program.text)")
            return (try? status()) != nil
        }
    }

    func startAgent(_ name: String, token: String? = nil, _ more: [String] = []) throws {
        let join = token.map { ["--join-token", $0] } ?? []
        agents[name] = try Program(
            "asterismd",
            [
                "--data", agentData(name), "--listen", "127.0.0.1:0", "--socket", agentSocket(name), "--name", name,
                "--accelerators", "none", "--overlay", "off", "--workers-cgroup", "off",
            ] + join + (more.isEmpty ? ["--log-level", "debug"] : more), output: path("\(name).log"))
    }

    func agent(_ name: String) throws -> Program { try #require(agents[name]) }

    /// The command, run to its end.
    func cli(_ arguments: [String], socket: String? = nil, within seconds: Double = 60) throws -> CommandEnd {
        let command = try startCLI(arguments, socket: socket)
        try #require(command.program.hasEnded(within: seconds), "asterism \(arguments) does not end")
        return try command.result()
    }

    struct RunningCommand {
        let program: Program
        let errors: String

        func result() throws -> CommandEnd {
            CommandEnd(
                status: try #require(program.exitStatus),
                bytes: Array(FileManager.default.contents(atPath: program.output) ?? Data()),
                errors: String(decoding: FileManager.default.contents(atPath: errors) ?? Data(), as: UTF8.self))
        }
    }

    struct CommandEnd {
        var status: Int32
        var bytes: [UInt8]
        var errors: String

        var text: String { String(decoding: bytes, as: UTF8.self) }
        func view<View: Decodable>(_ type: View.Type = View.self) throws -> View {
            try JSONDecoder().decode(View.self, from: Data(bytes))
        }
    }

    func startCLI(_ arguments: [String], socket: String? = nil) throws -> RunningCommand {
        runs += 1
        let errors = path("cli-\(runs).err")
        var words = arguments
        // Before the worker's own command, if there is one.
        let place = words.firstIndex(of: "--") ?? words.endIndex
        words.insert(contentsOf: ["--socket", socket ?? controllerSocket], at: place)
        return RunningCommand(
            program: try Program("asterism", words, output: path("cli-\(runs).out"), errors: errors), errors: errors)
    }

    // MARK: Questions

    func ask<View: Decodable>(_ request: ControllerRequest, as type: View.Type = View.self) throws -> View {
        try FleetTests.ask(controllerSocket, request)
    }
    func ask<View: Decodable>(
        _ agent: String, _ request: AgentRequest, as type: View.Type = View.self, within seconds: Double = 20
    ) throws -> View {
        try FleetTests.ask(agentSocket(agent), request, within: seconds)
    }

    func status() throws -> StatusView { try ask(.status) }
    func nodes() throws -> [NodeView] { try ask(.nodesList) }
    func workers() throws -> [WorkerView] { try ask(.workersList(.init())) }
    func worker(_ name: String) throws -> WorkerView { try ask(.workersGet(.init(name: name))) }

    func token(uses: Int64 = 1, ttl: Int64? = nil) throws -> String {
        let view: TokenView = try ask(.tokensCreate(.init(ttlSeconds: ttl, uses: uses)))
        return try #require(view.token)
    }

    func counters(agent: String? = nil) throws -> [String: Int] {
        let view: StatusView = try agent.map { try ask($0, .status) } ?? status()
        return Dictionary(view.counters.map { ($0.name, $0.count) }, uniquingKeysWith: +)
    }

    @discardableResult
    func run(_ name: String, _ command: [String], node: String? = nil, _ change: (inout WorkerSpec) -> Void = { _ in })
        throws -> WorkerView
    {
        var spec = WorkerSpec(command: command)
        change(&spec)
        return try ask(.workersRun(.init(name: name, node: node, spec: spec)))
    }

    func log(_ name: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var offset: Int64?
        while true {
            let view: LogView = try ask(.workersLogs(.init(name: name, offset: offset)))
            let chunk = try #require(view.bytes)
            bytes += chunk
            offset = view.nextOffset
            if view.isFinal || chunk.isEmpty { return bytes }
        }
    }

    // MARK: Waiting

    func waitUntilOnline(_ count: Int) throws {
        try eventually("\(count) nodes online") { try nodes().count { $0.state == .online } == count }
    }

    @discardableResult
    func wait(for name: String, _ state: WorkerState, within seconds: Double = 20) throws -> WorkerView {
        var last: WorkerView?
        try eventually("worker \(name) \(state)", within: seconds, "\(last.map { "\($0)" } ?? "unheard of")") {
            let view = try worker(name)
            last = view
            return view.state == state && view.isCurrent
        }
        return try #require(last)
    }
}

/// Checks every 20 ms until it is true; an error counts as not yet.
func eventually(
    _ what: String, within seconds: Double = 20, _ detail: @autoclosure () -> String = "", _ look: () throws -> Bool
) throws {
    let end = monotonicSeconds() + seconds
    var fault: (any Error)?
    while monotonicSeconds() < end {
        do {
            if try look() { return }
            fault = nil
        } catch {
            fault = error
        }
        usleep(20_000)
    }
    throw Fault(
        "not seen within \(seconds) s: \(what) \(detail())\(fault.map { " (\($0))" } ?? "")")
}

/// Ports below those that the kernel gives to others by itself, each given once by this process.
enum Ports {
    private static let lock = NSLock()
    nonisolated(unsafe) private static var taken: Set<UInt16> = []

    static func take(_ type: __socket_type) throws -> UInt16 {
        try lock.withLock {
            for _ in 0..<1000 {
                let port = UInt16.random(in: 20_000..<32_000)
                guard taken.insert(port).inserted, isFree(port, type) else { continue }
                return port
            }
            throw Fault("no free port")
        }
    }

    private static func isFree(_ port: UInt16, _ type: __socket_type) -> Bool {
        let descriptor = socket(AF_INET, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        return withUnsafeBytes(of: sockaddr_in.loopback(port)) {
            bind(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count)) == 0
        }
    }
}
