package import Base
package import Wire

package struct WorkerView: Hashable, Sendable, Codable {
    package enum DesiredState: String, Hashable, Sendable, Codable, CaseIterable {
        case run, stop
        /// In no desired state: it is being removed, or the agent found it and the controller does not know it.
        case none
    }
    package let name: String
    package let generation: UInt64
    package let node: NodeID?
    package let nodeName: String?
    package let desired: DesiredState
    /// As the agent last reported it; absent before its first report of this generation.
    package let state: WorkerState?
    /// False where the node is not online, so that `state` is out of date.
    package let isCurrent: Bool
    package let command: [String]
    package let operation: String?
    package let pid: Int32?
    package let startedAt: UnixTime?
    package let restarts: Int64
    package let lastExit: WorkerExit?
    package let reason: String?
    package let containment: Containment?
    package let logBytes: Int64

    /// `status`: the agent's last report of this worker.
    package init(
        _ worker: WorkerRef, desired: DesiredState, command: [String], node: NodeID? = nil, nodeName: String? = nil,
        operation: String? = nil, isCurrent: Bool = true, status: WorkerStatus? = nil
    ) {
        name = worker.name
        generation = worker.generation
        self.node = node
        self.nodeName = nodeName
        self.desired = desired
        state = status?.state
        self.isCurrent = isCurrent
        self.command = command
        self.operation = operation
        pid = status?.pid
        startedAt = status?.startedAt
        restarts = status?.restarts ?? 0
        lastExit = status?.lastExit
        reason = status?.reason
        containment = status?.containment
        logBytes = status?.logBytes ?? 0
    }
}

extension WorkerView: SchemaDescribed {
    package static let schema = Schema.object(
        "Worker",
        [
            "name": .text, "generation": .count, "node?": .node, "nodeName?": .text,
            "desired": .choice(of: WorkerView.DesiredState.self), "state?": .choice(of: WorkerState.self),
            "isCurrent": .flag,
            "command": .list(.text), "operation?": .text, "pid?": .integer, "startedAt?": .time, "restarts": .count,
            "lastExit?": .of(WorkerExit.self), "reason?": .text, "containment?": .choice(of: Containment.self),
            "logBytes": .count,
        ])
}
