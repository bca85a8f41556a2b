import ArgumentParser
import Base
import Configuration
import ControllerService
import Daemon
import EventLoop
import Glibc
import Logging

/// The program that holds a fleet's desired state.
struct AsterismController: DaemonCommand {
    static let program = DaemonProgram.controller
    static let configuration = CommandConfiguration(
        commandName: "asterism-controller",
        abstract: "Enrols nodes, assigns workers to them, and answers questions about the fleet.",
        discussion: discussion(
            """
            The HTTP API has no authentication yet: anyone who can connect to it runs commands as root on every node. It \
            is described by /v1/openapi.json.
            """),
        version: "asterism-controller \(AsterismVersion.current)")

    @Option(
        help: ArgumentHelp(
            "The configuration file; 'none' reads none. (default: \(Self.program.defaultFile), if it is there)",
            valueName: "path"))
    var config: String?
    @Flag(help: "Check the configuration file and the options, and exit.")
    var checkConfig = false
    @Flag(help: "Print the configuration in force, with the origin of each value, and exit.")
    var printConfig = false
    @Flag(
        help: """
            Make the database of a new fleet where the old one is empty or lost, and exit. What is left of the old one is \
            renamed; its nodes do not come back by themselves.
            """)
    var newFleet = false
    @Option(help: "The folder that holds the database, with the fleet's keys in it.")
    var data = "/var/lib/asterism-controller"
    @Option(help: "UDP address that agents reach, IP:PORT; port 0 selects any free port.")
    var listen = "0.0.0.0:7950"
    @Option(
        help: """
            A TCP address, IP:PORT, for agents whose networks block UDP, such as 0.0.0.0:443, or off; may be given \
            more than once. (default: the address of --listen, over TCP)
            """)
    var tcpListen: [String] = []
    @Option(
        help: """
            An address that goes into tokens, IP:PORT or NAME:PORT; may be given more than once. Agents resolve a name \
            again, so that the controller may move. (default: the listening address, or those of this machine)
            """)
    var advertise: [String] = []
    @Option(
        help: """
            Address of the HTTP API: off, unix:/PATH (its owner and group may connect), or IP:PORT with \
            --http-insecure.
            """)
    var http = "off"
    @Flag(help: "Serve HTTP at IP:PORT. Anyone who can connect runs commands as root on every node.")
    var httpInsecure = false
    @Option(help: "Path of the local socket that the asterism command uses.")
    var socket = "/run/asterism-controller/controller.sock"
    @Option(help: "The controller's name. (default: the host's name)")
    var name: String?
    @Option(
        help: """
            The network of the overlay's IPv4 addresses, such as 10.9.0.0/16, of length 8 to 28; it stays once a node \
            has an address. (default: \(ControllerDaemon.Settings.overlayNetworkDefault), or the one in use)
            """)
    var overlayNetwork: String?
    @Option(help: "Relay datagrams for nodes without a direct path, as beacons do: on or off.")
    var relay = "on"
    @Option(help: .hidden)
    var debugClockOffsetSeconds: Int?
    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel = "info"
}

AsterismController.start { (loaded, reload) throws(StartError) in
    let level = LogLevel(loaded.level), isJournal = ProgramErrors.isJournal
    let log = Logger(label: "asterism-controller") { LogOutput(label: $0, level: level, isJournal: isJournal) }
    if loaded.settings.isNewFleet { return try ControllerDaemon.makeFleet(loaded.settings, log: log) }
    let loop = Loop()
    let daemon = try ControllerDaemon(loaded.settings, on: loop, log: log) { name in
        getenv(name).map { String(cString: $0) }
    }
    daemon.onReload = { [unowned daemon] in
        reload.perform(log, level) { settings in daemon.reload(settings) }
    }
    daemon.start()
    withExtendedLifetime(daemon) { loop.run() }
}
