package import Base
package import Wire

/// The state of one program, as it reports it.
package struct StatusView: Hashable, Sendable, Codable {
    package enum Program: String, Hashable, Sendable, Codable, CaseIterable {
        case agent, controller
    }
    package enum Phase: String, Hashable, Sendable, Codable, CaseIterable {
        /// An agent's.
        case unenrolled, enrolling, member
        /// A controller's.
        case serving
    }
    package struct NodeCounts: Hashable, Sendable, Codable {
        package private(set) var online = 0
        package private(set) var suspect = 0
        package private(set) var offline = 0
        package private(set) var left = 0
        package private(set) var unknown = 0

        package init(counting states: some Sequence<NodeState>) {
            for state in states {
                switch state {
                case .online: online += 1
                case .suspect: suspect += 1
                case .offline: offline += 1
                case .left: left += 1
                case .unknown: unknown += 1
                }
            }
        }
    }
    package let program: Program
    package let version: String
    package let node: NodeID
    package let name: String?
    /// 32 hexadecimal digits; absent where the node belongs to no fleet yet.
    package let fleet: String?
    package let phase: Phase
    package let incarnation: UInt64
    package let startedAt: UnixTime
    package let certificateExpiresAt: UnixTime?
    package let overlay4: IPAddress?
    package let overlay6: IPAddress?
    /// The implementation of AES-GCM in this process: `VAES`, or `libsodium` with the reason.
    package var cryptography: String?
    /// An agent's, unless it is configured to request none.
    package var portMapping: PortMappingView?
    /// An agent's controllers.
    package let controllers: [ControllerPeerView]?
    /// An agent's: why its last token was refused, or has not led to a fleet yet.
    package var joinProblem: String?
    /// An agent's: since when the controller does not answer; absent while it does.
    package let controllerLostAt: UnixTime?
    /// An agent's: why the controller does not accept its name, site or labels.
    package var descriptionProblem: String?
    /// An agent's: what its own clock shows, and the controller's; absent until they were compared.
    package let clock: ClockView?
    /// A controller's: nodes whose clocks differ from its own by more than a minute, at most 20.
    package let nodeClocks: [NodeClockView]?
    package var revision: UInt64?
    package var workersActive: Int?
    package var workersTotal: Int?
    package let containment: Containment?
    package var verdict: Verdict?
    /// A controller's fleet.
    package let nodes: NodeCounts?
    /// Counts of successes and failures, by reason, since the program's start.
    package var counters: [CounterView]

    package init(
        program: Program, version: String, node: NodeID, name: String? = nil, fleet: String? = nil, phase: Phase,
        incarnation: UInt64, startedAt: UnixTime, certificateExpiresAt: UnixTime? = nil, overlay4: IPAddress? = nil,
        overlay6: IPAddress? = nil, cryptography: String? = nil, portMapping: PortMappingView? = nil,
        controllers: [ControllerPeerView]? = nil, joinProblem: String? = nil, controllerLostAt: UnixTime? = nil,
        descriptionProblem: String? = nil, clock: ClockView? = nil, nodeClocks: [NodeClockView]? = nil,
        revision: UInt64? = nil, workersActive: Int? = nil, workersTotal: Int? = nil, containment: Containment? = nil,
        verdict: Verdict? = nil, nodes: NodeCounts? = nil, counters: [CounterView]
    ) {
        self.program = program
        self.version = version
        self.node = node
        self.name = name
        self.fleet = fleet
        self.phase = phase
        self.incarnation = incarnation
        self.startedAt = startedAt
        self.certificateExpiresAt = certificateExpiresAt
        self.overlay4 = overlay4
        self.overlay6 = overlay6
        self.cryptography = cryptography
        self.portMapping = portMapping
        self.controllers = controllers
        self.joinProblem = joinProblem
        self.controllerLostAt = controllerLostAt
        self.descriptionProblem = descriptionProblem
        self.clock = clock
        self.nodeClocks = nodeClocks
        self.revision = revision
        self.workersActive = workersActive
        self.workersTotal = workersTotal
        self.containment = containment
        self.verdict = verdict
        self.nodes = nodes
        self.counters = counters
    }
}

extension StatusView: SchemaDescribed {
    package static let schema = Schema.object(
        "Status",
        [
            "program": .choice(of: StatusView.Program.self), "version": .text, "node": .node, "name?": .text,
            "fleet?": .text, "phase": .text, "incarnation": .count, "startedAt": .time, "certificateExpiresAt?": .time,
            "overlay4?": .ip, "overlay6?": .ip, "cryptography?": .text, "portMapping?": .of(PortMappingView.self),
            "controllers?": .list(of: ControllerPeerView.self), "joinProblem?": .text, "controllerLostAt?": .time,
            "descriptionProblem?": .text, "clock?": .of(ClockView.self), "nodeClocks?": .list(of: NodeClockView.self),
            "revision?": .count, "workersActive?": .count, "workersTotal?": .count,
            "containment?": .choice(of: Containment.self), "verdict?": .choice(of: Verdict.self),
            "nodes?": .of(NodeCounts.self), "counters": .list(of: CounterView.self),
        ])
}

extension StatusView.NodeCounts: SchemaDescribed {
    package static let schema = Schema.object(
        "NodeCounts",
        ["online": .count, "suspect": .count, "offline": .count, "left": .count, "unknown": .count])
}
