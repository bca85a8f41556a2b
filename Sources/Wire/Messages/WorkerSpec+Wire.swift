import Base
import SwiftProtobuf

// Workers between values and protobuf.

extension WorkerSpec: Convertible {
    init(_ proto: ProtoWorkerSpec) throws(DecodeError) {
        let command = try list(proto.command, limit: Limits.workerArguments, "spec.command") {
            argument throws(DecodeError) in
            try text(argument, "spec.command", limit: Limits.workerCommandBytes)
        }
        self.init(command: command)
        environment = try list(
            proto.environment, limit: Limits.workerArguments, "spec.environment", EnvironmentVariable.init)
        workingDirectory = try text(
            proto.workingDirectory, if: proto.hasWorkingDirectory, "spec.working_directory")
        user = try text(proto.user, if: proto.hasUser, "spec.user")
        group = try text(proto.group, if: proto.hasGroup, "spec.group")
        limits = WorkerLimits(proto.limits)
        restart = try RestartPolicy(proto.restart)
        stop = StopPolicy()
        stop.signal = try text(proto.stop.signal, "spec.stop.signal")
        stop.graceSeconds = proto.stop.graceSeconds
        log = LogPolicy()
        log.maxFileBytes = proto.log.maxFileBytes
        log.maxFiles = proto.log.maxFiles
        priority = try WorkerPriority(proto.priority)
        labels = try list(proto.labels, limit: Limits.labels, "spec.labels", Label.init)
    }
    var proto: ProtoWorkerSpec {
        .with {
            $0.command = command
            $0.environment = environment.map(\.proto)
            if let workingDirectory { $0.workingDirectory = workingDirectory }
            if let user { $0.user = user }
            if let group { $0.group = group }
            $0.limits = limits.proto
            $0.restart = restart.proto
            $0.stop.signal = stop.signal
            $0.stop.graceSeconds = stop.graceSeconds
            $0.log.maxFileBytes = log.maxFileBytes
            $0.log.maxFiles = log.maxFiles
            $0.priority = priority.proto
            $0.labels = labels.map(\.proto)
        }
    }
}

extension WorkerLimits {
    init(_ proto: ProtoWorkerLimits) {
        self.init()
        memoryBytes = proto.hasMemoryBytes ? proto.memoryBytes : nil
        cpuMillicores = proto.hasCpuMillicores ? proto.cpuMillicores : nil
        processes = proto.hasProcesses ? proto.processes : nil
        openFiles = proto.hasOpenFiles ? proto.openFiles : nil
    }
    var proto: ProtoWorkerLimits {
        .with {
            if let memoryBytes { $0.memoryBytes = memoryBytes }
            if let cpuMillicores { $0.cpuMillicores = cpuMillicores }
            if let processes { $0.processes = processes }
            if let openFiles { $0.openFiles = openFiles }
        }
    }
}

extension RestartPolicy {
    init(_ proto: ProtoRestartPolicy) throws(DecodeError) {
        self.init()
        switch proto.mode {
        case .never: mode = .never
        case .onFailure: mode = .onFailure
        case .always: mode = .always
        case .unspecified, .UNRECOGNIZED: throw invalid("spec.restart.mode")
        }
        maxRestarts = proto.maxRestarts
        windowSeconds = proto.windowSeconds
        delaySeconds = proto.delaySeconds
        maxDelaySeconds = proto.maxDelaySeconds
    }
    var proto: ProtoRestartPolicy {
        .with {
            switch mode {
            case .never: $0.mode = .never
            case .onFailure: $0.mode = .onFailure
            case .always: $0.mode = .always
            }
            $0.maxRestarts = maxRestarts
            $0.windowSeconds = windowSeconds
            $0.delaySeconds = delaySeconds
            $0.maxDelaySeconds = maxDelaySeconds
        }
    }
}

extension WorkerPriority {
    init(_ proto: ProtoPriority) throws(DecodeError) {
        switch proto {
        case .high: self = .high
        case .normal: self = .normal
        case .low: self = .low
        case .unspecified, .UNRECOGNIZED: throw invalid("spec.priority")
        }
    }
    var proto: ProtoPriority {
        switch self {
        case .high: .high
        case .normal: .normal
        case .low: .low
        }
    }
}

extension SpecProblem: Convertible {
    init(_ proto: ProtoSpecProblem) throws(DecodeError) {
        self.init(try text(proto.field, "problem.field"), try text(proto.message, "problem.message"))
    }
    var proto: ProtoSpecProblem {
        .with {
            $0.field = field
            $0.message = message
        }
    }
}

extension DesiredWorker: Convertible {
    init(_ proto: ProtoDesiredWorker) throws(DecodeError) {
        self.init(
            try WorkerRef(proto.worker), spec: try WorkerSpec(proto.spec), run: proto.run,
            operation: try text(proto.operation, "desired.operation", limit: Limits.operationBytes))
    }
    var proto: ProtoDesiredWorker {
        .with {
            $0.worker = worker.proto
            $0.spec = spec.proto
            $0.run = run
            $0.operation = operation
        }
    }
}
