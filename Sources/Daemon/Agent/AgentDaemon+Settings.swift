package import Base
package import Control
package import Health
package import Mesh
import Wire

extension AgentDaemon {
    package struct Settings: Sendable {
        package let stateDirectory: String
        package let listen: SocketAddress
        /// Whether `listen` is configured. Where it is not, and is in use, the agent binds any free port.
        package var isListenFixed = true
        package let socketPath: String
        package var name: String
        package var site = ""
        package var labels: [(name: String, value: String)] = []
        package var token: Token?
        package var workersCgroup = WorkerCgroupChoice.auto
        package let shim: String
        package var accelerators = AcceleratorProbe.none
        package var overlay = OverlayMode.auto
        package var overlayPort = OverlayPort.Settings()
        /// Where this node, as a beacon, accepts connections over TCP.
        package var tcpListen: [SocketAddress] = []
        package static let tcpListenLimit = Limits.tcpPorts
        /// What peers of other applications may reach.
        package var policy: [PolicyRule] = []
        package var bench = BenchPermission.auto
        /// Servers that are asked how this node is seen from outside.
        package var stun: [STUNServer] = []
        package var portMapping = PortMappingHost.Mode.auto
        /// The program `asterism`, which serves peers that measure.
        package let tool: String
        /// The time after which keys are renewed, instead of the protocol's; for tests.
        package var rekeyAfter: Interval?
        /// Whether the name was given, and is not just the host's.
        package var isNameChosen = false
        /// What is added to the machine's wall clock; for tests.
        package var clockOffset = Interval.zero
        /// Whether AES-GCM may use VAES instructions.
        package var acceleratesCiphers = true

        /// How an enrolment token is given.
        package enum Token: Hashable, Sendable {
            /// On the command line, where other users of the machine can see it.
            case text(String)
            /// In a file, which is read once, when the agent has started.
            case file(String)
        }

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
        /// If it is possible.
        case auto
        case off
        /// If it is not possible, the agent does not start.
        case required
    }
}

extension AgentDaemon.Settings {
    /// The configuration that the agent gets at its start.
    func configuration(containment: Containment, hasDataPlane: Bool) -> AgentConfiguration {
        var configuration = AgentConfiguration(
            name: name, version: AsterismVersion.current, containment: containment)
        configuration.mesh.hasDataPlane = hasDataPlane
        configuration.tcpPorts = tcpListen.map(\.port)
        configuration.mesh.policy = policy
        configuration.bench = bench
        if let interval = rekeyAfter { configuration.mesh.rekeyAfter = interval }
        configuration.isNameChosen = isNameChosen
        configuration.site = site
        configuration.labels = sortedLabels
        return configuration
    }

    /// The default name, which is the host's, does not replace the enrolled one.
    var description: NodeDescription {
        NodeDescription(name: isNameChosen ? name : nil, site: site, labels: sortedLabels)
    }

    private var sortedLabels: [Label] { labels.map { Label($0.name, $0.value) }.sorted { $0.name < $1.name } }
}

extension AgentDaemon.Settings.Token {
    /// The join as an input of the agent. A file that is missing or cannot be read does not prevent the agent from running: a
    /// member no longer needs a token. A node that is no member reports the problem and waits for `asterism join`.
    func input() -> AgentInput {
        switch self {
        case .text(let token): return .join(token: token)
        case .file(let path):
            do throws(FileError) {
                guard let bytes = try Files.read(path) else { return .noToken("\(path): no such file") }
                return .join(token: String(decoding: bytes, as: UTF8.self))
            } catch { return .noToken(error.description) }
        }
    }
}
