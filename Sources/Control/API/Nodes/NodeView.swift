package import Base
package import Wire

package struct NodeView: Hashable, Sendable, Codable {
    package let id: NodeID
    package let name: String
    package let site: String
    package let labels: [Label]
    package let roles: [String]
    package let state: NodeState
    package let isDraining: Bool
    package let address: SocketAddress?
    package let overlay4: IPAddress?
    package let overlay6: IPAddress?
    package let enrolledAt: UnixTime
    package let certificateExpiresAt: UnixTime
    package let lastHeartbeatAt: UnixTime?
    /// The node's clock minus the controller's; absent until the node has reported its clock.
    package let clockOffsetMilliseconds: Int64?
    package let agentVersion: String?
    package let containment: Containment?
    /// The worst of its devices and of itself.
    package let verdict: Verdict
    /// The revision of desired state that the agent has applied, and the newest one.
    package let revision: UInt64
    package let desiredRevision: UInt64
    package let processorLoadPercent: Int?
    package let memoryLoadPercent: Int?
    package let acceleratorLoadPercent: Int?
    package let freeSlots: Int?
    package let workersRunning: Int
    package let workersTotal: Int
    package let accelerators: Int
    /// Only where one node was asked for.
    package let host: HostStatus?

    package init(
        id: NodeID, name: String, site: String, labels: [Label], roles: [String], state: NodeState,
        isDraining: Bool = false, address: SocketAddress? = nil, overlay4: IPAddress? = nil, overlay6: IPAddress? = nil,
        enrolledAt: UnixTime, certificateExpiresAt: UnixTime, lastHeartbeatAt: UnixTime? = nil,
        clockOffsetMilliseconds: Int64? = nil, agentVersion: String? = nil, containment: Containment? = nil,
        verdict: Verdict = Verdict.unknown, revision: UInt64 = 0, desiredRevision: UInt64 = 0,
        processorLoadPercent: Int? = nil, memoryLoadPercent: Int? = nil, acceleratorLoadPercent: Int? = nil,
        freeSlots: Int? = nil, workersRunning: Int = 0, workersTotal: Int = 0, accelerators: Int = 0,
        host: HostStatus? = nil
    ) {
        self.id = id
        self.name = name
        self.site = site
        self.labels = labels
        self.roles = roles
        self.state = state
        self.isDraining = isDraining
        self.address = address
        self.overlay4 = overlay4
        self.overlay6 = overlay6
        self.enrolledAt = enrolledAt
        self.certificateExpiresAt = certificateExpiresAt
        self.lastHeartbeatAt = lastHeartbeatAt
        self.clockOffsetMilliseconds = clockOffsetMilliseconds
        self.agentVersion = agentVersion
        self.containment = containment
        self.verdict = verdict
        self.revision = revision
        self.desiredRevision = desiredRevision
        self.processorLoadPercent = processorLoadPercent
        self.memoryLoadPercent = memoryLoadPercent
        self.acceleratorLoadPercent = acceleratorLoadPercent
        self.freeSlots = freeSlots
        self.workersRunning = workersRunning
        self.workersTotal = workersTotal
        self.accelerators = accelerators
        self.host = host
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
