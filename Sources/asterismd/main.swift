import ArgumentParser
import Base
import Configuration
import Daemon
import EventLoop
import Glibc
import Logging
import Noise

/// The program that runs on every node.
struct AsterismDaemon: DaemonCommand {
    static let program = DaemonProgram.agent
    static let configuration = CommandConfiguration(
        commandName: "asterismd",
        abstract: "Joins a node to its fleet, reports its health, and keeps its workers.",
        discussion: discussion(),
        version: "asterismd \(AsterismVersion.current)")

    @Option(
        help: ArgumentHelp(
            "The configuration file; 'none' reads none. (default: \(Self.program.defaultFile), if it is there)",
            valueName: "path"))
    var config: String?
    @Flag(help: "Check the configuration file and the options, and exit.")
    var checkConfig = false
    @Flag(help: "Print the configuration in force, with the origin of each value, and exit.")
    var printConfig = false
    @Option(help: "The folder that holds the node's identity and its workers.")
    var data = "/var/lib/asterism"
    @Option(
        help: """
            UDP address to listen on, IP:PORT; port 0 selects any free port. Where this option is not given and the \
            port is in use, the agent uses any free port.
            """)
    var listen = "0.0.0.0:7951"
    @Option(
        help: """
            A TCP address, IP:PORT, at which this node, as a beacon, accepts datagrams of nodes whose networks \
            block UDP, such as 0.0.0.0:443. May be given more than once.
            """)
    var tcpListen: [String] = []
    @Option(help: "Path of the local socket that the asterism command uses.")
    var socket = "/run/asterism/agent.sock"
    @Option(help: "The name to enrol under. (default: the host's name)")
    var name: String?
    @Option(help: "The site of the node.")
    var site: String = ""
    @Option(help: "A label, NAME=VALUE; may be given more than once.")
    var label: [String] = []
    @Option(help: "An enrolment token. Other users can see it in the process list; use --join-token-file.")
    var joinToken: String?
    @Option(
        help: "A file that holds an enrolment token; it is read when the agent starts, and a member does without it.")
    var joinTokenFile: String?
    @Option(
        help: """
            The cgroup v2 directory for workers only: auto (that of asterism-workers.service, where it runs), \
            off, or a path. Without one, only shims keep track of workers' processes.
            """)
    var workersCgroup = "auto"
    @Option(help: "Where accelerators are read: auto, none, nvidia, exec:COMMAND or replay:FILE.")
    var accelerators = "auto"
    @OptionGroup
    var overlay: OverlayOptions
    @Option(help: "The program asterism, which runs the server of --bench. (default: next to this program)")
    var tool: String?
    @Option(
        help: ArgumentHelp(
            "A STUN server, HOST:PORT, for NAT discovery; may be given more than once. One "
                + "with a second address (RFC 5780) reveals most. See 'asterism netcheck'.",
            valueName: "host:port"))
    var stun: [String] = []
    @Option(
        help: ArgumentHelp(
            "Whether the default gateway is asked to let peers in, by PCP, NAT-PMP or UPnP: auto (where this node's "
                + "own address is private), or off."))
    var portMapping = "auto"
    @Option(help: "Whether AES-GCM may use VAES instructions where they pass a self-test: auto or off.")
    var cryptoAccelerate = "auto"
    @Option(help: .hidden)
    var debugRekeySeconds: Int?
    @Option(help: "The program asterism-shim. (default: next to this program)")
    var shim: String?
    @Option(help: .hidden)
    var debugClockOffsetSeconds: Int?
    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel = "info"
}

AsterismDaemon.start { (loaded, reload) throws(StartError) in
    CipherAcceleration.current = loaded.settings.acceleratesCiphers ? .auto : .off
    let level = LogLevel(loaded.level), isJournal = ProgramErrors.isJournal
    let log = Logger(label: "asterismd") { LogOutput(label: $0, level: level, isJournal: isJournal) }
    let loop = Loop()
    let daemon = try AgentDaemon(loaded.settings, on: loop, log: log) { name in
        getenv(name).map { String(cString: $0) }
    }
    daemon.onReload = { [unowned daemon] in
        reload.perform(log, level) { settings in daemon.reload(settings) }
    }
    daemon.start()
    withExtendedLifetime(daemon) { loop.run() }
}
