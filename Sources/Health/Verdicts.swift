package import Wire

/// # What a device's readings mean
///
/// A pure function from one report to one verdict, without history: the same report always gives the same answer, and the
/// evidence names every rule that fired, most severe first. The order of trust is: the vendor's own statement, then lost or
/// reset required, then counters, then thresholds.
///
/// | evidence | verdict |
/// |---|---|
/// | the vendor's recovery action is a reset or reboot, a device is lost or requires a reset, or a reading is `ERR!` | failed |
/// | the fan alone reports `ERR!`, the vendor advises to drain | degraded |
/// | uncorrectable memory errors since the driver was loaded; a row remapping failed | failed |
/// | a row remapping or a page retirement waits for a reset | degraded |
/// | the hardware slows its clocks (slowdown, heat, power brake) | degraded |
/// | none of memory, utilisation, temperature and power could be read | unknown |
///
/// Absent is not broken: no rule fires on `nil`, so missing data alone is never worse than unknown. Software's own clock
/// caps (power cap, application clocks, sync boost, software thermal slowdown) are policy and not a fault.
package enum Verdicts {
    /// A reading, or a statement of the vendor's tool, that is itself a fault.
    package struct Fault: Hashable, Sendable {
        package var gravity: Verdict
        /// One line for a person.
        package var evidence: String

        package init(_ gravity: Verdict, _ evidence: String) {
            self.gravity = gravity
            self.evidence = evidence
        }
    }

    /// `verdict` and `evidence` of the status are ignored.
    package static func judge(
        _ status: AcceleratorStatus, faults: [Fault] = []
    ) -> (verdict: Verdict, evidence: [String]) {
        var found = faults
        if let errors = status.uncorrectableErrors, errors > 0 {
            found.append(Fault(.failed, "\(errors) uncorrectable memory errors since the driver was loaded"))
        }
        if status.rowRemapFailed == true { found.append(Fault(.failed, "a row remapping failed")) }
        if status.rowRemapPending == true { found.append(Fault(.degraded, "a row remapping waits for a reset")) }
        if status.retiredPagesPending == true { found.append(Fault(.degraded, "a page retirement waits for a reset")) }
        for reason in status.throttleReasons {
            switch reason {
            case "hw_slowdown": found.append(Fault(.degraded, "clocks slowed by hardware (hw_slowdown)"))
            case "hw_thermal_slowdown": found.append(Fault(.degraded, "clocks slowed by heat (hw_thermal_slowdown)"))
            case "hw_power_brake_slowdown":
                found.append(Fault(.degraded, "clocks slowed by the power brake (hw_power_brake_slowdown)"))
            default: break
            }
        }
        if !hasEssentials(status) {
            found.append(Fault(.unknown, "no reading of memory, utilisation, temperature or power"))
        }
        let graded = Verdict.allCases.reversed().flatMap { gravity in found.filter { $0.gravity == gravity } }
        let verdict = graded.first?.gravity ?? .healthy
        return (verdict, graded.prefix(HealthLimits.evidenceLines).map(\.evidence))
    }

    /// The worst of several; `nil` where there is none.
    package static func worst(_ devices: [AcceleratorStatus]) -> Verdict? { devices.map(\.verdict).max() }

    private static func hasEssentials(_ status: AcceleratorStatus) -> Bool {
        status.memoryTotalBytes != nil || status.memoryUsedBytes != nil || status.utilizationPercent != nil
            || status.temperatureMilliCelsius != nil || status.powerMilliwatts != nil
    }
}

extension AcceleratorStatus {
    /// Sets verdict and evidence from everything else and the faults.
    mutating func judge(faults: [Verdicts.Fault] = []) { (verdict, evidence) = Verdicts.judge(self, faults: faults) }
}
