import Foundation
import Testing

/// What a program wrote and how it ended.
struct Outcome {
    var status: Int32
    var output: String
    var errors: String

    /// All text, for messages of failed expectations.
    var text: String { "status \(status): \(output)\(errors)" }
    var trimmed: String { output.trimmingCharacters(in: .whitespacesAndNewlines) }

    /// The output as JSON of one view.
    func view<View: Decodable>(_ type: View.Type = View.self) throws -> View {
        do { return try JSONDecoder().decode(View.self, from: Data(output.utf8)) } catch {
            throw Fault("no \(View.self) in \(text): \(error)")
        }
    }
}

/// A child process of the tests with its own session and files for its streams.
struct Child {
    let pid: pid_t

    /// POSIX_SPAWN_SETSID of <spawn.h>, which Swift sees only with _GNU_SOURCE.
    private static let newSession: Int16 = 0x80

    /// `input`: a descriptor that becomes the standard input; without it, the file of that name.
    init(
        _ words: [String], input: Int32? = nil, inputFile: String = "/dev/null", output: String, errors: String,
        environment: [String: String] = [:]
    ) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, inputFile, O_RDONLY, 0)
        }
        posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t(), every = sigset_t()
        sigemptyset(&none)
        sigfillset(&every)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &every)
        posix_spawnattr_setflags(
            &attributes, Child.newSession | Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF))
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        // Proxies and TMPDIR, among others, are of use to debootstrap.
        var all = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        all["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        var variables = all.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (arguments + variables).forEach { free($0) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, words[0], &actions, &attributes, &arguments, &variables)
        guard code == 0 else { throw Fault("\(words[0]): \(String(cString: strerror(code)))") }
        self.pid = pid
    }

    /// The exit status, or 128 and the signal's number; `nil` where it has not ended in time.
    func wait(seconds: Double) -> Int32? {
        let end = monotonicSeconds() + seconds
        var status: Int32 = 0
        while true {
            if waitpid(pid, &status, WNOHANG) == pid {
                return status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f)
            }
            guard monotonicSeconds() < end else { return nil }
            usleep(5000)
        }
    }

    /// A program to its end; one that takes longer is killed, and the call throws.
    static func run(
        _ words: [String], input: String? = nil, inputFile: String? = nil, seconds: Double,
        environment: [String: String] = [:]
    ) throws -> Outcome {
        let folder = try temporaryFolder("run")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let (output, errors) = ("\(folder)/out", "\(folder)/err")
        var file = inputFile ?? "/dev/null"
        if let input {
            file = "\(folder)/in"
            try input.write(toFile: file, atomically: false, encoding: .utf8)
        }
        let child = try Child(words, inputFile: file, output: output, errors: errors, environment: environment)
        guard let status = child.wait(seconds: seconds) else {
            kill(child.pid, SIGKILL)
            _ = child.wait(seconds: 10)
            throw Fault(
                "not ended within \(seconds) s: \(words.joined(separator: " ")): \(text(output))\(text(errors))")
        }
        return Outcome(status: status, output: text(output), errors: text(errors))
    }
}

func text(_ path: String) -> String {
    String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
}

/// A folder of a test's own, by mkdtemp(3).
func temporaryFolder(_ role: String) throws -> String {
    let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    var template = Array("\(parent)/asterism-\(role)-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Fault("mkdtemp in \(parent): \(String(cString: strerror(errno)))") }
    return String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
}

/// What went wrong, for the reader of the tests' output.
struct Fault: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Looks every 200 ms until `look` is true, and returns after how many seconds it was; an error counts as false.
@discardableResult
func eventually(
    _ what: String, within seconds: Double = 20, _ detail: @autoclosure () -> String = "", _ look: () throws -> Bool
) throws -> Double {
    let begin = monotonicSeconds()
    var fault: (any Error)?
    while true {
        do {
            if try look() { return monotonicSeconds() - begin }
            fault = nil
        } catch { fault = error }
        guard monotonicSeconds() - begin < seconds else { break }
        usleep(200_000)
    }
    throw Fault("not seen within \(seconds) s: \(what) \(detail())\(fault.map { " (\($0))" } ?? "")")
}
