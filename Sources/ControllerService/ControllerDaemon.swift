package import Base
package import Control
package import Daemon
package import EventLoop
import Glibc
package import Logging
package import Mesh
import Noise
import Platform
import Wire

/// # The controller's shell
///
/// It owns the clock, the entropy, the sockets and the database, and decides nothing. Inputs go into `Controller`, and
/// its outputs are performed in order. Changes are durable before the replies and datagrams that follow them leave. So
/// no one learns of a change that a crash could still undo.
///
/// ```
///  UDP, timer, HTTP, local socket ──→ inputs ──→ Controller ──→ changes ──→ SQLite
///                                                         ├──→ replies ──→ HTTP, local socket
///                                                         └──→ datagrams ──→ UDP
/// ```
package final class ControllerDaemon {
    private typealias RPC = RPCServer<ControllerRequest, ControllerReply>

    private let loop: Loop
    /// As at the start, except for what a reload has changed.
    private var settings: Settings
    private let log: Logger
    private let store: Store
    private let port: MeshPort
    private let pump: Pump<PumpedController>
    private var operatorLog: OperatorLog
    /// The log of refused nodes. It has its own rate limit, so that refusals do not hide other events.
    private var refusalLog: OperatorLog
    private var network: NetworkChanges?
    private var calls = PendingCalls<ControllerReply>()
    private var rpc: RPC!
    private var http: HTTPServer?
    private var signals: ProgramSignals!
    private var wallTimer: Timer!
    private var ending: Timer?
    private var isStopping = false
    /// Reads the configuration again, and calls `reload` with it.
    package var onReload: (() -> Void)?

    /// Opens the data directory, the ports and the socket. Throws the reason as a text for people where one of them
    /// cannot be opened.
    package init(
        _ settings: Settings, on loop: Loop, log: Logger, environment: (String) -> String?
    ) throws(StartError) {
        self.loop = loop
        self.settings = settings
        self.log = log
        // Settings that are wrong for any stored state are refused before a folder is made.
        _ = try ControllerDaemon.overlayNetwork(settings, kept: StoredCounters())
        do throws(StoreError) { store = try Store(directory: settings.dataDirectory) } catch {
            throw StartError("--data", error.description, error.status)
        }
        let me = Weak<ControllerDaemon>()
        do throws(Errno) {
            port = try MeshPort(on: loop, bind: settings.listen) { me.object?.received(&$0) }
        } catch { throw StartError.port(.udp, "--listen", settings.listen, error) }
        let listening = port.localAddress ?? settings.listen
        operatorLog = OperatorLog(log, on: loop)
        refusalLog = OperatorLog(log, on: loop, burst: 20, perSecond: 1)
        do throws(Errno) {
            try port.openStreams(
                on: loop, listen: settings.tcpListen ?? [listening], onReceive: { me.object?.received(&$0) },
                onLost: { _ in })
        } catch {
            let problem = StartError.streams(settings.tcpListen ?? [listening], error)
            guard settings.tcpListen == nil else { throw problem }
            log.warning("not reachable over TCP", metadata: ["reason": "\(problem.message)"])
        }
        var own = ControllerSettings(name: settings.name, addresses: settings.advertised)
        own.names = settings.advertisedNames
        own.isRelay = settings.isRelay
        for address in port.streamAddresses where !own.tcpPorts.contains(address.port) {
            own.tcpPorts.append(address.port)
        }
        let controller = try ControllerDaemon.restore(store, settings, own, now: loop.now)
        pump = Pump(PumpedController(controller), on: loop, "the controller")
        pump.attach(self)
        me.object = self
        try open(me, environment)
    }

    private func open(
        _ me: Weak<ControllerDaemon>, _ environment: (String) -> String?
    ) throws(StartError) {
        do throws(FileError) { try Files.makeDirectory(Files.parent(of: settings.socketPath), mode: 0o755) } catch {
            throw StartError("--socket", error.description, ExitStatus(error.reason))
        }
        do throws(Errno) {
            rpc = try RPC(on: loop, path: settings.socketPath) { me.object?.asked($0, $1) }
        } catch { throw StartError("--socket", settings.socketPath, error) }
        if let endpoint = settings.http {
            if case .unix(let path) = endpoint {
                try StartError.of("--http") { () throws(FileError) in
                    try Files.makeDirectory(Files.parent(of: path), mode: 0o755)
                }
            }
            let api = HTTPAPI(names: [settings.name]) { me.object?.asked($0, $1) }
            do throws(Errno) {
                http = try HTTPServer(
                    on: loop, at: endpoint, tooLarge: HTTPAPI.tooLarge, unanswered: HTTPAPI.unanswered
                ) { api.handle($0, answer: $1) }
            } catch {
                switch endpoint {
                case .tcp(let address): throw StartError.port(.tcp, "--http", address, error)
                case .unix(let path): throw StartError("--http", path, error)
                }
            }
        }
        do throws(Errno) {
            signals = try ProgramSignals(
                on: loop, environment: environment, onStop: { me.object?.stop() },
                onReload: { me.object?.onReload?() })
        } catch { throw StartError("signals", error.message, ExitStatus(error)) }
        wallTimer = Timer(on: loop, "wall clock") { me.object?.everySecond() }
        network = NetworkChanges(on: loop, log: log) { me.object?.lookAtNetwork() }
    }

    package var nodeID: NodeID { pump.core.controller.nodeID }
    package var httpEndpoint: HTTPEndpoint? { http?.localEndpoint }

    /// Begins to serve. Returns at once; the loop does the rest.
    package func start() {
        wallTimer.arm(every: .seconds(1))
        pump.handle(.clock(Clock.wall() + settings.clockOffset))
        lookAtNetwork()
        let places = [
            "node": "\(nodeID.short)", "name": settings.name,
            "listen": "\(port.localAddress ?? settings.listen)",
            "tcp": port.streamAddresses.map(\.description).joined(separator: " "),
            "http": httpEndpoint.map { "\($0)" } ?? "off",
            "socket": settings.socketPath,
        ]
        if case .tcp(let address)? = httpEndpoint {
            log.warning(
                "anyone who can connect to the HTTP address runs commands as root on every node",
                metadata: ["http": "\(address)"])
        }
        log.info("running", metadata: places.mapValues { "\($0)" })
        signals.ready(pump.core.controller.summary)
        warnOfNoAddress()
    }

    /// Applies what can change at run time: what goes into tokens. The rest of `new` has no effect.
    package func reload(_ new: Settings) {
        guard new.advertised != settings.advertised || new.advertisedNames != settings.advertisedNames else { return }
        (settings.advertised, settings.advertisedNames) = (new.advertised, new.advertisedNames)
        pump.handle(.names(new.advertisedNames))
        pump.handle(.addresses(new.advertised))
        lookAtNetwork()
        warnOfNoAddress()
    }

    /// Asked to end: workers and agents continue without the controller.
    package func stop() {
        guard !isStopping else { return }
        isStopping = true
        signals.stopping("stopping; workers continue to run")
        pump.handle(.stopping)
        // Not now: this may be called from within a request or a signal.
        ending = Timer(on: loop, "the end") { [weak self] in self?.pump.end() }
        ending?.arm(at: loop.now)
    }

    /// Everything has been sent.
    package func ended() {
        rpc.close()
        http?.close()
        port.close()
        network?.close()
        wallTimer.close()
        signals.close()
        ending?.close()
        calls.removeAll()
        do throws(StoreError) { try store.close() } catch {
            log.error("the database did not close", metadata: ["reason": "\(error)"])
        }
        log.info("stopped")
        loop.stop()
    }

    // MARK: - Where it is

    /// Where agents reach it: the configured addresses, else those of this machine. Overlay addresses of an agent on this
    /// machine are left out: a node that is not a member cannot reach them.
    private func lookAtNetwork() {
        guard settings.advertised.isEmpty, settings.advertisedNames.isEmpty, let listening = port.localAddress else {
            return
        }
        pump.handle(.addresses(LocalAddresses.reachable(listening, overlay: pump.core.controller.overlayNetworks)))
    }

    private func warnOfNoAddress() {
        guard pump.core.controller.isNowhere else { return }
        operatorLog.write(
            .warning, "no address of this machine can be given to nodes: no token can be made; see --advertise")
    }

    private func everySecond() {
        pump.handle(.clock(Clock.wall() + settings.clockOffset))
        signals.status(pump.core.controller.summary)
    }

    /// What happened in the fleet, once it is on the disk.
    private func log(_ event: EventView) {
        var metadata: [String: String] = [:]
        if let name = event.nodeName { metadata["node"] = name }
        if let worker = event.worker { metadata["worker"] = worker }
        let line = "\(event.kind.title): \(event.message)"
        if event.kind == .nodeRefused {
            refusalLog.write(event.kind.level, line, metadata)
        } else {
            operatorLog.write(event.kind.level, line, metadata)
        }
    }

    // MARK: - What comes in

    /// The inward door: every datagram for the controller comes in here.
    private func received(_ batch: inout DatagramBatch) { pump.received(&batch) }

    // MARK: - What people ask

    private func asked(_ request: ControllerRequest, _ answer: @escaping RPC.Answer) {
        guard !isStopping else { return answer(.failure(APIError(.unavailable, "the controller is stopping"))) }
        pump.handle(.request(calls.add(answer), request))
    }

    private func withShellFacts(_ reply: ControllerReply) -> ControllerReply {
        guard case .status(var view) = reply else { return reply }
        view.cryptography = CipherAcceleration.describe()
        view.counters.add(port.counters)
        view.counters.add(pump.counters)
        if let http = http?.counters {
            view.counters.add([
                ("http.connections", http.connections), ("http.requests", http.requests),
                ("http.tooLarge", http.tooLarge), ("http.slow", http.slow), ("http.unanswered", http.unanswered),
            ])
        }
        return .status(view)
    }
}

// MARK: - What comes out

extension ControllerDaemon: PumpShell {
    /// Nothing may depend on what is not on the disk, so a disk that cannot be written ends the program. After the next
    /// start the earlier state is there.
    package func store(_ change: [StoreChange], durable: @escaping () -> Void) {
        do throws(StoreError) { try store.apply(change) } catch {
            log.critical("cannot keep state", metadata: ["reason": "\(error)"])
            // Nothing is cleaned up, as with kill -9.
            _exit(ExitStatus.unavailable.rawValue)
        }
        durable()
    }

    package func stored(_ change: [StoreChange]) {
        for case .event(let event) in change { log(event) }
    }

    package func perform(_ action: ControllerAction) {
        switch action {
        // Changes, which went to `store`.
        case .persist: break
        case .reply(let id, let result): calls.remove(id)?(result.map(withShellFacts))
        }
    }

    /// A controller has one socket and no data plane.
    package func send(_ mesh: inout MeshOutbox) {
        port.send(&mesh.datagrams)
        mesh.closedSockets.removeAll()
        mesh.dataPlane.removeAll()
    }
}
