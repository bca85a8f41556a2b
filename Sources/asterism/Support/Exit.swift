import ArgumentParser
import Control
import Foundation
import Wire

/// # How the program ends
///
/// Every error is lines on the standard error, `asterism: error: …`, and a status of `ExitStatus`.

extension APIError {
    /// The message, with the field at fault before it; a line for each problem of a specification.
    var lines: [String] {
        if let problems, !problems.isEmpty { return problems.map(\.description) }
        guard let field, !field.isEmpty, !message.hasPrefix(field) else { return [message] }
        return ["\(field): \(message)"]
    }
}

enum Exit {
    /// The part of `--help` that documents the statuses.
    static let table = ExitStatus.allCases.map { "  \($0.rawValue)  \($0.meaning)" }.joined(separator: "\n")

    /// Prints the error and ends the process.
    static func finish(_ error: any Error) -> Never {
        if let failure = error as? Failure { fail(failure) }
        // Output that was requested: help, the version, a completion script.
        let code = Asterism.exitCode(for: error)
        let message = Asterism.fullMessage(for: error)
        if code.isSuccess {
            writeOut(message.hasSuffix("\n") || message.isEmpty ? message : message + "\n")
            exit(ExitStatus.ok.rawValue)
        }
        if code == .validationFailure || error is ValidationError {
            let text = message.hasPrefix("Error: ") ? String(message.dropFirst(7)) : message
            fail(Failure(.usage, text.split(separator: "\n").map(String.init)), isUsage: true)
        }
        if error is ExitCode { exit(code.rawValue) }
        fail(Failure(.refused, "\(error)"))
    }

    private static func fail(_ failure: Failure, isUsage: Bool = false) -> Never {
        for (index, line) in failure.lines.enumerated() {
            // Of a usage error, the lines after the first are help and not errors.
            let prefix = index == 0 || !isUsage ? "asterism: error: " : ""
            writeError(prefix + line.printable)
        }
        exit(failure.status.rawValue)
    }
}

/// Writes to the standard output at once, without a buffer.
func writeOut(_ text: String) { writeOut(Array(text.utf8)) }

func writeOut(_ bytes: [UInt8]) { writeAll(bytes, to: STDOUT_FILENO) }

func writeError(_ line: String) { writeAll(Array((line + "\n").utf8), to: STDERR_FILENO) }

private func writeAll(_ bytes: [UInt8], to descriptor: Int32) {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count < 0 {
            if errno == EINTR || errno == EAGAIN { continue }
            // A closed pipe ends the process by SIGPIPE before this. A full disk must not look like success.
            exit(ExitStatus.refused.rawValue)
        }
        rest = rest.dropFirst(count)
    }
}
