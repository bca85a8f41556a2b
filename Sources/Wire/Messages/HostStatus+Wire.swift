import Base
import SwiftProtobuf

// A node's reports, between values and protobuf.

extension HostStatus: Convertible {
    init(_ proto: ProtoHostStatus) throws(DecodeError) {
        self.init()
        hostname = try text(proto.hostname, if: proto.hasHostname, "host.hostname")
        kernel = try text(proto.kernel, if: proto.hasKernel, "host.kernel")
        bootID = try text(proto.bootID, if: proto.hasBootID, "host.boot_id")
        architecture = try text(proto.architecture, if: proto.hasArchitecture, "host.architecture")
        processors = proto.hasProcessors ? proto.processors : nil
        processorModel = try text(proto.processorModel, if: proto.hasProcessorModel, "host.processor_model")
        processorUsePermille = proto.hasProcessorUsePermille ? proto.processorUsePermille : nil
        load1Centi = proto.hasLoad1Centi ? proto.load1Centi : nil
        load5Centi = proto.hasLoad5Centi ? proto.load5Centi : nil
        load15Centi = proto.hasLoad15Centi ? proto.load15Centi : nil
        memoryTotalBytes = proto.hasMemoryTotalBytes ? proto.memoryTotalBytes : nil
        memoryAvailableBytes = proto.hasMemoryAvailableBytes ? proto.memoryAvailableBytes : nil
        swapTotalBytes = proto.hasSwapTotalBytes ? proto.swapTotalBytes : nil
        swapFreeBytes = proto.hasSwapFreeBytes ? proto.swapFreeBytes : nil
        uptimeSeconds = proto.hasUptimeSeconds ? proto.uptimeSeconds : nil
        pressure = try list(proto.pressure, limit: 16, "host.pressure", PressureStatus.init)
        disks = try list(proto.disks, limit: Limits.disksPerNode, "host.disks", DiskStatus.init)
    }
    var proto: ProtoHostStatus {
        .with {
            if let hostname { $0.hostname = hostname }
            if let kernel { $0.kernel = kernel }
            if let bootID { $0.bootID = bootID }
            if let architecture { $0.architecture = architecture }
            if let processors { $0.processors = processors }
            if let processorModel { $0.processorModel = processorModel }
            if let processorUsePermille { $0.processorUsePermille = processorUsePermille }
            if let load1Centi { $0.load1Centi = load1Centi }
            if let load5Centi { $0.load5Centi = load5Centi }
            if let load15Centi { $0.load15Centi = load15Centi }
            if let memoryTotalBytes { $0.memoryTotalBytes = memoryTotalBytes }
            if let memoryAvailableBytes { $0.memoryAvailableBytes = memoryAvailableBytes }
            if let swapTotalBytes { $0.swapTotalBytes = swapTotalBytes }
            if let swapFreeBytes { $0.swapFreeBytes = swapFreeBytes }
            if let uptimeSeconds { $0.uptimeSeconds = uptimeSeconds }
            $0.pressure = pressure.map(\.proto)
            $0.disks = disks.map(\.proto)
        }
    }
}

extension PressureStatus: Convertible {
    init(_ proto: ProtoPressureStatus) throws(DecodeError) {
        switch proto.resource {
        case .cpu: self.init(.cpu)
        case .memory: self.init(.memory)
        case .io: self.init(.io)
        case .irq: self.init(.irq)
        case .unspecified, .UNRECOGNIZED: throw invalid("host.pressure.resource")
        }
        some10Basis = proto.hasSome10Basis ? proto.some10Basis : nil
        some60Basis = proto.hasSome60Basis ? proto.some60Basis : nil
        full10Basis = proto.hasFull10Basis ? proto.full10Basis : nil
        full60Basis = proto.hasFull60Basis ? proto.full60Basis : nil
        someTotalMicroseconds = proto.hasSomeTotalMicroseconds ? proto.someTotalMicroseconds : nil
        fullTotalMicroseconds = proto.hasFullTotalMicroseconds ? proto.fullTotalMicroseconds : nil
    }
    var proto: ProtoPressureStatus {
        .with {
            switch resource {
            case .cpu: $0.resource = .cpu
            case .memory: $0.resource = .memory
            case .io: $0.resource = .io
            case .irq: $0.resource = .irq
            }
            if let some10Basis { $0.some10Basis = some10Basis }
            if let some60Basis { $0.some60Basis = some60Basis }
            if let full10Basis { $0.full10Basis = full10Basis }
            if let full60Basis { $0.full60Basis = full60Basis }
            if let someTotalMicroseconds { $0.someTotalMicroseconds = someTotalMicroseconds }
            if let fullTotalMicroseconds { $0.fullTotalMicroseconds = fullTotalMicroseconds }
        }
    }
}

extension DiskStatus: Convertible {
    init(_ proto: ProtoDiskStatus) throws(DecodeError) {
        self.init(
            mountPoint: try text(proto.mountPoint, "disk.mount_point"), device: try text(proto.device, "disk.device"),
            fileSystem: try text(proto.fileSystem, "disk.file_system"))
        sizeBytes = proto.hasSizeBytes ? proto.sizeBytes : nil
        availableBytes = proto.hasAvailableBytes ? proto.availableBytes : nil
        isReadOnly = proto.isReadOnly
    }
    var proto: ProtoDiskStatus {
        .with {
            $0.mountPoint = mountPoint
            $0.device = device
            $0.fileSystem = fileSystem
            if let sizeBytes { $0.sizeBytes = sizeBytes }
            if let availableBytes { $0.availableBytes = availableBytes }
            $0.isReadOnly = isReadOnly
        }
    }
}

extension Verdict {
    init(_ proto: ProtoVerdict) throws(DecodeError) {
        switch proto {
        case .healthy: self = .healthy
        case .unknown, .unspecified: self = .unknown
        case .degraded: self = .degraded
        case .failed: self = .failed
        case .UNRECOGNIZED: throw invalid("verdict")
        }
    }
    var proto: ProtoVerdict {
        switch self {
        case .healthy: .healthy
        case .unknown: .unknown
        case .degraded: .degraded
        case .failed: .failed
        }
    }
}

extension HealthReport: Convertible {
    init(_ proto: ProtoHealthReport) throws(DecodeError) {
        self.init(
            digest: proto.digest, host: proto.hasHost ? try HostStatus(proto.host) : nil,
            accelerators: try list(
                proto.accelerators, limit: Limits.acceleratorsPerNode, "report.accelerators", AcceleratorStatus.init))
    }
    var proto: ProtoHealthReport {
        .with {
            $0.digest = digest
            if let host { $0.host = host.proto }
            $0.accelerators = accelerators.map(\.proto)
        }
    }
}

extension WorkersReport: Convertible {
    init(_ proto: ProtoWorkersReport) throws(DecodeError) {
        // Twice the limit of workers: a name may be there with an old generation that ends and a new one that waits.
        let workers = try list(
            proto.workers, limit: 2 * Limits.workersPerNode, "report.workers", WorkerStatus.init)
        self.init(digest: proto.digest, workers)
    }
    var proto: ProtoWorkersReport {
        .with {
            $0.digest = digest
            $0.workers = workers.map(\.proto)
        }
    }
}
