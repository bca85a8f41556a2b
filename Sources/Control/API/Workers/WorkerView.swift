package import Base
package import Wire

package struct WorkerView: Hashable, Sendable, Codable {
    package enum DesiredState: String, Hashable, Sendable, Codable, CaseIterable {
        case run, stop
        /// In no desired state: on its way out, or found by the agent and not known.
        case none
    }
    package var name: String
    package var generation: UInt64
    package var node: NodeID?
    package var nodeName: String?
    package var desired: DesiredState
    /// What the agent last said; absent until it has said anything of this generation.
    package var state: WorkerState?
    /// False where the node is not online, so that `state` is old news.
    package var isCurrent = true
    package let command: [String]
    package var operation: String?
    package var pid: Int32?
    package var startedAt: UnixTime?
    package private(set) var restarts: Int64 = 0
    package var lastExit: WorkerExit?
    package var reason: String?
    package var containment: Containment?
    package var logBytes: Int64 = 0

    package init(_ worker: WorkerRef, desired: DesiredState, command: [String]) {
        name = worker.name
        generation = worker.generation
        self.desired = desired
        self.command = command
    }

    package mutating func take(_ status: WorkerStatus) {
        state = status.state
        pid = status.pid
        startedAt = status.startedAt
        restarts = status.restarts
        lastExit = status.lastExit
        reason = status.reason
        containment = status.containment
        logBytes = status.logBytes
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
