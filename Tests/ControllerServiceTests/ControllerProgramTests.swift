import Base
import Control
import ControllerService
import Daemon
import EventLoop
import Glibc
import Platform
import Testing
import Wire

/// The real program, started, asked, killed and started again.
@Suite(.serialized) struct ControllerProgramTests {
    @Test func `kill -9 loses no token, and the controller keeps its identity`() throws {
        try withTemporaryDirectory { directory in
            var program = try Program(directory)
            let before = try program.ask("GET", "/v1/status")
            let token = try program.ask("POST", "/v1/tokens", #"{"name":"first","uses":7}"#)
            #expect(token.status == 201 && token.body["token"] != nil)
            program.kill(SIGKILL)
            #expect(program.wait() == .signalled(SIGKILL))

            program = try Program(directory)
            let after = try program.ask("GET", "/v1/status")
            #expect(after.body["node"] == before.body["node"] && after.body["fleet"] == before.body["fleet"])
            #expect(after.body["incarnation"] != before.body["incarnation"])
            let tokens = try program.ask("GET", "/v1/tokens")
            guard case .array(let list) = tokens.body else {
                Issue.record("no list: \(tokens.body)")
                return
            }
            #expect(list.map { $0["id"] } == [token.body["id"]])
            #expect(list[0]["name"] == .string("first") && list[0]["uses"] == .number("7") && list[0]["token"] == nil)
            let events = try program.ask("GET", "/v1/events")
            guard case .array(let all) = events.body else { return }
            #expect(all.count == 1 && all[0]["kind"] == .string("tokenCreated"))
            program.kill(SIGTERM)
            #expect(program.wait() == .exited(0))
            #expect(!names(in: directory).contains("c.sock"))
            #expect(!names(in: "\(directory)/data").contains("controller.sqlite-wal"))
        }
    }

    @Test func `the local socket answers as HTTP does`() throws {
        try withTemporaryDirectory { directory in
            let program = try Program(directory)
            let overHTTP = try program.ask("GET", "/v1/nodes/nobody")
            let socket = try connectUnix("\(directory)/c.sock")
            let line = #"{"jsonrpc":"2.0","id":5,"method":"nodes.get","params":{"node":"nobody"}}"# + "\n"
            #expect(write(socket.raw, line, line.utf8.count) == line.utf8.count)
            let answer = try JSONValue(parsing: socket.read(atMost: 65_536))
            #expect(overHTTP.status == 404 && answer["id"] == .number("5"))
            #expect(answer["error"]?["data"] == overHTTP.body["error"])
            program.kill(SIGTERM)
            #expect(program.wait() == .exited(0))
        }
    }

    /// Options, the one at fault, and the exit status.
    static let wrong: [(arguments: [String], option: String, status: Int32)] = [
        (["--listen", "here"], "--listen", 2), (["--listen", "192.0.2.1:7950"], "--listen", 5),
        (["--http", "7951"], "--http", 2), (["--http", "192.0.2.1:80"], "--http", 5),
        (["--advertise", "0.0.0.0:7950"], "--advertise", 2), (["--log-level", "loud"], "--log-level", 2),
        (["--overlay-network", "10.9.0.0"], "--overlay-network", 2),
        (["--relay", "maybe"], "--relay", 2),
        (["--overlay-network", "10.9.0.1/16"], "--overlay-network", 2),
        (["--overlay-network", "fd00::/8"], "--overlay-network", 2),
        (["--overlay-network", "10.0.0.0/30"], "--overlay-network", 2),
        (["--name", "no spaces"], "--name", 2), (["--data", "/proc/nothing"], "--data", 2),
        (["--socket", "/proc/nothing/c.sock"], "--socket", 2),
    ]

    @Test(arguments: wrong.indices)
    func `an impossible value is reported with its option`(index: Int) throws {
        let (arguments, option, expected) = ControllerProgramTests.wrong[index]
        try withTemporaryDirectory { directory in
            let program = try Program(directory, arguments, waits: false)
            guard case .exited(let status) = program.wait() else {
                Issue.record("did not exit")
                return
            }
            #expect(status == expected)
            #expect(!program.output.contains("Usage:"))
            #expect(program.output.contains("asterism-controller: error: \(option): "), "\(program.output)")
        }
    }

    @Test func `HTTP at TCP needs the operator's consent, also on loopback`() throws {
        try withTemporaryDirectory { directory in
            let program = try Program(directory, ["--http", "127.0.0.1:0"], waits: false, isInsecure: false)
            guard case .exited(let status)? = program.wait() else {
                Issue.record("it serves: \(program.output)")
                return
            }
            #expect(status == 2)
            #expect(program.output.contains("--http: 127.0.0.1:0 is refused: the HTTP API has no authentication yet"))
            #expect(program.output.contains("use unix:/PATH, or --http-insecure to accept that"))
            let other = try Program(directory)
            #expect(other.output.contains("anyone who can connect to the HTTP address runs commands as root"))
            #expect(try other.ask("GET", "/healthz").status == 200)
        }
    }

    @Test func `without the option there is no HTTP, and with a path it is served there`() throws {
        try withTemporaryDirectory { directory in
            do {
                let program = try Program(directory, isInsecure: false)
                #expect(program.output.contains("http=off"))
            }
            let path = "\(directory)/http/h.sock"
            let program = try Program(directory, ["--http", "unix:\(path)"], isInsecure: false)
            #expect(program.output.contains("http=unix:\(path)"))
            #expect(!program.output.contains("warning"), "\(program.output)")
            let client = try RawClient(unix: path)
            client.send("GET /v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
            for _ in 0..<1000 where client.answers.isEmpty && !client.isEnded {
                client.pump()
                usleep(10_000)
            }
            let answer = try #require(client.answers.first)
            #expect(answer.status == 200)
            #expect(try JSONValue(parsing: Array(answer.body.utf8))["servers"] != nil)
            program.kill(SIGTERM)
            #expect(program.wait() == .exited(0))
            #expect(access(path, F_OK) != 0)
        }
    }

    @Test func `a network that nodes have addresses from does not change`() throws {
        try withTemporaryDirectory { directory in
            do {
                var counters = StoredCounters()
                counters.overlay = OverlayPool.firstOfNodes + 1
                counters.overlayNetwork = IPPrefix("10.9.0.0/16")
                let store = try Store(directory: "\(directory)/data")
                try store.apply([.counters(counters)])
                try store.close()
            }
            let other = try Program(directory, ["--overlay-network", "10.8.0.0/16"], waits: false)
            #expect(other.wait() == .exited(2))
            #expect(other.output.contains("--overlay-network: ") && other.output.contains("10.9.0.0/16"))
            let same = try Program(directory)
            #expect(try same.ask("GET", "/v1/status").body["overlay4"] == .string("10.9.0.1"))
        }
    }

    @Test func `a lost or damaged database ends the start with status 1 and the way out`() throws {
        try withTemporaryDirectory { directory in
            let path = "\(directory)/data/controller.sqlite"
            var program = try Program(directory)
            let fleet = try program.ask("GET", "/v1/status").body["fleet"]
            program.kill(SIGTERM)
            #expect(program.wait() == .exited(0))
            func refused(_ text: String, _ more: [String] = []) throws {
                program = try Program(directory, more, waits: false)
                #expect(program.wait() == .exited(1))
                #expect(program.output.contains("asterism-controller: error: --data: \(path): "), "\(program.output)")
                #expect(program.output.contains(text), "\(program.output)")
            }
            try refused("this database holds a fleet", ["--new-fleet"])
            try write(Array(repeating: 0x58, count: 8192), path)
            try refused("damaged")
            try write([], path)
            try refused("asterism-controller --new-fleet")
            unlink(path)
            try refused("asterism-controller --new-fleet")

            program = try Program(directory, ["--new-fleet"], waits: false)
            #expect(program.wait() == .exited(0))
            #expect(program.output.contains("renamed a file of the old fleet"), "\(program.output)")
            #expect(program.output.contains("a new fleet was made; start the controller"), "\(program.output)")
            program = try Program(directory)
            #expect(try program.ask("GET", "/v1/status").body["fleet"] != fleet)
        }
    }

    @Test func `two controllers do not share a folder`() throws {
        try withTemporaryDirectory { directory in
            let first = try Program(directory)
            let second = try Program(directory, waits: false)
            #expect(second.wait() == .exited(5))
            #expect(second.output.contains("--data: ") && second.output.contains("lock"), "\(second.output)")
            #expect(try first.ask("GET", "/healthz").status == 200)
        }
    }
}

private func connectUnix(_ path: String) throws -> FileDescriptor {
    let socket = FileDescriptor(owning: Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0))
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let status = withUnsafeBytes(of: &address) {
        connect(socket.raw, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
    }
    try #require(status == 0)
    return socket
}

/// One run of asterism-controller, killed at the latest when this goes.
private final class Program {
    enum End: Hashable {
        case exited(Int32)
        case signalled(Int32)
    }
    private let pid: pid_t
    private let log: String
    private var end: End?
    private var http: SocketAddress?

    /// With its own ports; `arguments` come last and have priority. Waits until it prints where it serves.
    /// `isInsecure`: with HTTP at a port of loopback, for `ask`.
    init(_ directory: String, _ arguments: [String] = [], waits: Bool = true, isInsecure: Bool = true) throws {
        log = "\(directory)/log-\(Entropy.word())"
        let path = "\(Program.products)/asterism-controller"
        var words = [
            path, "--data", "\(directory)/data", "--listen", "127.0.0.1:0", "--socket",
            "\(directory)/c.sock", "--name", "test",
        ]
        if isInsecure { words += ["--http", "127.0.0.1:0", "--http-insecure"] }
        words += arguments
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        defer { posix_spawn_file_actions_destroy(&actions) }
        // Threads that run tests may block signals, and a child has its parent's mask.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var child: pid_t = 0
        let status = posix_spawn(&child, path, &actions, &attributes, &pointers, environ)
        try #require(status == 0, "\(path): \(status)")
        pid = child
        guard waits else { return }
        for _ in 0..<1000 {
            let text = output
            if let range = text.firstRange(of: " running "), text.hasSuffix("\n"),
                let place = text[range.upperBound...].firstRange(of: "http=")
            {
                http = SocketAddress(text[place.upperBound...].prefix { $0 != " " && $0 != "\n" })
                return
            }
            usleep(10_000)
        }
        Issue.record("it does not serve: \(output)")
    }

    deinit {
        guard end == nil else { return }
        kill(SIGKILL)
        _ = wait()
    }

    /// Where SwiftPM puts the programs: next to the running test bundle.
    private static var products: String {
        let arguments = CommandLine.arguments
        let bundle = arguments.first { $0.contains(".xctest") } ?? arguments[0]
        return bundle.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
    }

    var output: String { (try? String(decoding: read(log), as: UTF8.self)) ?? "" }

    func kill(_ signal: Int32) { _ = Glibc.kill(pid, signal) }

    /// How it ended; waits ten seconds at most.
    func wait() -> End? {
        for _ in 0..<1000 where end == nil {
            var status: Int32 = 0
            if waitpid(pid, &status, WNOHANG) == pid {
                end = status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .signalled(status & 0x7f)
            } else {
                usleep(10_000)
            }
        }
        return end
    }

    func ask(_ method: String, _ target: String, _ body: String = "") throws -> (status: Int, body: JSONValue) {
        let client = try RawClient(to: try #require(http))
        let type = body.isEmpty ? "" : "Content-Type: application/json\r\n"
        client.send(
            "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\n\(type)"
                + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        )
        for _ in 0..<1000 where client.answers.isEmpty && !client.isEnded {
            client.pump()
            usleep(10_000)
        }
        let answer = try #require(client.answers.first)
        return (answer.status, try JSONValue(parsing: Array(answer.body.utf8)))
    }
}
