import ArgumentParser
import Base
import Control
import Wire

struct WorkerRun: Verb {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Runs a worker, from a file or from a command line.",
        usage: """
            asterism worker run FILE [--name <name>] [--node <node>] [--no-wait]
            asterism worker run [<options>] -- COMMAND [ARGUMENT ...]
            """,
        discussion: """
            FILE is YAML; - is the standard input. Its keys: name, node, command (a list), environment, \
            workingDirectory, user, group, limits {memory, cpu, processes, openFiles}, restart {policy, maxRestarts, \
            window, delay, maxDelay}, stop {signal, grace}, log {maxSize, maxFiles}, priority, labels.

            Waits until the worker runs or has failed. The exit status is 1 if it failed, and 5 if neither was seen in \
            time.
            """)

    @OptionGroup var common: Common
    @Argument(help: "The worker file.") var file: String?
    @Option(help: "The worker's name; by default made from the program's name.") var name: String?
    @Option(help: "The node to run it on; by default the least loaded.") var node: String?
    @Option(name: [.customShort("e"), .long], help: ArgumentHelp("A variable of its environment.", valueName: "K=V"))
    var env: [String] = []
    @Option(help: ArgumentHelp("Limit of memory, as in 1GiB.", valueName: "size")) var memory: String?
    @Option(help: ArgumentHelp("Limit of processors, as in 0.5.", valueName: "number")) var cpu: String?
    @Option(help: "The user it runs as.") var user: String?
    @Option(help: ArgumentHelp("never, on-failure or always.", valueName: "policy")) var restart: String?
    @Option(help: ArgumentHelp("The working directory; an absolute path.", valueName: "path")) var directory: String?
    @Option(name: .customLong("label"), help: ArgumentHelp("A label.", valueName: "K=V")) var labels: [String] = []
    @Flag(help: "Return when the command is accepted, without waiting for it to run.") var noWait = false
    @Option(help: ArgumentHelp("Seconds to wait until it runs.", valueName: "seconds")) var wait: Double = 30
    @Argument(
        parsing: .postTerminator, help: ArgumentHelp("The program and its arguments, after --.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        switch (file, command.isEmpty) {
        case (nil, true): throw ValidationError("give a worker file, or -- and a command")
        case (_?, false): throw ValidationError("give a worker file or a command, and not both")
        default: break
        }
    }

    func perform() throws {
        let worker = try file.map { path in try WorkerFile(path: path) } ?? fromOptions()
        let link = try common.link(.controller)
        let request = WorkersRun(
            name: name ?? worker.name, node: node ?? worker.node, spec: worker.spec, operation: drawOperation())
        let answer: Answer<WorkerView>
        do {
            // The node is asked whether it can run the worker, and a lost connection is made again.
            answer = try link.call(request, within: max(common.timeout, 30))
        } catch {
            throw worker.failure(error)
        }
        let view: WorkerView = try answer.view()
        if !common.json, noWait {
            writeOut("\(view.name) on \(view.nodeName ?? view.node?.short ?? "no node yet")".printable + "\n")
        }
        if noWait { return common.json ? writeOut(try JSONText.document(try answer.json)) : () }
        try finish(try WorkerWait(link: link, worker: view).untilRunning(within: wait))
    }

    /// Prints the result, and exits with its status.
    private func finish(_ answer: Answer<WorkerView>) throws {
        let view: WorkerView = try answer.view()
        if common.json {
            writeOut(try JSONText.document(try answer.json))
        } else {
            let pid = view.pid.map { ", pid \($0)" } ?? ""
            let place = view.nodeName ?? view.node?.short ?? "an unknown node"
            writeOut("\(view.name) on \(place): \(view.state?.rawValue ?? "unknown")\(pid)".printable + "\n")
        }
        switch view.state {
        case .running, .succeeded: break
        case .pending, .starting, .backoff, .stopping, .failed, .stopped, .stuck, nil:
            let reasons = [view.reason, view.lastExit?.description].compactMap { $0 }
            let why = reasons.isEmpty ? "" : ": " + reasons.joined(separator: "; ")
            throw Failure(.refused, "\(view.name) \(view.state?.rawValue ?? "is unknown")\(why)")
        }
    }

    /// The options as a specification; every error is reported with the option's name.
    private func fromOptions() throws(Failure) -> WorkerFile {
        var worker = WorkerFile()
        var faults: [String] = []
        func parse(_ option: String, _ text: String?, _ parse: (String) throws(Units.Problem) -> Int64) -> Int64? {
            guard let text else { return nil }
            do throws(Units.Problem) {
                return try parse(text)
            } catch {
                faults.append("\(option): \(error.message)")
                return nil
            }
        }
        worker.spec.command = command
        worker.spec.limits.memoryBytes = parse("--memory", memory, Units.bytes)
        worker.spec.limits.cpuMillicores = parse("--cpu", cpu, Units.millicores)
        worker.spec.user = user
        worker.spec.workingDirectory = directory
        if let restart {
            if let mode = RestartPolicy.Mode(rawValue: restart) {
                worker.spec.restart.mode = mode
            } else {
                faults.append("--restart: '\(restart)' is none of never, on-failure, always")
            }
        }
        worker.spec.environment = pairs("--env", env, &faults).map { EnvironmentVariable($0.0, $0.1) }
        worker.spec.labels = pairs("--label", labels, &faults).map { Label($0.0, $0.1) }
        if let name, !WorkerSpec.isName(name) {
            faults.append("--name: '\(name)' is not a name: letters, digits, '-', '_' and '.', at most 63")
        }
        faults += worker.spec.problemsAsWritten().map(\.description)
        guard faults.isEmpty else { throw Failure(.usage, faults) }
        return worker
    }

    private func pairs(_ option: String, _ texts: [String], _ faults: inout [String]) -> [(String, String)] {
        var pairs: [(String, String)] = []
        for text in texts {
            guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
                faults.append("\(option): '\(text)' is not NAME=VALUE")
                continue
            }
            pairs.append((String(text[..<equals]), String(text[text.index(after: equals)...])))
        }
        return pairs.sorted { $0.0 < $1.0 }
    }
}
