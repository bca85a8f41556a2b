package import Base
import Control
package import Daemon
package import EventLoop
import Glibc
package import Logging
import Mesh
import Noise
import Platform
import Wire

/// # The controller's shell
///
/// It owns the clock, the entropy, the sockets and the database, and decides nothing: what happens goes into
/// `Controller`, and what comes out is done, in order. Changes are durable before the replies and datagrams that follow
/// them leave, so nobody hears of what a crash could still undo.
///
/// ```
///  UDP, timer, HTTP, local socket ──→ inputs ──→ Controller ──→ changes ──→ SQLite
///                                                         ├──→ replies ──→ HTTP, local socket
///                                                         └──→ datagrams ──→ UDP
/// ```
package final class ControllerDaemon {
    package struct Settings: Sendable {
        package var dataDirectory: String
        package var listen: SocketAddress
        /// Where datagrams are taken over TCP; `nil`: where it listens, if that can be had.
        package var tcpListen: [SocketAddress]?
        package static let tcpListenLimit = Limits.tcpPorts
        /// Where agents reach this controller; goes into tokens. Empty: where it listens.
        package var advertised: [SocketAddress] = []
        /// `nil`: no HTTP.
        package var http: HTTPEndpoint?
        package var socketPath: String
        package var name: String
        /// Where overlay addresses are from; `nil`: from where they are, or the default.
        package var overlayNetwork: IPPrefix?
        /// Whether it carries datagrams for nodes, as beacons do.
        package var isRelay = true
        /// Host names that agents resolve to reach this controller; they go into tokens.
        package var advertisedNames: [HostPort] = []
        /// What is added to the machine's wall clock; for tests.
        package var clockOffset = Interval.zero
        /// Begin a new fleet where the database is empty or lost.
        package var isNewFleet = false

        package static let overlayNetworkDefault = OverlayPool.defaultNetwork
        /// As many as a token holds.
        package static let advertisedLimit = Limits.addressesPerPeer
        package static let advertisedNamesLimit = Limits.namesPerController

        /// Whether agents could know the controller by this name.
        package static func isName(_ name: String) -> Bool { WorkerSpec.isName(name) }

        package init(dataDirectory: String, listen: SocketAddress, socketPath: String, name: String) {
            self.dataDirectory = dataDirectory
            self.listen = listen
            self.socketPath = socketPath
            self.name = name
        }
    }

    private typealias RPC = RPCServer<ControllerRequest, ControllerReply>

    private let loop: Loop
    /// As at the start, but for what a reload has changed.
    private var settings: Settings
    private let log: Logger
    private let store: Store
    private let port: MeshPort
    private var controller: Controller
    private var out = ControllerOutbox()
    /// What came in while actions were being done.
    private var inputs: [ControllerInput] = []
    private var isPumping = false
    private var operatorLog: OperatorLog
    /// What nodes bring about that are refused, lest they hide what others do.
    private var refusalLog: OperatorLog
    private var network: NetworkChanges?
    private var shownStatus = ""
    private var answers: [RequestID: RPC.Answer] = [:]
    private var nextRequest: UInt64 = 1
    private var rpc: RPC!
    private var http: HTTPServer?
    private var signals: ProgramSignals!
    private var timer: Timer!
    private var wallTimer: Timer!
    private var ending: Timer?
    private var isStopping = false
    /// Reads the configuration again, and calls `reload` with it.
    package var onReload: (() -> Void)?

    /// Takes the data directory, the ports and the socket. Throws what stands in the way, in words for a person.
    package init(
        _ settings: Settings, on loop: Loop, log: Logger, environment: (String) -> String?
    ) throws(StartError) {
        self.loop = loop
        self.settings = settings
        self.log = log
        // What makes no sense whatever is kept is said before a folder is made.
        _ = try ControllerDaemon.overlayNetwork(settings, kept: StoredCounters())
        do throws(StoreError) { store = try Store(directory: settings.dataDirectory) } catch {
            throw StartError("--data", error.description, error.status)
        }
        let me = Weak<ControllerDaemon>()
        do throws(Errno) {
            port = try MeshPort(on: loop, bind: settings.listen) { batch in
                me.object?.pump { $0.received(&batch, now: $1, into: &$2) }
            }
        } catch { throw StartError.port(.udp, "--listen", settings.listen, error) }
        let listening = port.localAddress ?? settings.listen
        operatorLog = OperatorLog(log, on: loop)
        refusalLog = OperatorLog(log, on: loop, burst: 20, perSecond: 1)
        do throws(Errno) {
            try port.openStreams(
                on: loop, listen: settings.tcpListen ?? [listening],
                onReceive: { batch in me.object?.pump { $0.received(&batch, now: $1, into: &$2) } }, onLost: { _ in })
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
        controller = try ControllerDaemon.restore(store, settings, own, now: loop.now)
        me.object = self
        try open(me, environment)
    }

    /// Makes the database of a new fleet where the one of the old fleet is empty or lost, and nothing else: the service is
    /// started as usual afterwards. What is left of the old fleet is renamed.
    package static func makeFleet(_ settings: Settings, log: Logger) throws(StartError) {
        do throws(StoreError) {
            let store = try Store(directory: settings.dataDirectory, isNewFleet: true)
            for path in store.renamed { log.warning("renamed a file of the old fleet", metadata: ["path": "\(path)"]) }
            let fleet = try load(store).0.fleet
            try store.close()
            log.notice("a new fleet is made; start the controller", metadata: ["fleet": "\(fleet.hex)"])
        } catch { throw StartError("--data", error.description, error.status) }
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
        timer = Timer(on: loop, "the controller's deadline") { me.object?.pump { $0.tick(now: $1, into: &$2) } }
        wallTimer = Timer(on: loop, "wall clock") { me.object?.everySecond() }
        network = NetworkChanges(on: loop, log: log) { me.object?.lookAtNetwork() }
    }

    package var nodeID: NodeID { controller.nodeID }
    package var meshAddress: SocketAddress? { port.localAddress }
    package var httpEndpoint: HTTPEndpoint? { http?.localEndpoint }

    /// Begins to serve. Returns at once; the loop does the rest.
    package func start() {
        wallTimer.arm(every: .seconds(1))
        handle(.clock(Clock.wall() + settings.clockOffset))
        lookAtNetwork()
        let places = [
            "node": "\(controller.nodeID.short)", "name": settings.name,
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
        shownStatus = controller.summary
        signals.ready(shownStatus)
        warnOfNoAddress()
    }

    /// Applies what can change at run time: what goes into tokens. The rest of `new` has no effect.
    package func reload(_ new: Settings) {
        guard new.advertised != settings.advertised || new.advertisedNames != settings.advertisedNames else { return }
        (settings.advertised, settings.advertisedNames) = (new.advertised, new.advertisedNames)
        handle(.names(new.advertisedNames))
        handle(.addresses(new.advertised))
        lookAtNetwork()
        warnOfNoAddress()
    }

    /// Asked to end: workers and agents go on without the controller.
    package func stop() {
        guard !isStopping else { return }
        isStopping = true
        signals.stopping("stopping; workers go on")
        handle(.stopping)
        // Not now: this may be called from within a request or a signal.
        ending = Timer(on: loop, "the end") { [weak self] in self?.close() }
        ending?.arm(at: loop.now)
    }

    private func close() {
        rpc.close()
        http?.close()
        port.close()
        network?.close()
        timer.close()
        wallTimer.close()
        signals.close()
        ending?.close()
        answers = [:]
        do throws(StoreError) { try store.close() } catch {
            log.error("the database did not close", metadata: ["reason": "\(error)"])
        }
        log.info("stopped")
        loop.stop()
    }

    // MARK: - Where it is

    /// Where agents reach it: what it was told to advertise, else the addresses of this machine, without those that the
    /// overlay has given to an agent here: a node that is no member cannot reach them.
    private func lookAtNetwork() {
        guard settings.advertised.isEmpty, settings.advertisedNames.isEmpty, let listening = port.localAddress else {
            return
        }
        handle(.addresses(LocalAddresses.reachable(listening, overlay: controller.overlayNetworks)))
    }

    private func warnOfNoAddress() {
        guard controller.isNowhere else { return }
        operatorLog.write(
            .warning, "no address of this machine can be given to nodes: no token can be made; see --advertise")
    }

    private func everySecond() {
        handle(.clock(Clock.wall() + settings.clockOffset))
        let summary = controller.summary
        guard summary != shownStatus else { return }
        shownStatus = summary
        signals.status(summary)
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

    // MARK: - The pump

    private func handle(_ input: ControllerInput) {
        inputs.append(input)
        pump { _, _, _ in }
    }

    /// Feeds the controller, and does what it says, until there is nothing more to do.
    private func pump(_ body: (inout Controller, Instant, inout ControllerOutbox) -> Void) {
        guard !isPumping else { return }
        isPumping = true
        body(&controller, loop.now, &out)
        flush()
        while !inputs.isEmpty {
            let input = inputs.removeFirst()
            controller.handle(input, now: loop.now, into: &out)
            flush()
        }
        isPumping = false
        if let deadline = controller.deadline { timer.arm(at: deadline.at) } else { timer.cancel() }
    }

    /// All changes of one turn are one transaction, and one flush of the disk; then come the replies, then the datagrams.
    /// With a flush for each, a fleet that comes and goes would wait for the disk, and answer heartbeats late, which
    /// makes nodes suspect, which is another change.
    private func flush() {
        let actions = out.actions
        out.actions.removeAll(keepingCapacity: true)
        var changes: [StoreChange] = []
        for case .persist(let more) in actions { changes += more }
        if !changes.isEmpty {
            persist(changes)
            for case .event(let event) in changes { log(event) }
        }
        for case .reply(let id, let result) in actions { answers.removeValue(forKey: id)?(result.map(withShellFacts)) }
        port.send(&out.mesh.datagrams)
    }

    /// Nothing may be built on what is not on the disk, so a disk that takes nothing ends the program; whoever starts it
    /// again finds the state of before.
    private func persist(_ changes: [StoreChange]) {
        do throws(StoreError) { try store.apply(changes) } catch {
            log.critical("cannot keep state", metadata: ["reason": "\(error)"])
            // Nothing is tidied up, as with kill -9.
            _exit(ExitStatus.unavailable.rawValue)
        }
    }

    // MARK: - What people ask

    private func asked(_ request: ControllerRequest, _ answer: @escaping RPC.Answer) {
        guard !isStopping else { return answer(.failure(APIError(.unavailable, "the controller is stopping"))) }
        let id = RequestID(nextRequest)
        nextRequest += 1
        answers[id] = answer
        handle(.request(id, request))
    }

    private func withShellFacts(_ reply: ControllerReply) -> ControllerReply {
        guard case .status(var view) = reply else { return reply }
        view.cryptography = CipherAcceleration.describe()
        view.counters.add(port.counters)
        if let http = http?.counters {
            view.counters.add([
                ("http.connections", http.connections), ("http.requests", http.requests),
                ("http.tooLarge", http.tooLarge), ("http.slow", http.slow), ("http.unanswered", http.unanswered),
            ])
        }
        return .status(view)
    }

    // MARK: - The database

    /// The controller as it was left; at the first start, that of a new fleet.
    private static func restore(
        _ store: Store, _ settings: Settings, _ own: consuming ControllerSettings, now: Instant
    ) throws(StartError) -> Controller {
        let secrets: StoredSecrets, state: StoredState
        do throws(StoreError) { (secrets, state) = try load(store) } catch {
            throw StartError("--data", error.description, error.status)
        }
        own.overlayNetwork = try overlayNetwork(settings, kept: state.counters)
        // The store gives 32 bytes each, and these make keys.
        return Controller(
            identity: Identity(SecretKey(secrets.identity)!),
            authority: Authority(fleet: secrets.fleet, key: SigningKey(secrets.authority)!), settings: own,
            stored: state, incarnation: Entropy.word(), seed: Entropy.seed(), now: now,
            wall: Clock.wall() + settings.clockOffset)
    }

    private static func overlayNetwork(
        _ settings: Settings, kept: StoredCounters
    ) throws(StartError) -> IPPrefix {
        do throws(OverlayPool.Fault) {
            return try OverlayPool.network(asked: settings.overlayNetwork, kept: kept)
        } catch { throw StartError("--overlay-network", error.description) }
    }

    /// Whether a network can be the overlay's at all; without a look at what is kept.
    package static func checkOverlayNetwork(_ network: IPPrefix) throws(StartError) {
        do throws(OverlayPool.Fault) {
            _ = try OverlayPool.network(asked: network, kept: StoredCounters())
        } catch { throw StartError("--overlay-network", error.description) }
    }

    private static func load(_ store: Store) throws(StoreError) -> (StoredSecrets, StoredState) {
        let secrets: StoredSecrets
        if let known = try store.secrets() {
            secrets = known
        } else {
            secrets = StoredSecrets(
                fleet: FleetID(Entropy.word(), Entropy.word()), authority: Entropy.bytes(SigningKey.count),
                identity: Entropy.bytes(SecretKey.count))
            try store.found(secrets)
        }
        try store.mark(secrets.fleet)
        return (secrets, try store.load())
    }
}
