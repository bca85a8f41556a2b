import Base
import SwiftProtobuf

extension WorkerState {
    init(_ proto: ProtoWorkerState) throws(DecodeError) {
        switch proto {
        case .pending: self = .pending
        case .starting: self = .starting
        case .running: self = .running
        case .backoff: self = .backoff
        case .stopping: self = .stopping
        case .succeeded: self = .succeeded
        case .failed: self = .failed
        case .stopped: self = .stopped
        case .stuck: self = .stuck
        case .unspecified, .UNRECOGNIZED: throw invalid("worker.state")
        }
    }
    var proto: ProtoWorkerState {
        switch self {
        case .pending: .pending
        case .starting: .starting
        case .running: .running
        case .backoff: .backoff
        case .stopping: .stopping
        case .succeeded: .succeeded
        case .failed: .failed
        case .stopped: .stopped
        case .stuck: .stuck
        }
    }
}

extension Containment {
    /// `nil` for unspecified.
    static func decoded(_ proto: ProtoContainment) throws(DecodeError) -> Containment? {
        switch proto {
        case .cgroup: .cgroup
        case .subreaper: .subreaper
        case .unspecified: nil
        case .UNRECOGNIZED: throw invalid("containment")
        }
    }
    var proto: ProtoContainment {
        switch self {
        case .cgroup: .cgroup
        case .subreaper: .subreaper
        }
    }
}
