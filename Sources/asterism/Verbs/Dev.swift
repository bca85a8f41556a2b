import ArgumentParser

struct Dev: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs a whole fleet on this machine: a controller and agents.",
        discussion: """
            Each is a separate process with its own directory. They communicate over loopback. The fleet runs until \
            Ctrl-C. Then every process is stopped, and the directory is removed unless --dir named it. In another \
            terminal, 'asterism nodes --dir DIR' and all other verbs work on this fleet.

            With --demo it runs a demonstration instead. A step succeeds only when its effect was observed. The exit \
            status is 0 only if every step succeeded.
            """)

    @Flag(help: "Print JSON: one line for each event.") var json = false
    @Option(help: "Number of agents, 1 to 64.") var agents: Int = 3
    @Option(help: ArgumentHelp("Keep state in this directory, and continue from it.", valueName: "dir")) var dir:
        String?
    @Flag(help: "Run the demonstration and exit.") var demo = false
    @Flag(help: "Keep the temporary directory.") var keep = false
    @Option(
        help: ArgumentHelp(
            "Serve HTTP at this port of 127.0.0.1, open to every user of this machine, instead of a unix socket.",
            valueName: "port"))
    var http: UInt16?
    @Option(help: ArgumentHelp("Log level of the programs.", valueName: "level")) var logLevel: String = "info"

    func validate() throws {
        guard (1...64).contains(agents) else { throw ValidationError("--agents must be 1 to 64, not \(agents)") }
        guard !demo || agents >= 2 else { throw ValidationError("the demo needs at least two agents") }
    }

    func run() throws {
        let printer = DevPrinter(isJSON: json, terminal: .standardOutput())
        let fleet = try DevFleet(
            directory: dir, agents: agents, keeps: keep, httpPort: http, logLevel: logLevel,
            programs: try DevPrograms.inOwnDirectory(), printer)
        try demo ? DevDemo(fleet: fleet).perform() : DevRun(fleet: fleet).perform()
    }
}
