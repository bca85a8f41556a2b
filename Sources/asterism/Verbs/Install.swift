import ArgumentParser
import Control
import Foundation

struct Install: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Installs the agent or the controller on this machine.",
        discussion: """
            For systems without dpkg; on Debian, use the packages. It copies the programs next to this one, writes \
            units, a configuration file in /etc/asterism, manual pages and completions, and enables and starts the \
            services. It prints each action. A second run updates: it restarts the service, and workers continue to \
            run.
            """)

    @Flag(help: "Print JSON: one line for each action.") var json = false
    @Argument(help: "What to install: agent or controller.") var role: InstallRole
    @Option(help: ArgumentHelp("Directory for programs and units.", valueName: "dir")) var prefix = "/usr/local"
    @Option(
        help: ArgumentHelp(
            "Write below this directory, for a package or an image; nothing is enabled or started.", valueName: "dir"))
    var root: String?
    @Option(
        help: ArgumentHelp(
            "Join the fleet after the start, with the token in this file; - is the standard input.",
            valueName: "path"))
    var token: String?
    @Flag(help: "Enable the services without starting them.") var noStart = false

    func validate() throws {
        try InstallLayout.checkPrefix(prefix)
        guard let token else { return }
        guard role == .agent else { throw ValidationError("--token is for an agent; a controller joins no fleet") }
        guard root == nil, !noStart else { throw ValidationError("--token needs an agent that is started") }
        guard !token.hasPrefix("ast1-") else {
            throw ValidationError(
                "--token takes a file or -, not the token: every user can read the arguments of a command (ps)")
        }
    }

    func run() throws {
        let text = try token.map(read)
        let report = InstallReport(isJSON: json)
        let layout = InstallLayout(prefix: prefix)
        let installer = Installer(
            role: role, layout: layout, target: InstallTarget(root: root), starts: !noStart, report: report)
        try installer.perform(programs: try OwnProgram.directory())
        if let text { try join(text, layout, report) }
    }

    /// Reads the token before anything is installed: the standard input may be its only copy.
    private func read(_ path: String) throws -> String {
        let handle: FileHandle
        if path == "-" {
            handle = .standardInput
        } else if let file = FileHandle(forReadingAtPath: path) {
            handle = file
        } else {
            throw Failure(.usage, "--token: \(path): \(String(cString: strerror(errno)))")
        }
        let name = path == "-" ? "standard input" : path
        let data = (try? handle.read(upToCount: Subprocess.inputLimit + 1)) ?? Data()
        guard data.count <= Subprocess.inputLimit else { throw Failure(.usage, "--token: \(name) holds no token") }
        guard !data.isEmpty else { throw Failure(.usage, "--token: \(name) is empty") }
        return String(decoding: data, as: UTF8.self)
    }

    private func join(_ token: String, _ layout: InstallLayout, _ report: InstallReport) throws {
        let words = [
            layout.program("asterism"), "join", "--token-file", "-", "--socket", "/run/asterism/agent.sock",
        ]
        let result = try Subprocess.run(words, input: token)
        let lines = result.output.split(separator: "\n").map(String.init)
        guard result.status == 0 else {
            let own = "asterism: error: "
            let reasons = lines.map { $0.hasPrefix(own) ? String($0.dropFirst(own.count)) : $0 }
            throw Failure(
                ExitStatus(rawValue: result.status) ?? .refused,
                reasons + ["the agent is installed and runs; join it with 'asterism join --token-file -'"])
        }
        report.step("joined", lines.joined(separator: " "))
    }
}
