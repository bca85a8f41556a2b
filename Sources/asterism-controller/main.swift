import ArgumentParser
import Base
import ControllerService
import Daemon
import EventLoop
import Glibc
import Logging

/// The program that holds a fleet's desired state.
struct AsterismController: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "asterism-controller",
        abstract: "Enrols nodes, says what should run on them, and answers questions about the fleet.",
        discussion: """
            The HTTP API has no authentication yet: anyone who can connect to it runs commands as root on every node. It \
            is described by /v1/openapi.json.
            """,
        version: "asterism-controller \(AsterismVersion.current)")

    @Option(help: "The folder that holds the database, with the fleet's keys in it.")
    var data = "/var/lib/asterism-controller"
    @Option(help: "UDP address that agents reach, IP:PORT; port 0 takes any.")
    var listen = "0.0.0.0:7950"
    @Option(
        help: """
            A TCP address, IP:PORT, for agents whose networks let no UDP out, such as 0.0.0.0:443; may be given more \
            than once; or off. (default: the address of --listen, over TCP)
            """)
    var tcpListen: [String] = []
    @Option(
        help: """
            An address that goes into tokens, IP:PORT; may be given more than once. (default: the listening address, \
            or those of this machine)
            """)
    var advertise: [String] = []
    @Option(
        help: """
            Where HTTP is served: off, unix:/PATH (its owner and group may connect), or IP:PORT with --http-insecure.
            """)
    var http = "off"
    @Flag(help: "Serve HTTP at IP:PORT although anyone who can connect runs commands as root on every node.")
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
    @Option(help: "Whether to be a relay for nodes that find no other way to each other, as beacons are: on or off.")
    var relay = "on"
    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel = "info"

    mutating func run() throws {
        do throws(StartError) {
            let settings = try settings()
            guard let level = Logger.Level(rawValue: logLevel) else {
                throw StartError("--log-level", "'\(logLevel)' is not a level")
            }
            let isJournal = getenv("JOURNAL_STREAM") != nil
            let log = Logger(label: "asterism-controller") { LogOutput(label: $0, level: level, isJournal: isJournal) }
            let loop = Loop()
            let daemon = try ControllerDaemon(settings, on: loop, log: log) { name in
                getenv(name).map { String(cString: $0) }
            }
            daemon.start()
            withExtendedLifetime(daemon) { loop.run() }
        } catch {
            throw ValidationError("\(error)")
        }
    }

    private func settings() throws(StartError) -> ControllerDaemon.Settings {
        let name = self.name ?? hostName()
        guard ControllerDaemon.Settings.isName(name) else {
            throw StartError("--name", "'\(name)' is not a name: letters, digits, '-', '_' and '.', at most 63")
        }
        var settings = ControllerDaemon.Settings(
            dataDirectory: data, listen: try address(listen, "--listen"), socketPath: socket, name: name)
        if tcpListen == ["off"] {
            settings.tcpListen = []
        } else if !tcpListen.isEmpty {
            settings.tcpListen = try tcpListen.map { text throws(StartError) in try address(text, "--tcp-listen") }
            guard tcpListen.count <= ControllerDaemon.Settings.tcpListenLimit else {
                throw StartError("--tcp-listen", "at most \(ControllerDaemon.Settings.tcpListenLimit) addresses")
            }
        }
        settings.advertised = try advertise.map { text throws(StartError) in
            let address = try address(text, "--advertise")
            guard !address.ip.isUnspecified, address.port != 0 else {
                throw StartError("--advertise", "'\(text)' is no address that others could reach")
            }
            return address
        }
        guard settings.advertised.count <= ControllerDaemon.Settings.advertisedLimit else {
            throw StartError("--advertise", "at most \(ControllerDaemon.Settings.advertisedLimit) addresses")
        }
        settings.overlayNetwork = try overlayNetwork.map { text throws(StartError) in
            guard let network = IPPrefix(text) else {
                let why = "'\(text)' is no network, such as 10.9.0.0/16, without bits beyond its length"
                throw StartError("--overlay-network", why)
            }
            return network
        }
        guard ["on", "off"].contains(relay) else { throw StartError("--relay", "'\(relay)' is neither on nor off") }
        settings.isRelay = relay == "on"
        settings.http = try HTTPEndpoint.parse(http, isInsecure: httpInsecure)
        return settings
    }

    private func address(_ text: String, _ option: String) throws(StartError) -> SocketAddress {
        guard let address = SocketAddress(text) else {
            throw StartError(option, "'\(text)' is not IP:PORT or [IPv6]:PORT")
        }
        return address
    }
}

private func hostName() -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    gethostname(&buffer, buffer.count - 1)
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

AsterismController.main()
