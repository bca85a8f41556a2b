import Wire

/// One `<gpu>` of the report while it is being read: the path of an element decides where its value belongs, in every
/// generation of the schema.
struct NvidiaDevice {
    var status = AcceleratorStatus(vendor: "nvidia", index: -1)
    var minorNumber: Int64?
    private(set) var faults: [Verdicts.Fault] = []
    private var volatileErrors = MemoryErrors()
    private var instanceErrors = MemoryErrors()
    private var power = (draw: Int64?.none, average: Int64?.none, instant: Int64?.none)
    private var limit = (enforced: Int64?.none, current: Int64?.none)
    private var process: AcceleratorProcess?

    /// Volatile ECC counts: the schemas give two totals (v9 to v11), or SRAM and DRAM (v12), or split SRAM's uncorrectable
    /// ones by parity and SEC-DED.
    private struct MemoryErrors {
        var correctable: Int64?
        var uncorrectable: Int64?
        /// Whether the tool itself gave the total, so that parts are not added.
        var hasTotal = (correctable: false, uncorrectable: false)

        mutating func add(correctable count: Int64?) {
            guard let count, !hasTotal.correctable else { return }
            correctable = clampedSum(correctable, count)
        }
        mutating func add(uncorrectable count: Int64?) {
            guard let count, !hasTotal.uncorrectable else { return }
            uncorrectable = clampedSum(uncorrectable, count)
        }
        private func clampedSum(_ a: Int64?, _ b: Int64) -> Int64 {
            let (sum, overflow) = (a ?? 0).addingReportingOverflow(b)
            return overflow ? .max : sum
        }
    }

    init(tagAddress: [UInt8]?) {
        status.pciAddress = tagAddress.flatMap { NvidiaReading($0).text }.map(NvidiaDevice.sysfsAddress)
    }

    /// The element at `path` below `<gpu>` has ended and held nothing but `text`.
    mutating func ended(_ path: String, _ text: [UInt8]) {
        let reading = NvidiaReading(text)
        note(reading, at: path)
        if path.hasPrefix("ecc_errors/volatile/") {
            memoryErrors(path.dropFirst("ecc_errors/volatile/".count), reading.count)
        } else if path.hasPrefix("processes/process_info/") {
            processField(path.dropFirst("processes/process_info/".count), reading, text)
        } else if path.hasPrefix("clocks_event_reasons/") || path.hasPrefix("clocks_throttle_reasons/") {
            throttleReason(path, reading)
        } else if path.hasPrefix("power_readings/") || path.hasPrefix("gpu_power_readings/") {
            powerReading(path, reading)
        } else {
            identity(path, reading)
            sensor(path, reading)
            repair(path, reading)
        }
    }

    /// An element with children has ended.
    mutating func ended(container path: String) {
        if path == "processes/process_info", let process {
            if status.processes.count < HealthLimits.processesPerDevice { status.processes.append(process) }
            self.process = nil
        }
    }

    mutating func add(_ fault: Verdicts.Fault) {
        if faults.count < HealthLimits.evidenceLines, !faults.contains(fault) { faults.append(fault) }
    }

    /// Text that stands directly in `<gpu>`.
    mutating func stray(_ text: [UInt8]) {
        let reading = NvidiaReading(text)
        if case .lost(let text) = reading { add(Verdicts.Fault(.failed, "nvidia-smi reports \(text)")) }
        if case .failed(let text) = reading { add(Verdicts.Fault(.failed, "nvidia-smi reports \(text)")) }
    }

    consuming func finished(index: Int64, driverVersion: String?) -> AcceleratorStatus {
        status.index = index
        status.driverVersion = driverVersion
        // On Ampere and later `power_draw` is itself the average over a second.
        status.powerMilliwatts = power.draw ?? power.average ?? power.instant
        status.powerLimitMilliwatts = limit.enforced ?? limit.current
        status.correctableErrors = volatileErrors.correctable ?? instanceErrors.correctable
        status.uncorrectableErrors = volatileErrors.uncorrectable ?? instanceErrors.uncorrectable
        status.judge(faults: faults)
        return status
    }
}

extension NvidiaDevice {
    private mutating func note(_ reading: NvidiaReading, at path: String) {
        switch reading {
        case .value, .absent: return
        case .lost(let text): add(Verdicts.Fault(.failed, "\(path) reports \(text)"))
        case .failed(let text):
            // `Unknown Error` in a mode that is not in use (the addressing mode of an RTX 4090 under driver 535) is no
            // fault of the card, so only readings that a working card has count.
            if path == "fan_speed" {
                add(Verdicts.Fault(.degraded, "\(path) reports \(text)"))
            } else if isEssential(path) {
                add(Verdicts.Fault(.failed, "\(path) reports \(text)"))
            }
        }
    }

    private func isEssential(_ path: String) -> Bool {
        if path.hasPrefix("fb_memory_usage/") || path.hasPrefix("ecc_errors/volatile/") { return true }
        return [
            "product_name", "performance_state", "utilization/gpu_util", "utilization/memory_util",
            "temperature/gpu_temp", "power_readings/power_draw", "gpu_power_readings/power_draw",
            "gpu_power_readings/average_power_draw", "gpu_power_readings/instant_power_draw", "ecc_mode/current_ecc",
        ].contains(path)
    }

    private mutating func identity(_ path: String, _ reading: NvidiaReading) {
        switch path {
        case "product_name": status.model = reading.text
        case "uuid": status.uuid = reading.text
        case "serial": status.serial = reading.text
        case "minor_number": minorNumber = reading.count
        case "pci/pci_bus_id":
            if let address = reading.text { status.pciAddress = Self.sysfsAddress(address) }
        case "mig_mode/current_mig": status.migMode = reading.flag
        default: break
        }
    }

    private mutating func sensor(_ path: String, _ reading: NvidiaReading) {
        switch path {
        case "fb_memory_usage/total": status.memoryTotalBytes = reading.bytes
        case "fb_memory_usage/used": status.memoryUsedBytes = reading.bytes
        case "utilization/gpu_util": status.utilizationPercent = reading.percent
        case "utilization/memory_util": status.memoryUtilizationPercent = reading.percent
        case "temperature/gpu_temp": status.temperatureMilliCelsius = reading.milliCelsius
        case "temperature/memory_temp": status.memoryTemperatureMilliCelsius = reading.milliCelsius
        default: break
        }
    }

    /// What the driver reports about repairs (done, pending, impossible), and what it advises.
    private mutating func repair(_ path: String, _ reading: NvidiaReading) {
        switch path {
        case "remapped_rows/remapped_row_pending": status.rowRemapPending = reading.flag
        case "remapped_rows/remapped_row_failure": status.rowRemapFailed = reading.flag
        case "retired_pages/pending_retirement", "retired_pages/pending_blacklist":
            if let flag = reading.flag { status.retiredPagesPending = flag || status.retiredPagesPending == true }
        case "ecc_errors/channel_repair_pending", "ecc_errors/tpc_repair_pending":
            if reading.flag == true { add(Verdicts.Fault(.degraded, "\(path) is Yes")) }
        case "ecc_errors/unrepairable_memory":
            if reading.flag == true { add(Verdicts.Fault(.failed, "\(path) is Yes")) }
        case "gpu_reset_status/reset_required":
            if reading.flag == true { add(Verdicts.Fault(.failed, "\(path) is Yes")) }
        case "gpu_reset_status/drain_and_reset_recommended":
            if reading.flag == true { add(Verdicts.Fault(.degraded, "\(path) is Yes")) }
        case "gpu_recovery_action": recoveryAction(reading)
        case "mig_devices/mig_device/ecc_error_count/volatile_count/sram_uncorrectable":
            instanceErrors.add(uncorrectable: reading.count)
        default: break
        }
    }

    /// nvmlDeviceGpuRecoveryAction: none, GPU reset, node reboot, drain P2P, drain and reset. The last two leave the card
    /// working, so they degrade it.
    private mutating func recoveryAction(_ reading: NvidiaReading) {
        guard let action = reading.text else { return }
        let gravity: Verdict = action.lowercased().hasPrefix("drain") ? .degraded : .failed
        add(Verdicts.Fault(gravity, "the driver's recovery action is \(action)"))
    }

    private mutating func memoryErrors(_ field: Substring, _ count: Int64?) {
        switch field {
        case "single_bit/total":
            guard let count else { return }
            volatileErrors.correctable = count
            volatileErrors.hasTotal.correctable = true
        case "double_bit/total":
            guard let count else { return }
            volatileErrors.uncorrectable = count
            volatileErrors.hasTotal.uncorrectable = true
        case "sram_correctable", "dram_correctable": volatileErrors.add(correctable: count)
        case "sram_uncorrectable", "dram_uncorrectable", "sram_uncorrectable_parity", "sram_uncorrectable_secded":
            volatileErrors.add(uncorrectable: count)
        default:
            if field.hasPrefix("single_bit/") { volatileErrors.add(correctable: count) }
            if field.hasPrefix("double_bit/") { volatileErrors.add(uncorrectable: count) }
        }
    }

    private mutating func powerReading(_ path: String, _ reading: NvidiaReading) {
        switch path.drop(while: { $0 != "/" }).dropFirst() {
        case "power_draw": power.draw = reading.milliwatts
        case "average_power_draw": power.average = reading.milliwatts
        case "instant_power_draw": power.instant = reading.milliwatts
        case "enforced_power_limit": limit.enforced = reading.milliwatts
        case "power_limit", "current_power_limit": limit.current = reading.milliwatts
        default: break
        }
    }

    private mutating func throttleReason(_ path: String, _ reading: NvidiaReading) {
        guard reading.flag == true else { return }
        var name = path.drop { $0 != "/" }.dropFirst()
        for prefix in ["clocks_event_reason_", "clocks_throttle_reason_"] where name.hasPrefix(prefix) {
            name = name.dropFirst(prefix.count)
        }
        if name == "gpu_idle" || status.throttleReasons.count >= HealthLimits.evidenceLines { return }
        status.throttleReasons.append(String(name).cut(to: HealthLimits.textBytes))
    }

    private mutating func processField(_ field: Substring, _ reading: NvidiaReading, _ text: [UInt8]) {
        switch field {
        case "pid": process = reading.count.map { AcceleratorProcess(pid: $0) }
        case "process_name":
            // Any text may be a name, even one that means absent elsewhere.
            let name = String(decoding: text, as: UTF8.self).trimmed.cut(to: HealthLimits.textBytes)
            process?.name = name.isEmpty || name == "N/A" || name == "[N/A]" ? nil : name
        case "used_memory": process?.memoryBytes = reading.bytes
        default: break
        }
    }

    /// `00002DF7:00:00.0` as the kernel writes it, `2df7:00:00.0`; anything else unchanged.
    static func sysfsAddress(_ address: String) -> String {
        let parts = address.lowercased().split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, let domain = UInt32(parts[0], radix: 16) else { return address }
        let digits = String(domain, radix: 16)
        return "\(String(repeating: "0", count: max(0, 4 - digits.count)))\(digits):\(parts[1]):\(parts[2])"
    }
}
