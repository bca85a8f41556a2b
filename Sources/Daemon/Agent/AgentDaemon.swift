package import Base
package import Control
package import EventLoop
import Glibc
package import Health
package import Logging
package import Mesh
import Noise
import Platform
import Wire

/// # The agent's shell
///
/// It owns the only clock, the only entropy, the sockets, the disk and the processes of a node, and decides nothing: what
/// happens goes into `Agent`, and what comes out is done, in order. Actions are done before datagrams are sent, so that
/// nobody hears of what a crash could still undo.
///
/// ```
///  UDP, timer, shims, probes, CLI ──→ inputs ──→ Agent ──→ actions ──→ disk, shims, CLI
///                                                      └─→ datagrams ──→ UDP
/// ```
///
/// The state folder:
///
/// ```
/// lock          one agent a folder
/// identity      the node's secret key, 32 bytes
/// membership    the certificate, the authorities, the controllers
/// workers.state what should run, and how what ran has ended
/// workers/      a folder for each generation (ShimProtocol/GenerationDirectory.swift)
/// ```
package final class AgentDaemon {
    package struct Settings: Sendable {
        package var stateDirectory: String
        package var listen: SocketAddress
        /// Whether `listen` is configured. Where it is not, and is in use, the agent binds any free port.
        package var isListenFixed = true
        package var socketPath: String
        package var name: String
        package var site = ""
        package var labels: [(name: String, value: String)] = []
        package var token: Token?
        package var workersCgroup = WorkerCgroupChoice.auto
        package var shim: String
        package var accelerators = AcceleratorProbe.none
        package var overlay = OverlayMode.auto
        package var overlayPort = OverlayPort.Settings()
        /// Where connections over TCP are taken, as a beacon.
        package var tcpListen: [SocketAddress] = []
        package static let tcpListenLimit = Limits.tcpPorts
        /// What peers of other applications may reach.
        package var policy: [PolicyRule] = []
        package var bench = BenchPermission.auto
        /// Servers that are asked how this node is seen from outside.
        package var stun: [STUNServer] = []
        package var portMapping = PortMappingHost.Mode.auto
        /// The program `asterism`, which serves peers that measure.
        package var tool: String
        /// New keys after this time instead of the protocol's; for tests.
        package var rekeyAfter: Interval?
        /// Whether the name was given, and is not just the host's.
        package var isNameChosen = false
        /// What is added to the machine's wall clock; for tests.
        package var clockOffset = Interval.zero
        /// Whether AES-GCM may use VAES instructions.
        package var acceleratesCiphers = true

        package init(
            stateDirectory: String, listen: SocketAddress, socketPath: String, name: String, shim: String, tool: String
        ) {
            self.stateDirectory = stateDirectory
            self.listen = listen
            self.socketPath = socketPath
            self.name = name
            self.shim = shim
            self.tool = tool
        }
    }

    /// Whether programs of this node get a network interface of the overlay.
    package enum OverlayMode: String, Hashable, Sendable, CaseIterable {
        /// If it can be had.
        case auto
        case off
        /// Or the agent does not start.
        case required
    }

    let loop: Loop
    /// As at the start, but for what a reload has changed.
    var settings: Settings
    let log: Logger
    private let lock: FileDescriptor
    var agent: Agent
    private var out = AgentOutbox()
    /// What happened while actions were being done.
    private var inputs: [AgentInput] = []
    private var isPumping = false
    private var host: WorkerHost!
    var port: MeshPort!
    private var timer: Timer!
    private var wallTimer: Timer!
    private var reportTimer: Timer!
    private var rpc: RPCServer<AgentRequest, AgentReply>!
    private var sampler: HealthSampler!
    var overlay: OverlayPort?
    private var benches: BenchHost!
    var surveys: SurveyHost!
    let pod: MachineNetwork.Pod?
    var portMapping: PortMappingHost?
    var captures: CaptureHost!
    /// Ways of which the kernel is to be asked.
    private var unmeasured: [(peer: Int?, remote: SocketAddress)] = []
    var signals: ProgramSignals!
    var operatorLog: OperatorLog
    let hostNames: HostNames
    /// What systemd was told last.
    var shownStatus = ""
    var watch = AddressWatch()
    private var network: NetworkChanges!
    private var answers: [RequestID: RPCServer<AgentRequest, AgentReply>.Answer] = [:]
    private var nextRequest: UInt64 = 1
    private var isStopping = false
    /// All is said; what was said leaves first.
    private var isDone = false
    /// Reads the configuration again, and calls `reload` with it.
    package var onReload: (() -> Void)?

    /// Takes the state folder, the port and the socket. Throws what stands in the way, in words for a person.
    package init(
        _ settings: Settings, on loop: Loop, log: Logger, environment: (String) -> String?
    ) throws(StartError) {
        self.loop = loop
        self.settings = settings
        self.log = log
        pod = MachineNetwork.Pod(environment)
        operatorLog = OperatorLog(log, on: loop)
        hostNames = HostNames(on: loop)
        let state = settings.stateDirectory
        lock = try StartError.of("--data") { () throws(FileError) in
            try Files.makeDirectory(state, mode: 0o711)
            return try Files.lock("\(state)/lock")
        }
        let identity = try AgentDaemon.identity(in: state)
        let membership = try AgentDaemon.membership(in: state)
        let record = try AgentDaemon.record(in: state)
        let cgroup = try settings.workersCgroup.find()
        var hostSettings = WorkerHost.Settings(stateDirectory: state, shim: settings.shim, cgroupRoot: cgroup.root)
        hostSettings.cgroupProblem = cgroup.problem
        let me = Weak<AgentDaemon>()
        do throws(Errno) {
            host = try WorkerHost(on: loop, hostSettings) { me.object?.happened($0) }
        } catch { throw StartError("--data", "\(state)/workers", error) }
        var configuration = AgentConfiguration(
            name: settings.name, version: AsterismVersion.current, containment: host.containment)
        overlay = try AgentDaemon.overlay(settings, on: loop, log: log)
        configuration.mesh.hasDataPlane = overlay != nil
        configuration.tcpPorts = settings.tcpListen.map(\.port)
        configuration.mesh.policy = settings.policy
        configuration.bench = settings.bench
        if let interval = settings.rekeyAfter { configuration.mesh.rekeyAfter = interval }
        configuration.isNameChosen = settings.isNameChosen
        configuration.site = settings.site
        configuration.labels = settings.labels.map { Label($0.name, $0.value) }.sorted { $0.name < $1.name }
        agent = Agent(
            identity: identity, membership: membership, record: record, configuration: configuration,
            incarnation: Entropy.word(), seed: Entropy.seed(), now: loop.now, wall: Clock.wall() + settings.clockOffset)
        me.object = self
        try open(me, environment)
    }

    private func open(_ me: Weak<AgentDaemon>, _ environment: (String) -> String?) throws(StartError) {
        port = try openPort { batch in me.object?.arrived(&batch) }
        do throws(Errno) {
            try overlay?.attach(
                port,
                OverlayPort.Listener(
                    others: { batch in me.object?.pump { $0.received(&batch, now: $1, into: &$2) } },
                    events: { me.object?.learned($0) }, tooLarge: { me.object?.tooLarge($0) },
                    activity: { activity in me.object?.pump { $0.note(activity, now: $1, into: &$2) } },
                    lost: { why in
                        me.object?.log.error(
                            "the overlay carries no packets: \(why); restart the agent to have it again")
                    }))
        } catch { throw StartError("--data-plane-threads", error.message, ExitStatus(error)) }
        try openStreams(me)
        do throws(FileError) { try Files.makeDirectory(Files.parent(of: settings.socketPath), mode: 0o755) } catch {
            throw StartError("--socket", error.description, ExitStatus(error.reason))
        }
        do throws(Errno) {
            rpc = try RPCServer(on: loop, path: settings.socketPath) { me.object?.asked($0, $1) }
            rpc.mayAsk = AgentDaemon.mayAsk
        } catch { throw StartError("--socket", settings.socketPath, error) }
        do throws(Errno) {
            signals = try ProgramSignals(
                on: loop, environment: environment, onStop: { me.object?.stop() },
                onReload: { me.object?.onReload?() })
        } catch { throw StartError("signals", error.message, ExitStatus(error)) }
        timer = Timer(on: loop, "the agent's deadline") { me.object?.pump { $0.tick(now: $1, into: &$2) } }
        wallTimer = Timer(on: loop, "wall clock") { me.object?.everySecond() }
        reportTimer = Timer(on: loop, "traffic") { me.object?.overlay?.report() }
        sampler = HealthSampler(on: loop, settings.accelerators) { me.object?.sampled($0) }
        benches = BenchHost(on: loop, program: settings.tool) { me.object?.happened($0) }
        captures = makeCaptures()
        surveys = SurveyHost(on: loop, servers: settings.stun, log: log, overlay: overlay?.interface)
        surveys.onLifetime = { me.object?.handle(.mappingsLive($0)) }
        portMapping = makePortMapping()
        network = NetworkChanges(on: loop, log: log) { me.object?.lookAtNetwork() }
    }

    private func openStreams(_ me: Weak<AgentDaemon>) throws(StartError) {
        do throws(Errno) {
            try port.openStreams(
                on: loop, listen: settings.tcpListen,
                onReceive: { batch in me.object?.arrived(&batch) },
                onLost: { me.object?.handle(.connectionLost($0)) })
        } catch { throw StartError.streams(settings.tcpListen, error) }
    }

    /// Begins: looks what runs, joins, reports. Returns at once; the loop does the rest.
    package func start() {
        if let problem = host.cgroupProblem {
            log.warning("workers get no cgroups", metadata: ["reason": "\(problem)"])
        }
        let found = host.adopt().map { Control.AdoptedWorker($0.worker, Control.AdoptedWorker.State($0.state)) }
        if !found.isEmpty { log.info("found traces of workers", metadata: ["count": "\(found.count)"]) }
        handle(.adopted(found))
        wallTimer.arm(every: .seconds(1))
        sampler.start()
        placeOverlay()
        lookAtNetwork()
        useToken()
        // An agent without a fleet waits for `asterism join`, and is ready for that.
        shownStatus = agent.summary
        signals.ready(shownStatus)
        log.info(
            "running",
            metadata: [
                "node": "\(agent.nodeID.short)", "name": "\(settings.name)",
                "listen": "\(port.localAddress ?? settings.listen)", "socket": "\(settings.socketPath)",
            ])
    }

    /// Asked to end: workers go on, the fleet is told nothing (a restart is no leave), and the loop ends.
    private func stop() {
        guard !isStopping else { return }
        isStopping = true
        signals.stopping("stopping; workers go on")
        guard let portMapping else { return handle(.stopping(leave: false)) }
        let me = Weak(self)
        portMapping.stop { me.object?.handle(.stopping(leave: false)) }
    }

    private func close() {
        log.info("stopped")
        sampler.close()
        benches.close()
        surveys.close()
        portMapping?.close()
        network.close()
        hostNames.close()
        captures.close()
        overlay?.close()
        rpc.close()
        port.close()
        host.close()
        timer.close()
        wallTimer.close()
        reportTimer.close()
        signals.close()
        loop.stop()
    }

    // MARK: - The pump

    func handle(_ input: AgentInput) {
        inputs.append(input)
        drain()
    }

    /// Feeds the agent, and does what it says.
    func pump(_ body: (inout Agent, Instant, inout AgentOutbox) -> Void) {
        precondition(!isPumping, "pumping while pumping")
        isPumping = true
        body(&agent, loop.now, &out)
        flush()
        isPumping = false
        drain()
    }

    /// What was put off meanwhile, until there is nothing more to do.
    private func drain() {
        guard !isPumping else { return }
        isPumping = true
        while !inputs.isEmpty || !unmeasured.isEmpty {
            measurePaths()
            guard !inputs.isEmpty else { continue }
            let input = inputs.removeFirst()
            agent.handle(input, now: loop.now, into: &out)
            flush()
        }
        isPumping = false
        if isDone { return close() }
        if let deadline = agent.deadline { timer.arm(at: deadline.at) } else { timer.cancel() }
    }

    private func flush() {
        let actions = out.actions
        out.actions.removeAll(keepingCapacity: true)
        for action in actions { perform(action) }
        // Whoever gets the datagrams may answer with packets, for which the keys must be there.
        if let overlay, !out.mesh.dataPlane.isEmpty {
            let changes = out.mesh.dataPlane
            out.mesh.dataPlane.removeAll()
            overlay.apply(changes)
            for case .measure(let peer, let remote) in changes { unmeasured.append((peer, remote)) }
        }
        captures.tap?.outer(&out.mesh.datagrams, isOutward: true)
        port.send(&out.mesh.datagrams)
        if !out.mesh.closedSockets.isEmpty {
            port.close(out.mesh.closedSockets)
            out.mesh.closedSockets.removeAll()
        }
    }

    private func perform(_ action: AgentAction) {
        switch action {
        case .worker(let action): perform(action)
        case .check(let operation, _, let spec):
            inputs.append(.checked(operation: operation, problems: host.check(spec)))
        case .readLog(let operation, let worker, let offset, let limit):
            let chunk = host.readLog(worker, from: offset, limit: limit)
            inputs.append(
                .logRead(
                    LogRead(
                        operation: operation, worker: worker, offset: chunk.offset, bytes: chunk.bytes,
                        nextOffset: chunk.nextOffset, isAtEnd: chunk.isFinal)))
        case .persistMembership(let bytes):
            persist(bytes, "membership")
            placeOverlay()
        case .reply(let id, let result): answers.removeValue(forKey: id)?(result.map(withShellFacts))
        // A notice says the same.
        case .ready: break
        case .notice(let notice): log(notice)
        case .resolve(let names):
            hostNames.resolve(names) { [weak self] name, addresses in self?.handle(.resolved(name, addresses)) }
        case .stopped: isDone = true
        case .overlayUnreachable(let address, _): overlay?.unreachable(address)
        // Its route has come with it.
        case .overlayReachable: break
        case .benchServe(let service): benches.start(service)
        case .benchEnd(let number): benches.end(number)
        }
    }

    private func perform(_ action: SupervisorAction) {
        switch action {
        case .launch(let worker, let spec):
            log.info("launching", metadata: ["worker": "\(worker)"])
            do throws(SpecProblem) {
                try host.launch(worker, spec, operation: agent.wish(for: worker)?.operation ?? "")
            } catch {
                inputs.append(.launchFailed(worker, error))
            }
        case .signal(let worker, let number):
            host.signal(worker, number, graceSeconds: agent.wish(for: worker)?.spec.stop.graceSeconds)
        case .killTree(let worker): host.killTree(worker)
        case .remove(let worker): host.remove(worker)
        case .persist(let bytes): persist(bytes, "workers.state")
        }
    }

    /// Nothing may be built on what is not on the disk, so a disk that takes nothing ends the process; whoever starts it
    /// again finds the state of before.
    private func persist(_ bytes: [UInt8], _ file: String) {
        do throws(FileError) {
            try Files.write(bytes, to: "\(settings.stateDirectory)/\(file)")
        } catch {
            log.critical("cannot keep state", metadata: ["path": "\(error.path)", "reason": "\(error.reason)"])
            // Nothing is tidied up, as with kill -9.
            _exit(ExitStatus.unavailable.rawValue)
        }
    }

    // MARK: - The overlay

    /// Gives the interface the addresses that this node has now.
    private func placeOverlay() {
        guard let overlay, var place = agent.overlay else { return }
        // The road to the fleet itself may lead through a network of the same addresses.
        if let network = place.network4, let own = LocalAddresses.first(in: network, without: overlay.interface) {
            log.warning(
                "overlay without IPv4: its network is in use here; see asterism-controller --overlay-network",
                metadata: ["network": "\(network)", "address": "\(own)"])
            (place.v4, place.network4) = (nil, nil)
        }
        overlay.configure(place)
        if let problem = overlay.problem { log.warning("overlay", metadata: ["reason": "\(problem)"]) }
    }

    private func learned(_ events: [DataPlaneEvent]) {
        // While packets go out, the agent hears of it more often than once a second.
        if events.contains(.active) { reportTimer.arm(after: DataPlane.reportAfter) }
        pump { $0.learned(events, now: $1, into: &$2) }
    }

    /// A datagram was larger than the way to an address carries.
    private func tooLarge(_ remote: SocketAddress) {
        unmeasured.append((nil, remote))
        drain()
    }

    private func measurePaths() {
        let ways = unmeasured
        unmeasured = []
        for (peer, remote) in ways {
            guard let mtu = pathMTU(to: remote) else { continue }
            agent.measured(peer, at: remote, mtu: mtu, now: loop.now, into: &out)
            flush()
        }
    }

    private func everySecond() {
        overlay?.report()
        handle(.clock(Clock.wall() + settings.clockOffset))
        showStatus()
    }

    private func lookAtNetwork() {
        lookAtAddresses()
        portMapping?.look()
    }

    func lookAtAddresses() {
        guard let present = watch.look(port.localAddress, without: overlay?.interface) else { return }
        surveys.begin()
        handle(.addresses(present))
    }

    // MARK: - What happens

    private func asked(_ request: AgentRequest, _ answer: @escaping RPCServer<AgentRequest, AgentReply>.Answer) {
        guard !answered(request, answer) else { return }
        let id = RequestID(nextRequest)
        nextRequest += 1
        answers[id] = answer
        // Whoever takes differences wants what was carried until now, and not until the last second. Threads answer later,
        // so with them it is the last second after all.
        if request == .peersList { overlay?.report() }
        guard request == .netcheck else { return handle(.request(id, request)) }
        surveys.freshen { [weak self] in self?.handle(.request(id, request)) }
    }

    private func sampled(_ reading: HealthSampler.Reading) {
        switch reading {
        case .host(let status): handle(.host(status))
        case .accelerators(let devices): handle(.accelerators(devices))
        case .trouble(let text): log.warning("accelerators cannot be read", metadata: ["reason": "\(text)"])
        }
    }

    private func happened(_ event: BenchHost.Event) {
        switch event {
        case .serving(let number, let tcpPort, let udpPort, let token):
            log.info("serves a peer that measures", metadata: ["tcp": "\(tcpPort)", "udp": "\(udpPort)"])
            handle(.benchServing(number, tcpPort: tcpPort, udpPort: udpPort, token: token))
        case .ended(let number, let why):
            log.info("measuring is over", metadata: ["reason": "\(why)"])
            handle(.benchEnded(number))
        }
    }

    private func happened(_ event: WorkerEvent) {
        switch event {
        case .started(let worker, let start):
            operatorLog.write(.info, "worker started", ["worker": "\(worker)", "pid": "\(start.pid)"])
            handle(.launched(worker, pid: start.pid, startedAt: start.at, containment: start.containment))
        case .launchFailed(let worker, let problem):
            log.warning("launch failed", metadata: ["worker": "\(worker)", "reason": "\(problem)"])
            handle(.launchFailed(worker, problem))
        case .stuck(let worker, let processes):
            log.warning("worker cannot be killed", metadata: ["worker": "\(worker)", "pids": "\(processes)"])
            handle(.stillThere(worker))
        case .exited(let worker, let end):
            log.info("worker ended", metadata: ["worker": "\(worker)", "exit": "\(end.exit)"])
            handle(.exited(worker, end.exit, logBytes: end.logBytes))
        case .lost(let worker, let at):
            log.warning("worker lost: its shim was killed", metadata: ["worker": "\(worker)"])
            handle(.lost(worker, at: at))
        }
    }
}
