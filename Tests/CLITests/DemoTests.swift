import Foundation
import Testing

@testable import asterism

private enum Daemons {
    static let areBuilt = ["asterism-controller", "asterismd", "asterism-shim"].allSatisfy {
        access("\(CommandRun.directory)/\($0)", X_OK) == 0
    }
}

/// With the real programs, where they are built next to the tests: real processes, real UDP on loopback.
@Suite(.serialized, .enabled(if: Daemons.areBuilt, "the daemons are not built")) struct DemoTests {
    private static func objects(_ lines: [String]) throws -> [[String: Any]] {
        try lines.map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] ?? [:] }
    }

    @Test func `the tour observes each of its steps and leaves nothing behind`() throws {
        let run = try CommandRun.run(["dev", "--demo", "--json"], seconds: 240)
        #expect(run.status == 0, "\(run.output)\(run.errors)")
        let objects = try Self.objects(run.lines)
        let steps = objects.filter { $0["kind"] as? String == "step" }
        #expect(steps.count == 13)
        for step in steps { #expect(step["isObserved"] as? Bool == true, "\(step)") }
        let begin = try #require(objects.first?["text"] as? String)
        let root = try #require(begin.split(separator: " ").last.map(String.init))
        #expect(!FileManager.default.fileExists(atPath: root))
        #expect(DevLeftovers(directory: DevDirectory(root)).find().isEmpty)
    }

    @Test func `an interrupted fleet stops its workers, its agents and its controller, and can go on later`() throws {
        let folder = try TemporaryFolder()
        let root = folder.path("fleet"), directory = DevDirectory(folder.path("fleet"))
        for round in 1...2 {
            let log = folder.path("log\(round)")
            let dev = try DevProgram(
                name: "dev", [CommandRun.program, "dev", "--agents", "2", "--dir", root], log: log)
            defer { dev.send(SIGTERM) }
            var isUp = false
            for _ in 0..<600 where !isUp && dev.isRunning {
                usleep(100_000)
                isUp = dev.logTail(3).contains { $0.contains("Ctrl-C stops everything") }
            }
            #expect(isUp, "\(dev.logTail(50))")
            let nodes = try CommandRun.run(["nodes", "--dir", root])
            #expect(nodes.lines.count == 3 && nodes.output.contains("agent-2"))
            let run = try CommandRun.run([
                "worker", "run", "--dir", root, "--name", "w\(round)", "--", "sleep", "1000",
            ])
            #expect(run.status == 0, "\(run.errors)")
            #expect(!DevLeftovers(directory: directory).find().isEmpty)
            let second = try CommandRun.run(["dev", "--agents", "2", "--dir", root])
            #expect(second.status == 1 && second.errors.contains("is in use by processes"))
            #expect(dev.isRunning)
            dev.send(SIGINT)
            #expect(dev.hasEnded(within: 60))
            #expect(dev.ending == "exit status 0", "\(dev.logTail(50))")
            #expect(DevLeftovers(directory: directory).find().isEmpty)
        }
        #expect(FileManager.default.fileExists(atPath: directory.token))
    }

    @Test func `what dies in a fleet is started again, and the worker lives through it`() throws {
        let folder = try TemporaryFolder()
        let root = folder.path("fleet"), directory = DevDirectory(folder.path("fleet"))
        let dev = try DevProgram(
            name: "dev", [CommandRun.program, "dev", "--agents", "1", "--dir", root], log: folder.path("log"))
        defer { dev.send(SIGTERM) }
        func wait(for text: String) -> Bool {
            for _ in 0..<600 where dev.isRunning {
                if dev.logTail(100).contains(where: { $0.contains(text) }) { return true }
                usleep(100_000)
            }
            return false
        }
        func find(_ name: String) -> DevProcess? {
            DevLeftovers(directory: directory).find().first { $0.arguments.first?.hasSuffix("/\(name)") ?? false }
        }
        #expect(wait(for: "Ctrl-C stops everything"), "\(dev.logTail(50))")
        _ = try CommandRun.run(["worker", "run", "--name", "kept", "--dir", root, "--", "sleep", "1000"])
        let worker = try #require(
            find("sleep")
                ?? DevLeftovers(directory: directory).find().first {
                    $0.arguments == ["sleep", "1000"]
                })
        for (program, name) in [("asterism-controller", "controller"), ("asterismd", "agent-1")] {
            kill(try #require(find(program)).pid, SIGKILL)
            #expect(wait(for: "\(name) has ended (killed by signal 9)"))
            #expect(wait(for: "\(name) is started again"))
        }
        var seen = ""
        for _ in 0..<100 where !seen.contains("\"running\"") {
            seen = try CommandRun.run(["worker", "ps", "--dir", root, "--json"]).output
            usleep(100_000)
        }
        #expect(worker.isAlive && seen.contains("\(worker.pid)"))
        dev.send(SIGINT)
        #expect(dev.hasEnded(within: 60))
        #expect(dev.ending == "exit status 0", "\(dev.logTail(50))")
        #expect(DevLeftovers(directory: directory).find().isEmpty && !worker.isAlive)
    }

    private static func mode(_ path: String) -> String {
        var status = stat()
        return lstat(path, &status) == 0 ? String(status.st_mode & 0o7777, radix: 8) : "none"
    }

    @Test(.enabled(if: geteuid() == 0, "only root may run workers as other users"))
    func `a fleet of root runs workers as other users, and its sockets, tokens and logs stay private`() throws {
        let folder = try TemporaryFolder()
        chmod(folder.root, 0o711)
        let mask = umask(0o077)
        defer { umask(mask) }
        let root = folder.path("fleet"), directory = DevDirectory(folder.path("fleet"))
        let port = try Self.freePort()
        for arguments in [[], ["--http", "\(port)"]] {
            let dev = try DevProgram(
                name: "dev", [CommandRun.program, "dev", "--agents", "1", "--dir", root] + arguments,
                log: folder.path("log\(arguments.count)"))
            defer { dev.send(SIGTERM) }
            for _ in 0..<600
            where dev.isRunning && !dev.logTail(9).contains(where: { $0.contains("Ctrl-C stops everything") }) {
                usleep(100_000)
            }
            let informed = dev.logTail(50).joined(separator: "\n")
            let hint =
                arguments.isEmpty
                ? "curl --unix-socket \(directory.controllerHTTP) http://localhost/v1/status"
                : "http://127.0.0.1:\(port)/"
            #expect(informed.contains(hint), "\(informed)")
            #expect(Self.mode(directory.controllerHTTP) == (arguments.isEmpty ? "660" : "none"))
            #expect(Self.answers(port) == !arguments.isEmpty)
            let name = "n\(arguments.count)"
            let run = try CommandRun.run([
                "worker", "run", "--dir", root, "--name", name, "--user", "nobody", "--", "/bin/sh", "-c",
                "id -u; touch here && ls && pwd",
            ])
            #expect(run.status == 0, "\(run.errors)")
            var log = ""
            for _ in 0..<100 where !log.contains("work\n") {
                log = try CommandRun.run(["worker", "logs", "--dir", root, name]).output
                usleep(50_000)
            }
            #expect(log.hasPrefix("65534\nhere\n\(directory.agentData("agent-1"))/workers/\(name)/"), "\(log)")
            dev.send(SIGINT)
            #expect(dev.hasEnded(within: 60))
        }
        let modes = [
            (root, "711"), (directory.controller, "700"), ("\(directory.controller)/data", "700"),
            (directory.agents, "711"), (directory.agent("agent-1"), "711"), (directory.agentData("agent-1"), "711"),
            (directory.token, "600"), ("\(directory.agent("agent-1"))/log", "600"),
            ("\(directory.agentData("agent-1"))/identity", "600"),
            ("\(directory.agentData("agent-1"))/membership", "600"),
            ("\(directory.agentData("agent-1"))/workers.state", "600"),
        ]
        for (path, mode) in modes { #expect(Self.mode(path) == mode, "\(path)") }
    }

    private static func withPort<Result>(_ port: UInt16, _ body: (Int32, UnsafePointer<sockaddr>) -> Result) -> Result {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafeBytes(of: &address) {
            body(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self))
        }
    }

    private static let addressSize = socklen_t(MemoryLayout<sockaddr_in>.size)

    private static func freePort() throws -> UInt16 {
        try #require((22_000..<30_000).shuffled().first { withPort($0) { bind($0, $1, addressSize) == 0 } })
    }

    private static func answers(_ port: UInt16) -> Bool { withPort(port) { connect($0, $1, addressSize) == 0 } }

    @Test func `what ends again and again is given up`() {
        var restarts = DevRestarts(), steps: [DevRestarts.Step] = []
        for tenth in 0..<200 { steps.append(restarts.ended(at: Double(tenth) / 10)) }
        #expect(steps.filter { $0 == .start }.count == 5)
        #expect(steps.first { $0 == .giveUp } != nil)
        #expect(steps[0] == .reported && steps[1] == .wait && steps[10] == .start)
    }
}
