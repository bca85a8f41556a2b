import Base
import SwiftProtobuf

extension AcceleratorStatus: Convertible {
    init(_ proto: ProtoAcceleratorStatus) throws(DecodeError) {
        self.init(vendor: try text(proto.vendor, "accelerator.vendor"), index: proto.index)
        uuid = try text(proto.uuid, if: proto.hasUuid, "accelerator.uuid")
        model = try text(proto.model, if: proto.hasModel, "accelerator.model")
        serial = try text(proto.serial, if: proto.hasSerial, "accelerator.serial")
        pciAddress = try text(proto.pciAddress, if: proto.hasPciAddress, "accelerator.pci_address")
        driverVersion = try text(proto.driverVersion, if: proto.hasDriverVersion, "accelerator.driver_version")
        readFigures(proto)
        rowRemapPending = proto.hasRowRemapPending ? proto.rowRemapPending : nil
        rowRemapFailed = proto.hasRowRemapFailed ? proto.rowRemapFailed : nil
        retiredPagesPending = proto.hasRetiredPagesPending ? proto.retiredPagesPending : nil
        migMode = proto.hasMigMode ? proto.migMode : nil
        throttleReasons = try list(proto.throttleReasons, limit: Limits.texts, "accelerator.throttle_reasons") {
            reason throws(DecodeError) in try text(reason, "accelerator.throttle_reasons")
        }
        processes = try list(
            proto.processes, limit: Limits.acceleratorProcesses, "accelerator.processes", AcceleratorProcess.init)
        verdict = try Verdict(proto.verdict)
        evidence = try list(proto.evidence, limit: Limits.texts, "accelerator.evidence") {
            line throws(DecodeError) in try text(line, "accelerator.evidence")
        }
    }

    private mutating func readFigures(_ proto: ProtoAcceleratorStatus) {
        memoryTotalBytes = proto.hasMemoryTotalBytes ? proto.memoryTotalBytes : nil
        memoryUsedBytes = proto.hasMemoryUsedBytes ? proto.memoryUsedBytes : nil
        utilizationPercent = proto.hasUtilizationPercent ? proto.utilizationPercent : nil
        memoryUtilizationPercent = proto.hasMemoryUtilizationPercent ? proto.memoryUtilizationPercent : nil
        temperatureMilliCelsius = proto.hasTemperatureMilliCelsius ? proto.temperatureMilliCelsius : nil
        memoryTemperatureMilliCelsius =
            proto.hasMemoryTemperatureMilliCelsius ? proto.memoryTemperatureMilliCelsius : nil
        powerMilliwatts = proto.hasPowerMilliwatts ? proto.powerMilliwatts : nil
        powerLimitMilliwatts = proto.hasPowerLimitMilliwatts ? proto.powerLimitMilliwatts : nil
        uncorrectableErrors = proto.hasUncorrectableErrors ? proto.uncorrectableErrors : nil
        correctableErrors = proto.hasCorrectableErrors ? proto.correctableErrors : nil
    }

    var proto: ProtoAcceleratorStatus {
        var proto = ProtoAcceleratorStatus()
        proto.vendor = vendor
        proto.index = index
        if let uuid { proto.uuid = uuid }
        if let model { proto.model = model }
        if let serial { proto.serial = serial }
        if let pciAddress { proto.pciAddress = pciAddress }
        if let driverVersion { proto.driverVersion = driverVersion }
        writeFigures(&proto)
        if let rowRemapPending { proto.rowRemapPending = rowRemapPending }
        if let rowRemapFailed { proto.rowRemapFailed = rowRemapFailed }
        if let retiredPagesPending { proto.retiredPagesPending = retiredPagesPending }
        if let migMode { proto.migMode = migMode }
        proto.throttleReasons = throttleReasons
        proto.processes = processes.map(\.proto)
        proto.verdict = verdict.proto
        proto.evidence = evidence
        return proto
    }

    private func writeFigures(_ proto: inout ProtoAcceleratorStatus) {
        if let memoryTotalBytes { proto.memoryTotalBytes = memoryTotalBytes }
        if let memoryUsedBytes { proto.memoryUsedBytes = memoryUsedBytes }
        if let utilizationPercent { proto.utilizationPercent = utilizationPercent }
        if let memoryUtilizationPercent { proto.memoryUtilizationPercent = memoryUtilizationPercent }
        if let temperatureMilliCelsius { proto.temperatureMilliCelsius = temperatureMilliCelsius }
        if let memoryTemperatureMilliCelsius { proto.memoryTemperatureMilliCelsius = memoryTemperatureMilliCelsius }
        if let powerMilliwatts { proto.powerMilliwatts = powerMilliwatts }
        if let powerLimitMilliwatts { proto.powerLimitMilliwatts = powerLimitMilliwatts }
        if let uncorrectableErrors { proto.uncorrectableErrors = uncorrectableErrors }
        if let correctableErrors { proto.correctableErrors = correctableErrors }
    }
}

extension AcceleratorProcess: Convertible {
    init(_ proto: ProtoAcceleratorProcess) throws(DecodeError) {
        self.init(pid: proto.pid)
        name = try text(proto.name, if: proto.hasName, "accelerator.process.name")
        memoryBytes = proto.hasMemoryBytes ? proto.memoryBytes : nil
    }
    var proto: ProtoAcceleratorProcess {
        .with {
            $0.pid = pid
            if let name { $0.name = name }
            if let memoryBytes { $0.memoryBytes = memoryBytes }
        }
    }
}
