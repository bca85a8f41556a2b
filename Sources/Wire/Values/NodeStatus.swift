import Base

/// What an agent reports of its machine. Every figure that could not be read is `nil`: zero is not absent, and absent is
/// not zero.
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

/// One accelerator card or die, as its vendor's tool tells of it.
package struct AcceleratorStatus: Hashable, Sendable, Codable {
    /// `nvidia`, `ascend`, `amd`, or the name that an exec adapter gives.
    package var vendor: String
    /// The vendor's own number of the device.
    package var index: Int64
    package var uuid: String?
    package var model: String?
    package var serial: String?
    package var pciAddress: String?
    package var driverVersion: String?
    package var memoryTotalBytes: Int64?
    package var memoryUsedBytes: Int64?
    package var utilizationPercent: Int64?
    package var memoryUtilizationPercent: Int64?
    package var temperatureMilliCelsius: Int64?
    package var memoryTemperatureMilliCelsius: Int64?
    package var powerMilliwatts: Int64?
    package var powerLimitMilliwatts: Int64?
    /// Uncorrectable errors since the driver was loaded.
    package var uncorrectableErrors: Int64?
    package var correctableErrors: Int64?
    package var rowRemapPending: Bool?
    package var rowRemapFailed: Bool?
    package var retiredPagesPending: Bool?
    /// Names of active clock-event (throttle) reasons, without `idle`.
    package var throttleReasons: [String] = []
    package var migMode: Bool?
    package var processes: [AcceleratorProcess] = []
    package var verdict = Verdict.unknown
    /// What the verdict rests on, most important first.
    package var evidence: [String] = []

    package init(vendor: String, index: Int64) {
        self.vendor = vendor
        self.index = index
    }
}

package struct AcceleratorProcess: Hashable, Sendable, Codable {
    package var pid: Int64
    package var name: String?
    package var memoryBytes: Int64?

    package init(pid: Int64) { self.pid = pid }
}

/// The state of a device or of a node, best first; `worst` of several is the maximum.
package enum Verdict: String, Hashable, Sendable, Codable, CaseIterable, Comparable {
    case healthy
    /// Not known, because data is missing. Never read as failed.
    case unknown
    case degraded
    case failed

    package var rank: UInt8 {
        switch self {
        case .healthy: 0
        case .unknown: 1
        case .degraded: 2
        case .failed: 3
        }
    }
    package init?(rank: UInt8) {
        guard let verdict = Verdict.allCases.first(where: { $0.rank == rank }) else { return nil }
        self = verdict
    }
    package static func < (a: Verdict, b: Verdict) -> Bool { a.rank < b.rank }
}
