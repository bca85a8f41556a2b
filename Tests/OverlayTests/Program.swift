import Base
import Control
import Foundation
import Testing

/// A real process; its output goes to a file.
final class Program {
    let pid: pid_t
    let output: String
    private var status: Int32?

    /// Where the programs lie: beside the tests' own executable, or in ASTERISM_PROGRAMS (a release build).
    static let directory: String = {
        if let given = ProcessInfo.processInfo.environment["ASTERISM_PROGRAMS"] { return given }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
        let own = String(decoding: buffer[..<max(0, count)], as: UTF8.self)
        return String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)])
    }()

    init(_ name: String, _ arguments: [String], output: String) throws {
        let path = name.hasPrefix("/") ? name : "\(Program.directory)/\(name)"
        self.output = output
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t(), all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF))
        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        var variables = Program.environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (words + variables).forEach { free($0) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, path, &actions, &attributes, &words, &variables)
        guard code == 0 else { throw Fault("\(path) cannot be started: \(String(cString: strerror(code)))") }
        self.pid = pid
    }

    private static let environment: [String: String] = {
        var variables = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "ASTERISM_PROGRAMS": directory]
        let own = ProcessInfo.processInfo.environment
        for name in own.keys where name == "TMPDIR" || name.hasPrefix("PIP_") || name.lowercased().hasSuffix("_proxy") {
            variables[name] = own[name]
        }
        return variables
    }()

    deinit { end() }

    var isRunning: Bool {
        if status != nil { return false }
        var status: Int32 = 0
        guard waitpid(pid, &status, WNOHANG) == pid else { return true }
        self.status = status
        return false
    }

    /// `nil` while it runs, and where a signal ended it.
    var exitStatus: Int32? { status.flatMap { $0 & 0x7f == 0 ? ($0 >> 8) & 0xff : nil } }

    func hasEnded(within seconds: Double) -> Bool {
        let end = monotonicSeconds() + seconds
        while isRunning {
            guard monotonicSeconds() < end else { return false }
            usleep(5000)
        }
        return true
    }

    /// SIGKILL, and until it is gone.
    func end() {
        // Not collected means that the number is still its own.
        if isRunning { kill(pid, SIGKILL) }
        _ = hasEnded(within: 10)
    }

    var text: String { String(decoding: FileManager.default.contents(atPath: output) ?? Data(), as: UTF8.self) }
}

/// A program to its end, which must be a good one.
func complete(_ program: String, _ arguments: [String]) throws {
    let output = "/tmp/asterism-run-\(getpid())-\(UInt64.random(in: .min ... .max))"
    defer { unlink(output) }
    let program = try Program(program, arguments, output: output)
    guard program.hasEnded(within: 20), program.exitStatus == 0 else {
        throw Fault("\(arguments.joined(separator: " ")): \(program.text)")
    }
}

/// Asks a program on its local socket.
func ask<Request: JSONRPCRequest, View: Decodable>(
    _ path: String, _ request: Request, as type: View.Type = View.self
) throws -> View {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let isOpen = withUnsafeBytes(of: address) {
        connect(descriptor, $0.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count)) == 0
    }
    guard isOpen else { throw Fault.last(path) }
    let line = Array(try JSONEncoder().encode(JSONRPCCall(id: .number(1), request))) + [UInt8(ascii: "\n")]
    guard write(descriptor, line, line.count) == line.count else { throw Fault.last(path) }
    var answer: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while answer.last != UInt8(ascii: "\n") {
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&wait, 1, 10_000) > 0 else { throw Fault("\(path): no answer") }
        let count = read(descriptor, &chunk, chunk.count)
        guard count > 0 else { throw Fault("\(path): closed without an answer") }
        answer += chunk[..<count]
    }
    let reply = try JSONDecoder().decode(JSONRPCReply<View>.self, from: Data(answer))
    switch reply.result {
    case .success(let view): return view
    case .failure(let error): throw error.apiError
    }
}
