import Base
import Control
package import EventLoop
import Glibc
import Health
package import Logging
import Mesh
import Noise
import Platform
import Wire

/// # The agent's shell
///
/// It owns the sockets, the disk and the processes of a node, and decides nothing. Events go into `Agent`, and its outputs
/// are executed in order. `Pump` stands between them.
///
/// ```
///  UDP, timer, shims, probes, CLI ──→ Pump ──→ Agent ──→ Pump ──→ disk, shims, CLI, overlay
///                                                             └─→ datagrams ──→ UDP
/// ```
///
/// This file makes the parts, connects them, and ends them. `AgentDaemon+Actions` executes the agent's outputs,
/// `AgentDaemon+Requests` answers requests that concern only the shell, `AgentDaemon+Settings` holds the configuration. The
/// files of a node are in `StateFolder`.
package final class AgentDaemon {
    let loop: Loop
    /// The settings of the start, with the changes of reloads.
    private var settings: Settings
    let log: Logger
    let state: StateFolder
    let pump: Pump<PumpedAgent>
    private(set) var workers: WorkerHost!
    private(set) var port: MeshPort!
    private(set) var overlay: OverlayPort?
    private(set) var network: AgentNetwork!
    private(set) var benches: BenchHost!
    private(set) var captures: CaptureHost!
    let names: HostNames
    let lines: AgentLog
    private var sampler: HealthSampler!
    private var rpc: RPCServer<AgentRequest, AgentReply>!
    private(set) var calls = PendingCalls<AgentReply>()
    private var signals: ProgramSignals!
    private var wallTimer: Timer!
    private var isStopping = false
    /// Reads the configuration again, and calls `reload` with it.
    package var onReload: (() -> Void)?

    /// Opens the state folder, the port and the socket. Throws an error with a message for a person if one of them cannot be
    /// opened.
    package init(
        _ settings: Settings, on loop: Loop, log: Logger, environment: (String) -> String?
    ) throws(StartError) {
        self.loop = loop
        self.settings = settings
        self.log = log
        names = HostNames(on: loop)
        lines = AgentLog(log, on: loop, names: names)
        state = try StateFolder(settings.stateDirectory)
        let identity = try state.identity()
        let membership = try state.membership()
        let record = try state.record()
        let cgroup = try settings.workersCgroup.find()
        var workerSettings = WorkerHost.Settings(
            stateDirectory: state.path, shim: settings.shim, cgroupRoot: cgroup.root)
        workerSettings.cgroupProblem = cgroup.problem
        let me = Weak<AgentDaemon>()
        let workers: WorkerHost
        do throws(Errno) {
            workers = try WorkerHost(on: loop, workerSettings) { me.object?.happened($0) }
        } catch { throw StartError("--data", "\(state.path)/workers", error) }
        self.workers = workers
        overlay = try OverlayPort.open(settings.overlay, settings.overlayPort, on: loop, log: log)
        let agent = Agent(
            identity: identity, membership: membership, record: record,
            configuration: settings.configuration(containment: workers.containment, hasDataPlane: overlay != nil),
            incarnation: Entropy.word(), seed: Entropy.seed(), now: loop.now,
            wall: Clock.wall() + settings.clockOffset)
        pump = Pump(PumpedAgent(agent), on: loop, "the agent")
        pump.attach(self)
        me.object = self
        try openPort(me)
        try openControl(me, environment)
        openParts(me, environment)
    }

    private func openPort(_ me: Weak<AgentDaemon>) throws(StartError) {
        port = try MeshPort.open(
            on: loop, at: settings.listen, isFixed: settings.isListenFixed, joinsDatagrams: overlay != nil, log: log
        ) { me.object?.received(&$0, from: .socket) }
        do throws(Errno) {
            try overlay?.attach(
                port,
                OverlayPort.Listener(
                    others: { me.object?.received(&$0, from: .overlay) },
                    events: { events in
                        me.object?.pump.turn { $0.agent.learned(events, now: $1, into: &$0.out) }
                    },
                    tooLarge: { me.object?.measure(nil, at: $0) },
                    activity: { activity in
                        me.object?.pump.turn { $0.agent.note(activity, now: $1, into: &$0.out) }
                    },
                    lost: { why in
                        me.object?.log.error(
                            "the overlay carries no packets: \(why); restart the agent to restore it")
                    }))
        } catch { throw StartError("--data-plane-threads", error.message, ExitStatus(error)) }
        do throws(Errno) {
            try port.openStreams(
                on: loop, listen: settings.tcpListen, onReceive: { me.object?.received(&$0, from: .socket) },
                onLost: { me.object?.pump.handle(.connectionLost($0)) })
        } catch { throw StartError.streams(settings.tcpListen, error) }
    }

    private func openControl(_ me: Weak<AgentDaemon>, _ environment: (String) -> String?) throws(StartError) {
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
    }

    private func openParts(_ me: Weak<AgentDaemon>, _ environment: (String) -> String?) {
        wallTimer = Timer(on: loop, "wall clock") { me.object?.everySecond() }
        sampler = HealthSampler(on: loop, settings.accelerators) { me.object?.happened($0) }
        benches = BenchHost(on: loop, program: settings.tool) { me.object?.happened($0) }
        captures = CaptureHost(
            on: loop,
            CaptureHost.Delegate(
                party: { me.object?.pump.core.agent.party(of: $0) ?? CapturedPacket.Party() },
                local: { me.object?.localEnd(toward: $0, by: $1) ?? SocketAddress(.any4, 0) },
                install: { me.object?.overlay?.capture($0) }))
        network = AgentNetwork(
            on: loop,
            AgentNetwork.Settings(
                portMapping: settings.portMapping, stun: settings.stun, overlay: overlay?.interface,
                pod: MachineNetwork.Pod(environment), state: state),
            port: port, log: log
        ) { me.object?.pump.handle($0) }
    }

    // MARK: - Life

    /// Starts: finds running workers, joins, reports. Returns at once; the loop does the rest.
    package func start() {
        if let problem = workers.cgroupProblem {
            log.warning("workers get no cgroups", metadata: ["reason": "\(problem)"])
        }
        let found = workers.adopt().map { Control.AdoptedWorker($0.worker, Control.AdoptedWorker.State($0.state)) }
        if !found.isEmpty { log.info("found traces of workers", metadata: ["count": "\(found.count)"]) }
        pump.handle(.adopted(found))
        wallTimer.arm(every: .seconds(1))
        sampler.start()
        placeOverlay()
        network.look()
        if let token = settings.token {
            if case .text = token {
                log.warning("the token can be seen in the process list; use --join-token-file")
            }
            pump.handle(token.input())
        }
        // An agent without a fleet waits for `asterism join`, and is ready for that.
        signals.ready(pump.core.agent.summary)
        log.info(
            "running",
            metadata: [
                "node": "\(pump.core.agent.nodeID.short)", "name": "\(settings.name)",
                "listen": "\(port.localAddress ?? settings.listen)", "socket": "\(settings.socketPath)",
            ])
    }

    /// Applies what can change at run time: the node's name, site and labels, the policy, and the STUN servers. The rest of
    /// `new` has no effect.
    package func reload(_ new: Settings) {
        let before = settings.description, after = new.description
        (settings.name, settings.isNameChosen) = (new.name, new.isNameChosen)
        (settings.site, settings.labels) = (new.site, new.labels)
        if before != after { pump.handle(.reconfigured(after)) }
        if new.policy != settings.policy {
            settings.policy = new.policy
            pump.turn { $0.agent.setPolicy(new.policy, now: $1, into: &$0.out) }
        }
        if new.stun != settings.stun {
            settings.stun = new.stun
            network.use(new.stun)
        }
    }

    /// The agent was asked to end: workers go on, the fleet is not informed (a restart is not a leave), and the loop ends.
    private func stop() {
        guard !isStopping else { return }
        isStopping = true
        signals.stopping("stopping; workers continue to run")
        let me = Weak(self)
        network.stop { me.object?.pump.handle(.stopping(leave: false)) }
    }

    /// All outputs are done and have left.
    package func ended() {
        log.info("stopped")
        sampler.close()
        benches.close()
        network.close()
        names.close()
        captures.close()
        overlay?.close()
        rpc.close()
        port.close()
        workers.close()
        wallTimer.close()
        signals.close()
        loop.stop()
    }

    private func everySecond() {
        overlay?.report()
        pump.handle(.clock(Clock.wall() + settings.clockOffset))
        showStatus()
    }

    /// What `systemctl status` shows.
    func showStatus() { signals.status(pump.core.agent.summary) }

    // MARK: - What comes in

    /// Which part has read a datagram.
    private enum Reader {
        case socket
        /// It shows its datagrams to a capture itself.
        case overlay
    }

    /// The entry: every datagram for the agent comes in here. Packets of the overlay do not; they stay in the data plane.
    private func received(_ batch: inout DatagramBatch, from reader: Reader) {
        if reader == .socket { captures.tap?.outer(&batch, isOutward: false) }
        pump.received(&batch)
    }

    private func asked(_ request: AgentRequest, _ answer: @escaping PendingCalls<AgentReply>.Answer) {
        guard !answered(request, answer) else { return }
        let id = calls.add(answer)
        // A caller that computes differences needs the counts of this moment and not of the last second. Threads answer
        // later, so with threads the counts are those of the last second.
        if request == .peersList { overlay?.report() }
        guard request == .netcheck else { return pump.handle(.request(id, request)) }
        let me = Weak(self)
        network.freshen { me.object?.pump.handle(.request(id, request)) }
    }

    private func happened(_ reading: HealthSampler.Reading) {
        switch reading {
        case .host(let status): pump.handle(.host(status))
        case .accelerators(let devices): pump.handle(.accelerators(devices))
        case .trouble(let text): log.warning("accelerators cannot be read", metadata: ["reason": "\(text)"])
        }
    }

    private func happened(_ event: BenchHost.Event) {
        lines.report(event)
        switch event {
        case .serving(let number, let tcpPort, let udpPort, let token):
            pump.handle(.benchServing(number, tcpPort: tcpPort, udpPort: udpPort, token: token))
        case .ended(let number, _): pump.handle(.benchEnded(number))
        }
    }

    private func happened(_ event: WorkerEvent) {
        lines.report(event)
        switch event {
        case .started(let worker, let start):
            pump.handle(.launched(worker, pid: start.pid, startedAt: start.at, containment: start.containment))
        case .launchFailed(let worker, let problem): pump.handle(.launchFailed(worker, problem))
        case .stuck(let worker, _): pump.handle(.stillThere(worker))
        case .exited(let worker, let end): pump.handle(.exited(worker, end.exit, logBytes: end.logBytes))
        case .lost(let worker, let at): pump.handle(.lost(worker, at: at))
        }
    }

    /// Removes a call's answer from the table.
    func removeCall(_ id: RequestID) -> PendingCalls<AgentReply>.Answer? { calls.remove(id) }
}
