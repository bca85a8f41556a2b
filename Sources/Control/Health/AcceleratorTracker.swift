package import Wire

/// # What is known of a node's accelerators
///
/// Fed with readings of the vendor's tool, it keeps the devices and their verdicts. A known device stays in the list,
/// whatever the tool reports next. A device that cannot be read is unknown; its old state is not kept. Verdicts on readings
/// themselves are the adapters' (`Health.Verdicts`), which know the vendor.
package struct AcceleratorTracker: Sendable {
    package enum Reading: Hashable, Sendable {
        /// The tool's output.
        case devices([AcceleratorStatus])
        /// The tool's output is an error: what the adapter makes of the known devices, and the error.
        case failed([AcceleratorStatus], String)
        /// The tool gave no output, with the reason: it was killed, or did not answer.
        case silent(String)
    }

    package private(set) var devices: [AcceleratorStatus] = []
    private var isTroubled = false

    package init() {}

    /// Returns a line for the log when trouble begins, once.
    package mutating func apply(_ reading: Reading) -> String? {
        switch reading {
        case .devices(let devices):
            self.devices = devices
            isTroubled = false
            return nil
        case .failed(let devices, let problem):
            self.devices = devices
            return report(problem)
        case .silent(let reason):
            for position in devices.indices {
                devices[position].verdict = .unknown
                devices[position].evidence = [reason]
            }
            return report(reason)
        }
    }

    /// A problem that does not concern the state of the devices. Returns it when it begins, once.
    package mutating func report(_ problem: String) -> String? {
        defer { isTroubled = true }
        return isTroubled ? nil : problem
    }
}
