package import ArgumentParser
import Control
package import Daemon
import Glibc
package import Logging

/// # How the daemons start
///
/// ```
///  command line ──→ ArgumentParser: unknown options, --help
///       │
///  --config FILE ─→ ConfigurationFile ─→ EffectiveConfiguration ─→ ArgumentParser again ─→ settings(): each value
///                                                                                              │
///                                              --check-config, --print-config, or the daemon ──┘
/// ```
///
/// All errors are collected before the program ends, so that the journal shows them together.
package protocol DaemonCommand: ParsableCommand {
    associatedtype Settings

    static var program: DaemonProgram { get }
    var config: String? { get }
    var checkConfig: Bool { get }
    var printConfig: Bool { get }
    var logLevel: String { get }

    /// Converts the options to settings, and adds errors to `problems`. Uses no socket and no state.
    func settings(_ given: EffectiveConfiguration, _ problems: inout StartProblems) -> Settings?
}

/// A configuration that was read without a fault.
package struct LoadedConfiguration<Settings> {
    package let settings: Settings
    package let level: Logger.Level
    package let effective: EffectiveConfiguration
}

extension DaemonCommand {
    /// The part of `--help` on the file and the exit statuses.
    package static func discussion(_ text: String = "") -> String {
        """
        \(text.isEmpty ? "" : text + "\n\n")Options can be keys of a YAML file, \(program.defaultFile) by default; an \
        option of the command line replaces the file's. 'systemctl reload' applies changes of \
        \(program.keys.filter(\.isReloaded).map(\.name).joined(separator: ", ")).

        Exit status:
        \(ExitStatus.daemonTable)
        """
    }

    /// Runs the program with the words after its name.
    package static func start(
        _ words: [String] = Array(CommandLine.arguments.dropFirst()),
        _ run: (LoadedConfiguration<Settings>, ConfigurationReload<Self>) throws(StartError) -> Void
    ) {
        let command: Self
        do { command = try parsed(words) } catch { finish(error) }
        do throws(StartFailure) {
            let loaded = try load(words)
            if command.printConfig {
                return ProgramErrors.write(loaded.effective.printed, to: STDOUT_FILENO)
            }
            if command.checkConfig {
                let file = loaded.effective.file
                let note = file.entries.isEmpty ? " (it sets nothing; defaults and options are in force)" : ""
                return ProgramErrors.write("\(file.path): ok\(note)\n", to: STDOUT_FILENO)
            }
            do throws(StartError) {
                try run(loaded, ConfigurationReload(words, running: loaded.effective))
            } catch {
                throw StartFailure(error.status, [loaded.effective.describe(error)])
            }
        } catch { ProgramErrors.finish(error, program: program.name) }
    }

    /// Reads the file that the words name, and checks every value of both.
    package static func load(
        _ words: [String]
    ) throws(StartFailure) -> LoadedConfiguration<Settings> {
        func read(_ words: [String]) throws(StartFailure) -> Self {
            do { return try parsed(words) } catch { throw StartFailure(.usage, [message(for: error)]) }
        }
        let file = try ConfigurationFile.load(try read(words).config, for: program)
        let effective = EffectiveConfiguration(file, commandLine: words, for: program)
        let command = try read(effective.arguments)
        var problems = StartProblems()
        let level = Logger.Level(rawValue: command.logLevel)
        if level == nil {
            let levels = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            problems.add(StartError("--log-level", "'\(command.logLevel)' is none of \(levels)"))
        }
        let settings = command.settings(effective, &problems)
        guard let settings, let level, problems.all.isEmpty else {
            let worst = problems.all.contains { $0.status == .usage } ? .usage : problems.all.first?.status ?? .usage
            throw StartFailure(worst, problems.all.map(effective.describe))
        }
        return LoadedConfiguration(settings: settings, level: level, effective: effective)
    }

    private static func parsed(_ words: [String]) throws -> Self {
        var command = try parseAsRoot(words)
        if let own = command as? Self { return own }
        // Help and the like, which throw what they print.
        try command.run()
        throw CleanExit.message("")
    }

    /// Ends with the output of ArgumentParser: help, the version, a completion script, or an error. The usage block is for
    /// options that do not exist.
    private static func finish(_ error: any Error) -> Never {
        let text = fullMessage(for: error)
        if exitCode(for: error).isSuccess {
            ProgramErrors.write(text.isEmpty || text.hasSuffix("\n") ? text : text + "\n", to: STDOUT_FILENO)
            Glibc.exit(ExitStatus.ok.rawValue)
        }
        let line = message(for: error)
        let isUnknown = line.hasPrefix("Unknown option") || line.contains("unexpected argument")
        var output = ProgramErrors.text([line], program: program.name, isJournal: ProgramErrors.isJournal)
        if isUnknown { output += "Usage: \(usageString())" + "\nSee '\(program.name) --help'.\n" }
        ProgramErrors.write(output, to: STDERR_FILENO)
        Glibc.exit(ExitStatus.usage.rawValue)
    }
}

/// Reads the configuration again while the program runs.
package final class ConfigurationReload<Command: DaemonCommand> {
    private let words: [String]
    /// The configuration in force: that of the start, with the changes of reloads.
    private var running: EffectiveConfiguration

    init(_ words: [String], running: EffectiveConfiguration) {
        self.words = words
        self.running = running
    }

    /// Reads the file; the options of the program's start still replace its values. `apply` puts into force what can
    /// change at run time. A file with an error changes nothing. One line of the log lists what has changed.
    package func perform(_ log: Logger, _ level: LogLevel, apply: (Command.Settings) -> Void) {
        let loaded: LoadedConfiguration<Command.Settings>
        do throws(StartFailure) { loaded = try Command.load(words) } catch {
            for line in error.lines { log.error("configuration: \(line)") }
            log.error("not reloaded: the configuration has errors; the previous one stays in force")
            return
        }
        let changed = loaded.effective.changed(from: running)
        let applied = changed.filter(\.isReloaded).map(\.name)
        let waiting = changed.filter { !$0.isReloaded }.map(\.name)
        // The report must be visible at the old level and at the new one.
        level.current = min(level.current, loaded.level)
        apply(loaded.settings)
        log.notice("reloaded: \(applied.isEmpty ? "nothing has changed" : applied.joined(separator: ", "))")
        if !waiting.isEmpty { log.warning("these need a restart: \(waiting.joined(separator: ", "))") }
        level.current = loaded.level
        running = loaded.effective.keeping(running)
    }
}
