package import Base
import SwiftProtobuf

/// What an agent keeps on its disk of its workers: what is desired, at which revision, and what has ended. A record is
/// whole, and replaces the one before. After a crash the agent compares it with the processes of the machine. The
/// record never states that a process lives, because only the machine knows that.
package struct AgentRecord: Hashable, Sendable {
    /// The revision of desired state that `workers` stand for.
    package var revision: UInt64
    package var workers: [WorkerRecord]

    package init(revision: UInt64 = 0, workers: [WorkerRecord] = []) {
        self.revision = revision
        self.workers = workers
    }

    package init(decoding bytes: [UInt8]) throws(DecodeError) {
        try self.init(decoding: bytes, limit: 64 << 20, "agent record")
    }
    package func encoded() -> [UInt8] {
        // As in `Convertible`: a proto3 message of this size can always be written.
        try! proto.serializedBytes()
    }

    /// Rises when an older program cannot read the record. A record of a later version is refused.
    static let version: UInt32 = 1
}

package struct WorkerRecord: Hashable, Sendable {
    package var desired: DesiredWorker
    package var state: WorkerState
    package var lastExit: WorkerExit?
    /// When it was started again, within its budget's window.
    package var restartedAt: [UnixTime]
    package var restarts: Int64
    /// Failures in a row: what the backoff grows with.
    package var consecutiveFailures: Int64
    package var reason: String?
    /// It is not needed any more: it is removed as soon as it is dead.
    package var isLeaving: Bool

    package init(_ desired: DesiredWorker, state: WorkerState) {
        self.desired = desired
        self.state = state
        restartedAt = []
        restarts = 0
        consecutiveFailures = 0
        isLeaving = false
    }
}

extension AgentRecord: Convertible {
    init(_ proto: ProtoAgentRecord) throws(DecodeError) {
        guard proto.version == AgentRecord.version else { throw invalid("agent_record.version") }
        self.init(
            revision: proto.revision,
            workers: try list(
                proto.workers, limit: 2 * Limits.workersPerNode, "agent_record.workers", WorkerRecord.init))
    }
    var proto: ProtoAgentRecord {
        .with {
            $0.version = AgentRecord.version
            $0.revision = revision
            $0.workers = workers.map(\.proto)
        }
    }
}

extension WorkerRecord: Convertible {
    init(_ proto: ProtoWorkerRecord) throws(DecodeError) {
        self.init(try DesiredWorker(proto.desired), state: try WorkerState(proto.state))
        lastExit = proto.hasLastExit ? WorkerExit(proto.lastExit) : nil
        restartedAt = try list(proto.restartedAt, limit: Limits.rememberedRestarts, "worker_record.restarted_at") {
            milliseconds throws(DecodeError) in unixTime(milliseconds)
        }
        restarts = proto.restarts
        consecutiveFailures = proto.consecutiveFailures
        reason = try text(proto.reason, if: proto.hasReason, "worker_record.reason")
        isLeaving = proto.isLeaving
    }
    var proto: ProtoWorkerRecord {
        .with {
            $0.desired = desired.proto
            $0.state = state.proto
            if let lastExit { $0.lastExit = lastExit.proto }
            $0.restartedAt = restartedAt.map(\.milliseconds)
            $0.restarts = restarts
            $0.consecutiveFailures = consecutiveFailures
            if let reason { $0.reason = reason }
            $0.isLeaving = isLeaving
        }
    }
}
