import Base
import Control
import EventLoop
import Logging
import Mesh
import Noise
import Platform

/// What the agent's machine knows of its own network: its addresses, how NATs show it to others (`NATDiscoveryHost`), and the
/// port that a gateway keeps open for it (`PortMappingHost`). It checks when the kernel reports a change, and reports what
/// has changed.
final class AgentNetwork {
    struct Settings {
        private(set) var portMapping: PortMappingHost.Mode
        private(set) var stun: [STUNServer]
        /// The overlay's interface, whose addresses lead through the mesh.
        private(set) var overlay: String?
        private(set) var pod: MachineNetwork.Pod?
        /// Holds the node's identity, from which the mapping's nonce is derived.
        private(set) var state: StateFolder
    }

    private let loop: Loop
    private let log: Logger
    private let settings: Settings
    private let port: MeshPort
    private let onNews: (AgentInput) -> Void
    private let natDiscovery: NATDiscoveryHost
    private var portMapping: PortMappingHost?
    private var changes: NetworkChanges?
    private var addresses = AddressWatch()

    /// `onNews` gets `.addresses`, `.mapped` and `.mappingsLive`.
    init(
        on loop: Loop, _ settings: Settings, port: MeshPort, log: Logger, onNews: @escaping (AgentInput) -> Void
    ) {
        self.loop = loop
        self.log = log
        self.settings = settings
        self.port = port
        self.onNews = onNews
        natDiscovery = NATDiscoveryHost(on: loop, servers: settings.stun, log: log, overlay: settings.overlay)
        natDiscovery.onLifetime = { onNews(.mappingsLive($0)) }
        portMapping = makePortMapping()
        let me = Weak(self)
        changes = NetworkChanges(on: loop, log: log) { me.object?.look() }
    }

    func close() {
        natDiscovery.close()
        portMapping?.close()
        changes?.close()
    }

    func look() {
        lookAtAddresses()
        portMapping?.look()
    }

    /// The port was opened again. If its number has changed, the gateway maps the new one instead of the old one.
    func portMoved(from before: SocketAddress?) {
        lookAtAddresses()
        guard port.localAddress?.port != before?.port, let old = portMapping else { return }
        old.stop { [weak self] in
            old.close()
            guard let self, self.portMapping === old else { return }
            self.portMapping = self.makePortMapping()
            self.portMapping?.look()
        }
    }

    /// Uses other STUN servers from now on.
    func use(_ servers: [STUNServer]) { natDiscovery.use(servers) }

    /// Deletes the gateway's mapping, if the gateway answers, and then calls back.
    func stop(then: @escaping () -> Void) {
        guard let portMapping else { return then() }
        portMapping.stop { then() }
    }

    private func lookAtAddresses() {
        guard let present = addresses.look(port.localAddress, without: settings.overlay) else { return }
        natDiscovery.begin()
        onNews(.addresses(present))
    }

    /// `nil` where no gateway is to be used.
    private func makePortMapping() -> PortMappingHost? {
        guard settings.portMapping == .auto, let address = port.localAddress else { return nil }
        // Without the identity, the only loss is that an earlier mapping is not reused.
        let identity = settings.state.identityBytes() ?? Entropy.bytes(SecretKey.count)
        let onNews = onNews
        return PortMappingHost(
            on: loop, listening: address, nonce: PortMappingHost.nonce(identity: identity), log: log
        ) { onNews(.mapped($0)) }
    }

    // MARK: - For people

    /// Calls back when the current discovery is over, or when the limit of a person's wait is reached.
    func freshen(then: @escaping () -> Void) { natDiscovery.freshen(then: then) }

    var portMappingView: PortMappingView? { portMapping?.view }

    func complete(_ view: inout NetcheckView) {
        view.add(MachineNetwork.read(pod: settings.pod, overlay: settings.overlay))
        view.add(natDiscovery.report, now: loop.now)
        view.portMapping = portMappingView
    }
}
