import ArgumentParser

struct Dev: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs a whole fleet on this machine: a controller and agents.",
        discussion: """
            Each is a process of its own, over loopback, in a directory of its own. Goes on until it is interrupted; \
            then everything it started is stopped, and its directory is removed unless --dir named it. In another \
            terminal, 'asterism nodes --dir DIR' and all other verbs work on this fleet.

            With --demo it goes through a tour instead, and each step counts only once its effect was observed; the \
            exit status is 0 only if all were.
            """)

    @Flag(help: "Print JSON: a line for each thing that happens.") var json = false
    @Option(help: "How many agents, 1 to 64.") var agents: Int = 3
    @Option(help: ArgumentHelp("Keep state in this directory, and continue from it.", valueName: "dir")) var dir:
        String?
    @Flag(help: "Go through the tour and end.") var demo = false
    @Flag(help: "Keep the temporary directory.") var keep = false
    @Option(
        help: ArgumentHelp(
            "Serve HTTP at this port of 127.0.0.1, open to every user of this machine, and not at a unix socket.",
            valueName: "port"))
    var http: UInt16?
    @Option(help: ArgumentHelp("The programs' level of logging.", valueName: "level")) var logLevel: String = "info"

    func validate() throws {
        guard (1...64).contains(agents) else { throw ValidationError("--agents must be 1 to 64, not \(agents)") }
        guard !demo || agents >= 2 else { throw ValidationError("the tour needs at least two agents") }
    }

    func run() throws {
        let printer = DevPrinter(isJSON: json, terminal: .standardOutput())
        let fleet = try DevFleet(
            directory: dir, agents: agents, keeps: keep, httpPort: http, logLevel: logLevel,
            programs: try DevPrograms.inOwnDirectory(), printer)
        try demo ? DevDemo(fleet: fleet).perform() : DevRun(fleet: fleet).perform()
    }
}
