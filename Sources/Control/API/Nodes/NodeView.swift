package import Base
package import Wire

package struct NodeView: Hashable, Sendable, Codable {
    package var id: NodeID
    package var name: String
    package private(set) var site: String
    package private(set) var labels: [Label]
    package let roles: [String]
    package var state: NodeState
    package var isDraining = false
    package var address: SocketAddress?
    package var overlay4: IPAddress?
    package var overlay6: IPAddress?
    package let enrolledAt: UnixTime
    package private(set) var certificateExpiresAt: UnixTime
    package var lastHeartbeatAt: UnixTime?
    /// The node's clock minus the controller's; absent until the node has said what it shows.
    package var clockOffsetMilliseconds: Int64?
    package var agentVersion: String?
    package var containment: Containment?
    /// The worst of its devices and of itself.
    package var verdict = Verdict.unknown
    /// The revision of desired state that the agent works by, and the newest one.
    package var revision: UInt64 = 0
    package var desiredRevision: UInt64 = 0
    package var processorLoadPercent: Int?
    package var memoryLoadPercent: Int?
    package var acceleratorLoadPercent: Int?
    package var freeSlots: Int?
    package var workersRunning = 0
    package var workersTotal = 0
    package var accelerators = 0
    /// Only where one node was asked for.
    package var host: HostStatus?

    package init(
        id: NodeID, name: String, site: String, labels: [Label], roles: [String], state: NodeState,
        enrolledAt: UnixTime, certificateExpiresAt: UnixTime
    ) {
        self.id = id
        self.name = name
        self.site = site
        self.labels = labels
        self.roles = roles
        self.state = state
        self.enrolledAt = enrolledAt
        self.certificateExpiresAt = certificateExpiresAt
    }
}

extension NodeView: SchemaDescribed {
    package static let schema = Schema.object(
        "Node",
        [
            "id": .node, "name": .text, "site": .text, "labels": .list(of: Label.self), "roles": .list(.text),
            "state": .choice(of: NodeState.self), "isDraining": .flag, "address?": .address, "overlay4?": .ip,
            "overlay6?": .ip, "enrolledAt": .time, "certificateExpiresAt": .time, "lastHeartbeatAt?": .time,
            "clockOffsetMilliseconds?": .integer, "agentVersion?": .text, "containment?": .choice(of: Containment.self),
            "verdict": .choice(of: Verdict.self), "revision": .count, "desiredRevision": .count,
            "processorLoadPercent?": .count, "memoryLoadPercent?": .count, "acceleratorLoadPercent?": .count,
            "freeSlots?": .count, "workersRunning": .count, "workersTotal": .count, "accelerators": .count,
            "host?": .of(HostStatus.self),
        ])
}
