import Base

/// What an agent reports of its machine. Every figure that could not be read is `nil`. Zero means zero.
package struct HostStatus: Hashable, Sendable, Codable {
    package var hostname: String?
    package var kernel: String?
    /// `/proc/sys/kernel/random/boot_id`.
    package var bootID: String?
    package var architecture: String?
    package var processors: Int64?
    package var processorModel: String?
    /// Share of all processors' time that was not idle since the last sample, in thousandths.
    package var processorUsePermille: Int64?
    /// 1, 5 and 15 minutes, in hundredths, as /proc/loadavg has them.
    package var load1Centi: Int64?
    package var load5Centi: Int64?
    package var load15Centi: Int64?
    package var memoryTotalBytes: Int64?
    package var memoryAvailableBytes: Int64?
    package var swapTotalBytes: Int64?
    package var swapFreeBytes: Int64?
    package var uptimeSeconds: Int64?
    package var pressure: [PressureStatus] = []
    package var disks: [DiskStatus] = []

    package init() {}
}

/// Pressure stall information (kernel, Documentation/accounting/psi.rst) of one resource.
package struct PressureStatus: Hashable, Sendable, Codable {
    package enum Resource: String, Hashable, Sendable, Codable, CaseIterable {
        case cpu, memory, io, irq
    }
    package var resource: Resource
    /// Share of time in which some task stalled, over 10 s and 60 s, in hundredths of a per cent.
    package var some10Basis: Int64?
    package var some60Basis: Int64?
    /// Share of time in which every task stalled.
    package var full10Basis: Int64?
    package var full60Basis: Int64?
    package var someTotalMicroseconds: Int64?
    package var fullTotalMicroseconds: Int64?

    package init(_ resource: Resource) { self.resource = resource }
}

/// One mounted file system that lies on a block device.
package struct DiskStatus: Hashable, Sendable, Codable {
    package var mountPoint: String
    package var device: String
    package var fileSystem: String
    package var sizeBytes: Int64?
    package var availableBytes: Int64?
    package var isReadOnly = false

    package init(mountPoint: String, device: String, fileSystem: String) {
        self.mountPoint = mountPoint
        self.device = device
        self.fileSystem = fileSystem
    }
}
