import ArgumentParser
import Base
import Control
import Daemon
import EventLoop
import Glibc
import Health
import Logging
import Mesh
import Noise

/// The program that runs on every node.
struct AsterismDaemon: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "asterismd",
        abstract: "Joins a node to its fleet, reports its health, and keeps its workers.",
        version: "asterismd \(AsterismVersion.current)")

    @Option(help: "The folder that holds the node's identity and its workers.")
    var data = "/var/lib/asterism"
    @Option(help: "UDP address to listen on, IP:PORT; port 0 takes any.")
    var listen = "0.0.0.0:7950"
    @Option(
        help: """
            A TCP address, IP:PORT, at which this node, as a beacon, takes datagrams of nodes whose networks let no UDP \
            out, such as 0.0.0.0:443; may be given more than once.
            """)
    var tcpListen: [String] = []
    @Option(help: "Path of the local socket that the asterism command uses.")
    var socket = "/run/asterism/agent.sock"
    @Option(help: "The name to enrol under. (default: the host's name)")
    var name: String?
    @Option(help: "The site that the node stands in.")
    var site: String = ""
    @Option(help: "A label, NAME=VALUE; may be given more than once.")
    var label: [String] = []
    @Option(help: "An enrolment token. It can be seen in the process list; --join-token-file cannot.")
    var joinToken: String?
    @Option(help: "A file that holds an enrolment token.")
    var joinTokenFile: String?
    @Option(
        help: """
            The cgroup v2 directory that is the workers' alone: auto (that of asterism-workers.service, where it runs), \
            off, or a path. Without one, workers are held together by their shims.
            """)
    var workersCgroup = "auto"
    @Option(help: "Where accelerators are read: auto, none, nvidia, exec:COMMAND or replay:FILE.")
    var accelerators = "auto"
    @Option(
        help: """
            Whether this node gets a network interface of the overlay: auto (where it can be had), off, or required.
            """)
    var overlay = "auto"
    @Option(help: "The interface's name; %d in it becomes the first free number.")
    var overlayInterface = "asterism%d"
    @Option(help: "Whether the kernel may leave segments and checksums to the overlay: auto or off.")
    var overlayOffload = "auto"
    @Option(
        help: ArgumentHelp(
            "Threads that carry packets of the overlay: 1 (the agent's own), 2 (one for each way), or an even number "
                + "up to 16 (pairs with a queue of the interface and a socket each)."))
    var dataPlaneThreads = 1
    @Option(
        help: ArgumentHelp(
            "What peers of other applications may reach, as 'PROTOCOL[:PORTS] [from LABEL=VALUE,...]', such as "
                + "'tcp:80,8000-8099 from app=web'; may be given more than once. Without it, nothing."))
    var allow: [String] = []
    @Option(
        help: ArgumentHelp(
            "Which peers may open a server here to measure the way with 'asterism bench': auto (those that may reach "
                + "everything here), allow (all of the fleet), or off."))
    var bench = "auto"
    @Option(help: "The program asterism, for that. (default: beside this program)")
    var tool: String?
    @Option(
        help: ArgumentHelp(
            "A STUN server, HOST:PORT, that tells how this node is seen from outside; may be given more than once. One "
                + "with a second address (RFC 5780) tells most. See 'asterism netcheck'.",
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
    @Option(help: "The program asterism-shim. (default: beside this program)")
    var shim: String?
    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel = "info"

    mutating func run() throws {
        do throws(StartError) {
            let settings = try settings()
            guard let level = Logger.Level(rawValue: logLevel) else {
                throw StartError("--log-level", "'\(logLevel)' is not a level")
            }
            let isJournal = getenv("JOURNAL_STREAM") != nil
            let log = Logger(label: "asterismd") { LogOutput(label: $0, level: level, isJournal: isJournal) }
            let loop = Loop()
            let daemon = try AgentDaemon(settings, on: loop, log: log) { name in
                getenv(name).map { String(cString: $0) }
            }
            daemon.start()
            loop.run()
        } catch {
            throw ValidationError("\(error)")
        }
    }

    private func settings() throws(StartError) -> AgentDaemon.Settings {
        guard let address = SocketAddress(listen) else {
            throw StartError("--listen", "'\(listen)' is not IP:PORT or [IPv6]:PORT")
        }
        let name = self.name ?? hostName()
        var settings = AgentDaemon.Settings(
            stateDirectory: absolute(data), listen: address, socketPath: socket, name: name,
            shim: try shimPath(), tool: tool.map(absolute) ?? "\(Files.parent(of: executable()))/asterism")
        settings.tcpListen = try tcpListen.map { text throws(StartError) in
            guard let address = SocketAddress(text), address.port != 0 else {
                throw StartError("--tcp-listen", "'\(text)' is not IP:PORT or [IPv6]:PORT with a port above 0")
            }
            return address
        }
        guard settings.tcpListen.count <= AgentDaemon.Settings.tcpListenLimit else {
            throw StartError("--tcp-listen", "at most \(AgentDaemon.Settings.tcpListenLimit) addresses")
        }
        settings.site = site
        settings.labels = try label.map { text throws(StartError) in
            guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
                throw StartError("--label", "'\(text)' is not NAME=VALUE")
            }
            return (String(text[..<equals]), String(text[text.index(after: equals)...]))
        }
        settings.stun = try stun.map { text throws(StartError) in
            guard let server = STUNServer(text) else {
                throw StartError("--stun", "'\(text)' is not HOST:PORT, IP:PORT or [IPv6]:PORT")
            }
            return server
        }
        try setOverlay(&settings)
        guard let mode = PortMappingHost.Mode(rawValue: portMapping) else {
            throw StartError("--port-mapping", "'\(portMapping)' is neither auto nor off")
        }
        settings.portMapping = mode
        settings.workersCgroup = try WorkerCgroupChoice(parsing: workersCgroup)
        settings.token = try token()
        settings.accelerators = try source()
        return settings
    }

    private func setOverlay(_ settings: inout AgentDaemon.Settings) throws(StartError) {
        guard let mode = AgentDaemon.OverlayMode(rawValue: overlay) else {
            throw StartError("--overlay", "'\(overlay)' is none of auto, off, required")
        }
        settings.overlay = mode
        guard (1...15).contains(overlayInterface.utf8.count), !overlayInterface.contains("/") else {
            throw StartError("--overlay-interface", "'\(overlayInterface)' is not a name of at most 15 bytes")
        }
        settings.overlayPort.interface = overlayInterface
        guard ["auto", "off"].contains(overlayOffload) else {
            throw StartError("--overlay-offload", "'\(overlayOffload)' is neither auto nor off")
        }
        settings.overlayPort.wantsOffload = overlayOffload == "auto"
        let most = OverlayPort.Settings.mostThreads
        guard dataPlaneThreads == 1 || (2...most).contains(dataPlaneThreads) && dataPlaneThreads % 2 == 0 else {
            throw StartError(
                "--data-plane-threads", "\(dataPlaneThreads) is neither 1 nor an even number up to \(most)")
        }
        settings.overlayPort.threads = dataPlaneThreads
        settings.policy = try allow.map { text throws(StartError) in
            do throws(PolicyRuleError) { return try PolicyRule(parsing: text) } catch {
                throw StartError("--allow", "'\(text)': \(error)")
            }
        }
        guard let permission = BenchPermission(rawValue: bench) else {
            throw StartError("--bench", "'\(bench)' is none of auto, allow, off")
        }
        settings.bench = permission
        switch cryptoAccelerate {
        case "auto": CipherAcceleration.current = .auto
        case "off": CipherAcceleration.current = .off
        default: throw StartError("--crypto-accelerate", "'\(cryptoAccelerate)' is neither auto nor off")
        }
        settings.rekeyAfter = debugRekeySeconds.map { .seconds(Int64(max(1, $0))) }
    }

    private func token() throws(StartError) -> String? {
        guard let joinTokenFile else { return joinToken }
        guard joinToken == nil else { throw StartError("--join-token", "not together with --join-token-file") }
        let bytes = try StartError.of("--join-token-file") { () throws(FileError) in try Files.read(joinTokenFile) }
        guard let bytes else { throw StartError("--join-token-file", "\(joinTokenFile): no such file") }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func source() throws(StartError) -> AcceleratorProbe {
        let nvidia = AcceleratorProbe.nvidia()
        switch accelerators {
        case "none": return .none
        case "nvidia": return nvidia
        case "auto": return access(nvidia.command[0], X_OK) == 0 ? nvidia : .none
        default: break
        }
        if accelerators.hasPrefix("exec:") {
            let words = accelerators.dropFirst(5).split(separator: " ").map(String.init)
            guard let program = words.first, program.hasPrefix("/"), access(program, X_OK) == 0 else {
                throw StartError(
                    "--accelerators", "exec: needs the absolute path of a program, not '\(words.first ?? "")'")
            }
            return .exec(command: words)
        }
        if accelerators.hasPrefix("replay:") {
            let path = String(accelerators.dropFirst(7))
            guard access(path, R_OK) == 0 else { throw StartError("--accelerators", "replay: \(path) cannot be read") }
            return .replay(path: path)
        }
        throw StartError("--accelerators", "'\(accelerators)' is none of auto, none, nvidia, exec:COMMAND, replay:FILE")
    }

    private func shimPath() throws(StartError) -> String {
        let path = shim.map(absolute) ?? "\(Files.parent(of: executable()))/asterism-shim"
        guard access(path, X_OK) == 0 else { throw StartError("--shim", "\(path) is not a program") }
        return path
    }
}

private func executable() -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
    return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
}

private func hostName() -> String {
    var buffer = [UInt8](repeating: 0, count: 256)
    _ = buffer.withUnsafeMutableBytes { gethostname($0.baseAddress!, $0.count - 1) }
    return String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
}

private func absolute(_ path: String) -> String {
    guard !path.hasPrefix("/"), let current = getcwd(nil, 0) else { return path }
    defer { free(current) }
    return "\(String(cString: current))/\(path)"
}

AsterismDaemon.main()
