import Foundation
import Testing

/// The built `asterism`, run as people run it: a process with its own streams, with a time limit.
struct CommandRun {
    var status: Int32
    var output: String
    var errors: String
    var outputBytes: [UInt8]

    static let directory: String = {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
        let own = String(decoding: buffer[..<max(0, count)], as: UTF8.self)
        return String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)])
    }()
    /// The program is next to the tests' own executable.
    static var program: String { "\(directory)/asterism" }

    enum Output {
        case file
        /// A terminal of this width.
        case terminal(columns: UInt16)
    }

    /// Runs with an environment of PATH and what is given, nothing else.
    static func run(
        _ arguments: [String], environment: [String: String] = [:], input: String? = nil, output: Output = .file,
        seconds: Double = 60
    ) throws -> CommandRun {
        let folder = try TemporaryFolder()
        let (out, err, standardInput) = (folder.path("out"), folder.path("err"), folder.path("in"))
        _ = try folder.write("in", input ?? "")
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, standardInput, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, err, O_WRONLY | O_CREAT, 0o600)
        var terminal: (master: Int32, slave: Int32)?
        switch output {
        case .file: posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT, 0o600)
        case .terminal(let columns):
            let pair = try openTerminal(columns)
            terminal = pair
            posix_spawn_file_actions_adddup2(&actions, pair.slave, 1)
        }
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        let all = environment.merging(["PATH": "/usr/bin:/bin"]) { given, _ in given }
        var variables: [UnsafeMutablePointer<CChar>?] = all.map { strdup("\($0)=\($1)") } + [nil]
        defer { (words + variables).forEach { free($0) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, program, &actions, nil, &words, &variables)
        try #require(code == 0, "\(program) cannot be started: \(String(cString: strerror(code)))")
        let status = try wait(for: pid, seconds, arguments)
        var bytes = Array(FileManager.default.contents(atPath: out) ?? Data())
        if let terminal { bytes = drain(terminal) }
        let errors = FileManager.default.contents(atPath: err) ?? Data()
        return CommandRun(
            status: status, output: String(decoding: bytes, as: UTF8.self),
            errors: String(decoding: errors, as: UTF8.self),
            outputBytes: bytes)
    }

    private static func wait(for pid: pid_t, _ seconds: Double, _ arguments: [String]) throws -> Int32 {
        var status: Int32 = 0
        for _ in 0..<Int(seconds * 200) {
            if waitpid(pid, &status, WNOHANG) == pid {
                let signal = status & 0x7f
                try #require(signal == 0, "asterism \(arguments) was killed by signal \(signal)")
                return (status >> 8) & 0xff
            }
            usleep(5000)
        }
        kill(pid, SIGKILL)
        waitpid(pid, &status, 0)
        throw TooLong(arguments: arguments)
    }

    struct TooLong: Error {
        var arguments: [String]
    }

    /// A pseudoterminal, by the ioctls of ioctl_tty(2): posix_openpt(3) and similar functions need feature macros.
    private static func openTerminal(_ columns: UInt16) throws -> (master: Int32, slave: Int32) {
        let (unlock, number): (UInt, UInt) = (0x4004_5431, 0x8004_5430)
        let master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var isLocked: Int32 = 0
        var index: UInt32 = 0
        let isOpen = master >= 0 && ioctl(master, unlock, &isLocked) == 0 && ioctl(master, number, &index) == 0
        let slave = isOpen ? open("/dev/pts/\(index)", O_RDWR | O_NOCTTY | O_CLOEXEC) : -1
        var size = winsize(ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        let isReady = slave >= 0 && ioctl(slave, UInt(TIOCSWINSZ), &size) == 0
        try #require(isReady, "no pseudoterminal: \(String(cString: strerror(errno)))")
        return (master, slave)
    }

    /// What was written to the terminal; small enough to stay in its buffer until the end.
    private static func drain(_ terminal: (master: Int32, slave: Int32)) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        var wait = pollfd(fd: terminal.master, events: Int16(POLLIN), revents: 0)
        while poll(&wait, 1, 200) > 0, wait.revents & Int16(POLLIN) != 0 {
            let count = read(terminal.master, &chunk, chunk.count)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        close(terminal.slave)
        close(terminal.master)
        return bytes.filter { $0 != UInt8(ascii: "\r") }
    }

    /// The output as JSON; fails the test where it is not one document.
    func json() throws -> Any {
        try JSONSerialization.jsonObject(with: Data(outputBytes), options: [.fragmentsAllowed])
    }

    var lines: [String] { output.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init) }
}

/// A folder with a short path, for sockets, that is removed with its last user.
final class TemporaryFolder: Sendable {
    let root: String

    init() throws {
        var template = Array("/tmp/asterism-test-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        root = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
    deinit { try? FileManager.default.removeItem(atPath: root) }

    func path(_ name: String) -> String { "\(root)/\(name)" }

    func write(_ name: String, _ text: String) throws -> String {
        try text.write(toFile: path(name), atomically: true, encoding: .utf8)
        return path(name)
    }
}
