package import Wire

extension HostStatus: SchemaDescribed {
    package static let schema = Schema.object(
        "Host",
        [
            "hostname?": .text, "kernel?": .text, "bootID?": .text, "architecture?": .text, "processors?": .count,
            "processorModel?": .text, "processorUsePermille?": .count, "load1Centi?": .count, "load5Centi?": .count,
            "load15Centi?": .count, "memoryTotalBytes?": .count, "memoryAvailableBytes?": .count,
            "swapTotalBytes?": .count, "swapFreeBytes?": .count, "uptimeSeconds?": .count,
            "pressure": .list(of: PressureStatus.self), "disks": .list(of: DiskStatus.self),
        ])
}

extension PressureStatus: SchemaDescribed {
    package static let schema = Schema.object(
        "Pressure",
        [
            "resource": .choice(of: PressureStatus.Resource.self), "some10Basis?": .count, "some60Basis?": .count,
            "full10Basis?": .count, "full60Basis?": .count, "someTotalMicroseconds?": .count,
            "fullTotalMicroseconds?": .count,
        ])
}

extension DiskStatus: SchemaDescribed {
    package static let schema = Schema.object(
        "Disk",
        [
            "mountPoint": .text, "device": .text, "fileSystem": .text, "sizeBytes?": .count, "availableBytes?": .count,
            "isReadOnly": .flag,
        ])
}
