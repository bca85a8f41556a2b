import Control
import Foundation

/// Other programs, run to their end.
enum Subprocess {
    struct Result {
        /// The exit status; of a program that a signal ended, 128 and the signal's number.
        var status: Int32
        var output: String
    }

    /// The capacity of a pipe without a reader, pipe(7): this much can be written before the program is started.
    static let inputLimit = 4096

    /// Runs a program with `input` as its standard input. A name without a slash is looked for in PATH and in the
    /// directories of system programs. The output has the standard error in it where `mergesErrors`.
    static func run(
        _ words: [String], input: String? = nil, mergesErrors: Bool = true
    ) throws(Failure) -> Result {
        guard let path = find(words[0]) else { throw Failure(.refused, "\(words[0]): no such program") }
        // A file and not a pipe: a program that leaves a child with its output does not keep this one waiting.
        let output = try temporaryFile()
        defer { close(output) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let entry = try input.map(filledPipe)
        defer { if let entry { close(entry) } }
        if let entry {
            posix_spawn_file_actions_adddup2(&actions, entry, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        if mergesErrors { posix_spawn_file_actions_adddup2(&actions, output, 2) }
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { arguments.forEach { free($0) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, path, &actions, nil, &arguments, environ)
        guard code == 0 else { throw Failure(.refused, "\(path): \(String(cString: strerror(code)))") }
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 {
            guard errno == EINTR else { throw Failure(.refused, "\(path): its exit status is not known") }
        }
        lseek(output, 0, SEEK_SET)
        let bytes = (try? FileHandle(fileDescriptor: output).readToEnd()) ?? Data()
        let signal = status & 0x7f
        return Result(
            status: signal == 0 ? (status >> 8) & 0xff : 128 + signal, output: String(decoding: bytes, as: UTF8.self))
    }

    /// The standard output of a program that must succeed.
    static func output(_ words: [String]) throws(Failure) -> String {
        let result = try run(words, mergesErrors: false)
        guard result.status == 0 else {
            throw Failure(.refused, "\(words.joined(separator: " ")): exit status \(result.status)")
        }
        return result.output
    }

    static func find(_ name: String) -> String? {
        if name.contains("/") { return name }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let directories = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        return directories.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
    }

    /// A file without a name, open for reading and writing.
    private static func temporaryFile() throws(Failure) -> Int32 {
        var template = Array((NSTemporaryDirectory() + "/asterism-XXXXXX").utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else {
            throw Failure(.refused, "\(NSTemporaryDirectory()): \(String(cString: strerror(errno)))")
        }
        unlink(template)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return descriptor
    }

    /// The end to read from of a pipe that holds the text.
    private static func filledPipe(_ text: String) throws(Failure) -> Int32 {
        precondition(text.utf8.count <= inputLimit, "an input of \(text.utf8.count) bytes")
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Failure(.refused, "pipe: \(String(cString: strerror(errno)))") }
        defer { close(ends[1]) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let bytes = Array(text.utf8)
        guard write(ends[1], bytes, bytes.count) == bytes.count else {
            close(ends[0])
            throw Failure(.refused, "pipe: \(String(cString: strerror(errno)))")
        }
        return ends[0]
    }
}
