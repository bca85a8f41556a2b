import Base
import SwiftProtobuf

extension WorkerStatus: Convertible {
    init(_ proto: ProtoWorkerStatus) throws(DecodeError) {
        self.init(try WorkerRef(proto.worker), try WorkerState(proto.state))
        pid = proto.hasPid ? proto.pid : nil
        startedAt = proto.hasStartedAt ? unixTime(proto.startedAt) : nil
        restarts = proto.restarts
        lastExit = proto.hasLastExit ? WorkerExit(proto.lastExit) : nil
        reason = try text(proto.reason, if: proto.hasReason, "worker.reason")
        containment = try Containment.decoded(proto.containment)
        logBytes = proto.logBytes
    }
    var proto: ProtoWorkerStatus {
        .with {
            $0.worker = worker.proto
            $0.state = state.proto
            if let pid { $0.pid = pid }
            if let startedAt { $0.startedAt = startedAt.milliseconds }
            $0.restarts = restarts
            if let lastExit { $0.lastExit = lastExit.proto }
            if let reason { $0.reason = reason }
            if let containment { $0.containment = containment.proto }
            $0.logBytes = logBytes
        }
    }
}

extension WorkerExit {
    init(_ proto: ProtoWorkerExit) {
        self.init(
            status: proto.hasStatus ? proto.status : nil, signal: proto.hasSignal ? proto.signal : nil,
            at: unixTime(proto.at))
        outOfMemory = proto.outOfMemory
    }
    var proto: ProtoWorkerExit {
        .with {
            if let status { $0.status = status }
            if let signal { $0.signal = signal }
            $0.outOfMemory = outOfMemory
            $0.at = at.milliseconds
        }
    }
}
