import Glibc
import Testing

/// One of the daemons, started and watched. Its configuration is a test's own, never the machine's.
final class DaemonRun {
    private let pid: pid_t
    private let log: String
    private(set) var status: Int32?

    /// Where SwiftPM puts the programs: next to the running test bundle.
    static let folder: String = {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
        return buffer[..<max(0, count)].split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).dropLast()
            .map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")
    }()

    init(_ program: String, _ words: [String], log: String, environment: [String] = []) throws {
        self.log = log
        let path = program.hasPrefix("/") ? program : "\(DaemonRun.folder)/\(program)"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // Threads that run tests may block signals, and a child has its parent's mask.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t(), every = sigset_t()
        sigemptyset(&none)
        sigfillset(&every)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &every)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF))
        var arguments: [UnsafeMutablePointer<CChar>?] = ([path] + words).map { strdup($0) } + [nil]
        var variables = (["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] + environment).map { strdup($0) } + [nil]
        defer { for pointer in arguments + variables { free(pointer) } }
        var child: pid_t = 0
        let code = posix_spawn(&child, path, &actions, &attributes, &arguments, &variables)
        try #require(code == 0, "\(path): \(code)")
        pid = child
    }

    deinit {
        if !hasEnded(within: 0) { Glibc.kill(pid, SIGKILL) }
        _ = hasEnded(within: 10)
    }

    /// A run to its end: the exit status, and what it wrote.
    static func run(
        _ program: String, _ words: [String], in folder: String, environment: [String] = []
    ) throws -> (status: Int32?, text: String) {
        let run = try DaemonRun(program, words, log: "\(folder)/run.log", environment: environment)
        try #require(run.hasEnded(within: 20), "\(program) \(words) does not end: \(run.text)")
        return (run.exitStatus, run.text)
    }

    var text: String { (try? contents(log)) ?? "" }
    /// `nil` where a signal ended it.
    var exitStatus: Int32? { status.flatMap { $0 & 0x7f == 0 ? $0 >> 8 & 0xff : nil } }
    var number: pid_t { pid }

    func kill(_ signal: Int32) { if !hasEnded(within: 0) { Glibc.kill(pid, signal) } }

    func hasEnded(within seconds: Int) -> Bool {
        for turn in 0...seconds * 100 {
            if status != nil { return true }
            var value: Int32 = 0
            if waitpid(pid, &value, WNOHANG) == pid {
                status = value
                return true
            }
            if turn < seconds * 100 { usleep(10_000) }
        }
        return false
    }

    /// Waits until it has written `words`; the whole text where it does not.
    func wait(for words: String) throws {
        for _ in 0..<1000 {
            if text.contains(words) { return }
            if hasEnded(within: 0) { break }
            usleep(10_000)
        }
        try #require(text.contains(words), "'\(words)' is not in: \(text)")
    }
}

func contents(_ path: String) throws -> String {
    let file = try #require(fopen(path, "r"), "\(path)")
    defer { fclose(file) }
    var bytes: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = fread(&buffer, 1, buffer.count, file)
        if count == 0 { return String(decoding: bytes, as: UTF8.self) }
        bytes += buffer[..<count]
    }
}

func write(_ text: String, _ path: String, mode: UInt32 = 0o600) throws {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    try #require(file >= 0, "\(path)")
    defer { close(file) }
    #expect(Glibc.write(file, text, text.utf8.count) == text.utf8.count)
    try #require(fchmod(file, mode) == 0)
}

func withFolder(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/asterism-conf-XXXXXX".utf8CString)
    let folder = String(cString: try #require(mkdtemp(&template)))
    defer { remove(folder) }
    try body(folder)
}

private func remove(_ path: String) {
    if let directory = opendir(path) {
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { remove("\(path)/\(name)") }
        }
        closedir(directory)
    }
    Glibc.remove(path)
}
