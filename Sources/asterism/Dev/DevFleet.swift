import Base
import Control
import Foundation
import Wire

/// # A fleet on one machine
///
/// Starts the programs, observes that they do what they should, and stops everything. Workers are stopped through the
/// controller, then agents, then the controller, then all processes that are left.
final class DevFleet {
    struct Interrupted: Error {}

    let directory: DevDirectory
    let names: [String]
    let programs: DevPrograms
    let printer: DevPrinter
    let logLevel: String
    private let removesDirectory: Bool
    private(set) var controller: DevProgram?
    private(set) var agents: [String: DevProgram] = [:]
    var signals = DevSignals()
    /// The port of loopback that HTTP is served at; nil: at a unix socket.
    private let httpPort: UInt16?
    private let listenPort: UInt16
    private var lastEvent: UInt64 = 0

    init(
        directory: String?, agents: Int, keeps: Bool, httpPort: UInt16?, logLevel: String, programs: DevPrograms,
        _ printer: DevPrinter
    ) throws(Failure) {
        names = (1...agents).map { "agent-\($0)" }
        self.programs = programs
        self.printer = printer
        self.logLevel = logLevel
        self.httpPort = httpPort
        self.directory = DevDirectory(try DevFleet.prepare(directory))
        removesDirectory = directory == nil && !keeps
        let longest = self.directory.agentSocket(names.last ?? "")
        guard longest.utf8.count < 108 else {
            throw Failure(.usage, "dir: is too long for a socket's path (107 bytes): \(longest)")
        }
        try DevFleet.make(self.directory.controller)
        for folder in [self.directory.agents] + names.map(self.directory.agent) {
            try DevFleet.make(folder, isPassable: true)
        }
        listenPort = try DevFleet.keptPort("\(self.directory.controller)/port")
        try checkNobodyElse()
    }

    private static func prepare(_ directory: String?) throws(Failure) -> String {
        if let directory {
            let path = directory.hasPrefix("/") ? directory : FileManager.default.currentDirectoryPath + "/" + directory
            // An existing directory belongs to another purpose, unless a fleet is in it; its mode is not changed.
            let isOurs = access(path, F_OK) != 0 || access(DevDirectory(path).controller, F_OK) == 0
            try make(path, isPassable: isOurs)
            return path
        }
        let base = ProcessInfo.processInfo.environment["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
        var template = Array("\(base)/asterism-dev-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw Failure(.refused, "cannot make a directory in \(base): \(String(cString: strerror(errno)))")
        }
        let path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        try make(path, isPassable: true)
        return path
    }

    /// Makes a folder that only its owner can enter. Root's agents run workers as other users, whose own folders are in
    /// the agents': `isPassable` lets others pass through (mode 0711) there. Sockets, tokens and logs have mode 0600.
    private static func make(_ folder: String, isPassable: Bool = false) throws(Failure) {
        do {
            try FileManager.default.createDirectory(
                atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw Failure(.refused, "cannot make the directory \(folder)")
        }
        // By chmod, since the umask reduces the mode of what is made.
        guard isPassable, geteuid() == 0 else { return }
        guard chmod(folder, 0o711) == 0 else {
            throw Failure(.refused, "cannot change the mode of \(folder): \(String(cString: strerror(errno)))")
        }
    }

    /// The agents remember the controller's address, so it is the same at the next start.
    private static func keptPort(_ file: String) throws(Failure) -> UInt16 {
        if let text = try? String(contentsOfFile: file, encoding: .utf8), let port = UInt16(text) { return port }
        let port = try freePort(SOCK_DGRAM)
        guard (try? "\(port)".write(toFile: file, atomically: true, encoding: .utf8)) != nil else {
            throw Failure(.refused, "cannot write \(file)")
        }
        return port
    }

    /// A port of 127.0.0.1 that is free at this moment.
    private static func freePort(_ type: __socket_type) throws(Failure) -> UInt16 {
        let descriptor = socket(AF_INET, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        guard isBound else { throw Failure(.refused, "no free port on 127.0.0.1: \(String(cString: strerror(errno)))") }
        return UInt16(bigEndian: address.sin_port)
    }
}

// MARK: Starting

extension DevFleet {
    /// Two fleets in one directory would destroy each other, and so would processes that a killed `asterism dev` left
    /// there.
    private func checkNobodyElse() throws(Failure) {
        let others = DevLeftovers(directory: directory).find().map { "\($0.pid)" }
        guard others.isEmpty else {
            let list = others.joined(separator: ", ")
            throw Failure(.refused, "dir: \(directory.root) is in use by processes \(list); end them first")
        }
    }

    func startController() throws {
        let http = httpPort.map { ["127.0.0.1:\($0)", "--http-insecure"] } ?? ["unix:\(directory.controllerHTTP)"]
        controller = try DevProgram(
            name: "controller",
            [
                // The machine's own configuration is for its own daemons.
                programs.controller, "--config", "none", "--data", "\(directory.controller)/data",
                "--listen", "127.0.0.1:\(listenPort)",
                "--socket", directory.controllerSocket, "--name", "controller", "--log-level", logLevel, "--http",
            ] + http, log: "\(directory.controller)/log")
    }

    /// The address of HTTP, for people.
    var httpHint: String {
        if let httpPort { return "HTTP at http://127.0.0.1:\(httpPort)/ for every user of this machine" }
        return "HTTP: curl --unix-socket \(directory.controllerHTTP) http://localhost/v1/status"
    }

    /// Makes a token that all agents together can use, in a file that only its owner reads.
    func makeToken() throws {
        let request = TokensCreate(ttlSeconds: 3600, uses: Int64(names.count), name: "dev")
        let view: TokenView = try ask(request, repeats: false)
        guard let token = view.token else { throw Failure(.refused, "the controller made a token and did not show it") }
        let isWritten = FileManager.default.createFile(
            atPath: directory.token, contents: Data((token + "\n").utf8), attributes: [.posixPermissions: 0o600])
        guard isWritten else { throw Failure(.refused, "cannot write \(directory.token)") }
    }

    func startAgent(_ name: String) throws {
        agents[name] = try DevProgram(
            name: name,
            [
                programs.agent, "--config", "none", "--data", directory.agentData(name), "--listen", "127.0.0.1:0",
                "--socket", directory.agentSocket(name), "--name", name, "--site", "dev", "--overlay", "off",
                "--workers-cgroup", "off",
                "--join-token-file", directory.token, "--shim", programs.shim, "--log-level", logLevel,
            ], log: "\(directory.agent(name))/log")
    }
}

// MARK: Looking

extension DevFleet {
    /// Asks the controller.
    func ask<Request: ControllerVerb>(_ request: Request, repeats: Bool = true) throws -> Request.Answer {
        let place = Place(program: .controller, path: directory.controllerSocket)
        return try Link.open([place], timeout: 5).call(request, repeats: repeats).view()
    }

    /// Checks every 20 ms until there is a result. Programs that end meanwhile end the wait.
    func wait<Value>(
        within seconds: Double, _ what: String, watching: [DevProgram] = [], _ look: () throws -> Value?
    ) throws -> Value {
        let end = monotonicSeconds() + seconds
        var last: (any Error)?
        while true {
            do {
                if let value = try look() { return value }
                last = nil
            } catch {
                last = error
            }
            for program in watching where !program.isRunning {
                throw Failure(.refused, "\(what): \(program.name) has ended (\(program.ending))")
            }
            guard monotonicSeconds() < end else {
                let reason = last.map { error in
                    let lines = (error as? Failure)?.lines ?? (error as? APIError)?.lines ?? ["\(error)"]
                    return " (\(lines.joined(separator: "; ")))"
                }
                throw Failure(.unavailable, "\(what): not seen within \(Int(seconds)) s\(reason ?? "")")
            }
            if signals.sleep(0.02) { throw Interrupted() }
        }
    }

    /// The controller answers.
    func waitForController(within seconds: Double) throws -> StatusView {
        try wait(within: seconds, "the controller", watching: [controller].compactMap { $0 }) {
            let view: StatusView = try ask(StatusGet(), repeats: false)
            return view
        }
    }

    /// The nodes of this fleet's agents, once all are online.
    func waitForAgents(within seconds: Double) throws -> [NodeView] {
        let programs = [controller].compactMap { $0 } + agents.values
        return try wait(within: seconds, "agents online", watching: programs) {
            let nodes: [NodeView] = try ask(NodesList())
            let online = nodes.filter { names.contains($0.name) && $0.state == .online }
            return online.count == names.count ? online : nil
        }
    }

    /// Skips events of before this start.
    func skipEvents() throws {
        let events: [EventView] = try ask(EventsList(limit: 1))
        lastEvent = events.last?.id ?? 0
    }

    /// Prints the events that have not been printed.
    func printEvents() throws {
        let events: [EventView] = try ask(EventsList(after: lastEvent, limit: 200))
        for event in events where event.id > lastEvent {
            printer.event(event)
            lastEvent = event.id
        }
    }

    func printLogs(lines: Int = 15) {
        for program in [controller].compactMap({ $0 }) + names.compactMap({ agents[$0] }) {
            printer.note(
                "--- the last of \(program.log) (\(program.name): \(program.isRunning ? "runs" : program.ending))")
            for line in program.logTail(lines) { printer.note(line) }
        }
    }
}

// MARK: Stopping

extension DevFleet {
    /// Stops everything, and returns what did not stop on request.
    func stop() -> [String] {
        var complaints = stopWorkers()
        for name in names { agents[name]?.send(SIGTERM) }
        for name in names { complaints += end(agents[name]) }
        controller?.send(SIGTERM)
        complaints += end(controller)
        complaints += killLeftovers()
        if removesDirectory {
            do { try FileManager.default.removeItem(atPath: directory.root) } catch {
                complaints.append("cannot remove \(directory.root)")
            }
        }
        return complaints
    }

    private func stopWorkers() -> [String] {
        guard let controller, controller.isRunning, let workers: [WorkerView] = try? ask(WorkersList()) else {
            return []
        }
        let running = workers.filter { $0.desired == .run && !($0.state?.isFinal ?? false) }
        for worker in running {
            let request = WorkersStop(name: worker.name, operation: drawOperation())
            _ = try? ask(request)
        }
        let end = monotonicSeconds() + 15
        while monotonicSeconds() < end, !signals.isUrged() {
            let workers: [WorkerView] = (try? ask(WorkersList())) ?? []
            // Workers of an agent that has ended cannot be stopped by a request.
            if !workers.contains(where: { $0.isCurrent && $0.state.map { !$0.isFinal } ?? false }) { return [] }
            usleep(50_000)
        }
        return ["workers did not stop on request"]
    }

    private func end(_ program: DevProgram?) -> [String] {
        guard let program, !program.hasEnded(within: 10) else { return [] }
        program.send(SIGKILL)
        _ = program.hasEnded(within: 10)
        return ["\(program.name) did not stop within 10 s of SIGTERM and was killed"]
    }

    private func killLeftovers() -> [String] {
        let leftovers = DevLeftovers(directory: directory)
        var complaints: [String] = []
        for _ in 0..<20 {
            let found = leftovers.find()
            if found.isEmpty { return complaints }
            for process in found where process.isAlive {
                let words = process.arguments.joined(separator: " ").cut(to: 80).printable
                complaints.append("process \(process.pid) was left over and was killed: \(words)")
                kill(process.pid, SIGKILL)
            }
            usleep(100_000)
        }
        return complaints + ["some processes survive SIGKILL"]
    }

    /// Kills an agent as a crash would, and forgets it.
    func crash(_ name: String) -> Bool {
        guard let program = agents[name] else { return false }
        program.send(SIGKILL)
        return program.hasEnded(within: 5)
    }
}
