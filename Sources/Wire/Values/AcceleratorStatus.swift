/// One accelerator card or die, as its vendor's tool reports it.
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
    /// The reasons of the verdict, most important first.
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
