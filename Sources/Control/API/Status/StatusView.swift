package import Base
package import Wire

/// One program's account of itself.
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
        package var online = 0
        package var suspect = 0
        package var offline = 0
        package var left = 0
        package var unknown = 0
    }
    package let program: Program
    package let version: String
    package var node: NodeID
    package var name: String?
    /// 32 hexadecimal digits; absent where the node belongs to no fleet yet.
    package var fleet: String?
    package let phase: Phase
    package let incarnation: UInt64
    package private(set) var startedAt: UnixTime
    package var certificateExpiresAt: UnixTime?
    package var overlay4: IPAddress?
    package var overlay6: IPAddress?
    /// What does AES-GCM in this process: `VAES`, or `libsodium` and why.
    package var cryptography: String?
    /// An agent's, unless it was told to ask for none.
    package var portMapping: PortMappingView?
    /// An agent's controllers.
    package var controllers: [ControllerPeerView]?
    /// An agent's: why its last token was of no use, or has not been of any yet.
    package var joinProblem: String?
    /// An agent's: since when the controller does not answer; absent while it does.
    package var controllerLostAt: UnixTime?
    /// An agent's: why the controller does not accept its name, site or labels.
    package var descriptionProblem: String?
    /// An agent's: what its own clock shows, and the controller's; absent until they were compared.
    package var clock: ClockView?
    /// A controller's: nodes whose clocks differ from its own by more than a minute, at most 20.
    package var nodeClocks: [NodeClockView]?
    package var revision: UInt64?
    package var workersActive: Int?
    package var workersTotal: Int?
    package var containment: Containment?
    package var verdict: Verdict?
    /// A controller's fleet.
    package var nodes: NodeCounts?
    /// What went right and wrong, by reason, since the program's start.
    package var counters: [CounterView]
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
