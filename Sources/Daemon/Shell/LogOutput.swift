import Base
import Glibc
package import Logging
import Platform
import Synchronization

/// Log lines on standard error: with the level as journald reads it (sd-daemon(3), `<6>text`) where standard error is the
/// journal, with the time and the level for people elsewhere.
package struct LogOutput: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var logLevel: Logger.Level {
        get { level.current }
        set { level.current = newValue }
    }
    private let level: LogLevel
    private let label: String
    private let isJournal: Bool

    /// `isJournal`: whether `JOURNAL_STREAM` in the environment names standard error (systemd.exec(5)).
    package init(label: String, level: LogLevel, isJournal: Bool) {
        self.label = label
        self.isJournal = isJournal
        self.level = level
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var text = "\(event.message)"
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        for key in all.keys.sorted() { text += " \(key)=\(all[key]!)" }
        // One record is one line.
        text = String(text.map { $0.isNewline ? " " : $0 })
        let line =
            isJournal ? "<\(severity(event.level))>\(text)\n" : "\(Clock.wall()) \(event.level) \(label): \(text)\n"
        let bytes = Array(line.utf8)
        _ = write(2, bytes, bytes.count)
    }

    /// syslog(3)'s numbers.
    private func severity(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}

/// The level from which on records are written; shared by all copies of a logger, so that it can change at run time.
package final class LogLevel: Sendable {
    private let value: Mutex<Logger.Level>

    package init(_ level: Logger.Level) { value = Mutex(level) }

    package var current: Logger.Level {
        get { value.withLock { $0 } }
        set { value.withLock { $0 = newValue } }
    }
}
