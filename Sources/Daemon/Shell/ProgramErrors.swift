import Control
import Glibc

/// How the daemons report on standard error before there is a log, and end.
package enum ProgramErrors {
    /// Whether standard error is the journal (systemd.exec(5), `JOURNAL_STREAM`).
    package static var isJournal: Bool { getenv("JOURNAL_STREAM") != nil }

    /// Each line as `PROGRAM: error: LINE`, with the journal's priority for an error before it where standard error is the
    /// journal.
    package static func text(_ lines: [String], program: String, isJournal: Bool) -> String {
        lines.map { line in
            // One error is one line, whatever a file or an argument holds.
            let printable = String(
                line.map { character in
                    character.unicodeScalars.contains { $0.value < 0x20 || (0x7f...0x9f).contains($0.value) }
                        ? " " : character
                })
            return "\(isJournal ? "<3>" : "")\(program): error: \(printable)\n"
        }.joined()
    }

    package static func finish(_ failure: StartFailure, program: String) -> Never {
        write(text(failure.lines, program: program, isJournal: isJournal), to: STDERR_FILENO)
        exit(failure.status.rawValue)
    }

    /// Writes all of it; bytes that cannot be written are lost, since there is no place to report that.
    package static func write(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress!, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
