package import Wire

/// # The exec contract: health of any card, from any command
///
/// For a card that this agent has no adapter for, an operator configures a command. The agent runs it periodically, with a
/// deadline and without a shell, and reads its standard output. That output must be one JSON document (RFC 8259, UTF-8, at
/// most 1 MiB):
///
///     {
///       "version": 1,
///       "vendor": "zixiao",
///       "devices": [
///         {
///           "index": 0,
///           "uuid": "ZX-0042", "model": "C100", "serial": "0042", "pciAddress": "0000:3b:00.0",
///           "driverVersion": "2.4.12",
///           "memoryTotalBytes": 17179869184, "memoryUsedBytes": 1048576,
///           "utilizationPercent": 37, "memoryUtilizationPercent": 5,
///           "temperatureCelsius": 41.5, "memoryTemperatureCelsius": 44,
///           "powerWatts": 67.03, "powerLimitWatts": 150,
///           "correctableErrors": 0, "uncorrectableErrors": 0,
///           "throttleReasons": ["hw_thermal_slowdown"],
///           "verdict": "healthy",
///           "evidence": ["self test passed at 12:00"]
///         }
///       ]
///     }
///
/// `version`, `vendor` and `devices` are required, and `index` in each device: the number by which the vendor's tools call
/// the card, from 0 to 65535, no two alike. Everything else may be left out or be `null`, and **must** be so where it was not
/// read: zero means zero. Counts and bytes are whole numbers; percentages lie in 0...100 and are rounded; watts and degrees
/// may have decimals and are kept to a thousandth. `vendor` is 1 to 32 of `a-z 0-9 - _`. An unknown or repeated key, a wrong
/// type or a value out of range makes the whole document invalid. The error names the key, so that a typing mistake never
/// looks like a missing sensor. At most 256 devices are allowed, with at most 16 lines of evidence of 256 bytes each.
///
/// `verdict` is `healthy`, `degraded`, `failed` or `unknown`, and the command's verdict is final, since it knows the card. A
/// verdict should come with evidence. Without a verdict the agent judges by the readings, as it does for every vendor
/// (`Verdicts`).
///
/// The **exit status** follows Nagios plugins and the node problem detector. It summarises what the document states in detail:
///
/// | status | meaning | effect on a device that the document calls healthy |
/// |---|---|---|
/// | 0 | fine | none |
/// | 1 | something is degraded | if no device is degraded or failed, each becomes degraded |
/// | 2 | something failed, or the command could not determine the state | if no device failed, each becomes unknown |
/// | else, or a signal | the command itself is broken | the output is not read; the result is an error |
///
/// So a problem that only the exit status reports is not lost, and a command that cannot determine the state never makes a
/// device failed. Standard error is for people.
package enum AcceleratorContract {
    package static let version: Int64 = 1
    private static let largestIndex: Int64 = 65_535
    private static let largestMilli: Int64 = 1_000_000

    /// The devices of a document in the order of their indices.
    package static func parse(_ output: [UInt8], exitStatus: Int32) throws(HealthError) -> [AcceleratorStatus] {
        guard (0...2).contains(exitStatus), exitStatus == 0 || output.contains(where: { !$0.isBlank }) else {
            let firstLine = output.split(separator: UInt8(ascii: "\n")).first ?? []
            let message = String(decoding: firstLine.prefix(HealthLimits.textBytes), as: UTF8.self).trimmed
            throw HealthError(.commandFailed(status: exitStatus), "", message)
        }
        var json = try ContractReader(output)
        var devices = try document(&json)
        summarise(&devices, exitStatus: exitStatus)
        return devices
    }

    private static func document(_ json: inout ContractReader) throws(HealthError) -> [AcceleratorStatus] {
        var version: Int64?
        var vendor: String?
        var devices: [AcceleratorStatus]?
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "version":
                version = try json.number().whole
                guard version == Self.version else { throw json.failure(.unsupported, "this agent reads version 1") }
            case "vendor": vendor = try Self.vendor(&json)
            case "devices": devices = try Self.devices(&json)
            default: throw json.unknownKey()
            }
        }
        try json.expectEnd()
        guard version != nil else { throw json.failure(.missingKey, "\"version\"") }
        guard let vendor else { throw json.failure(.missingKey, "\"vendor\"") }
        guard var devices else { throw json.failure(.missingKey, "\"devices\"") }
        for index in devices.indices { devices[index].vendor = vendor }
        return devices
    }

    static func vendor(_ json: inout ContractReader) throws(HealthError) -> String {
        let vendor = try json.string()
        let isName = vendor.utf8.allSatisfy { byte in
            byte.isDigit || (byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "z")) || byte == UInt8(ascii: "-")
                || byte == UInt8(ascii: "_")
        }
        guard isName, (1...32).contains(vendor.utf8.count) else {
            throw json.failure(.invalidValue, "expected 1 to 32 of a-z 0-9 - _")
        }
        return vendor
    }

    /// The array of devices, sorted; vendor is left empty.
    static func devices(_ json: inout ContractReader) throws(HealthError) -> [AcceleratorStatus] {
        var devices: [AcceleratorStatus] = []
        try json.beginArray()
        while try json.nextElement() {
            guard devices.count < Limits.acceleratorsPerNode else {
                throw json.failure(.tooLarge, "more than \(Limits.acceleratorsPerNode) devices")
            }
            let device = try self.device(&json)
            guard !devices.contains(where: { $0.index == device.index }) else {
                throw json.failure(.invalidValue, "index \(device.index) twice")
            }
            devices.append(device)
        }
        return devices.sorted { $0.index < $1.index }
    }

    private static func device(_ json: inout ContractReader) throws(HealthError) -> AcceleratorStatus {
        var device = AcceleratorStatus(vendor: "", index: -1)
        var verdict: Verdict?
        try json.beginObject()
        while let key = try json.nextKey() {
            if try json.takeNull() {
                guard key != "index", isKnown(key) else {
                    throw key == "index" ? json.failure(.invalidValue, "null") : json.unknownKey()
                }
                continue
            }
            switch key {
            case "index": device.index = try whole(&json, 0...largestIndex)
            case "uuid": device.uuid = try json.string()
            case "model": device.model = try json.string()
            case "serial": device.serial = try json.string()
            case "pciAddress": device.pciAddress = try json.string()
            case "driverVersion": device.driverVersion = try json.string()
            case "memoryTotalBytes": device.memoryTotalBytes = try whole(&json)
            case "memoryUsedBytes": device.memoryUsedBytes = try whole(&json)
            case "utilizationPercent": device.utilizationPercent = try percent(&json)
            case "memoryUtilizationPercent": device.memoryUtilizationPercent = try percent(&json)
            case "temperatureCelsius": device.temperatureMilliCelsius = try milli(&json, -largestMilli...largestMilli)
            case "memoryTemperatureCelsius":
                device.memoryTemperatureMilliCelsius = try milli(&json, -largestMilli...largestMilli)
            case "powerWatts": device.powerMilliwatts = try milli(&json, 0...largestMilli * 100)
            case "powerLimitWatts": device.powerLimitMilliwatts = try milli(&json, 0...largestMilli * 100)
            case "correctableErrors": device.correctableErrors = try whole(&json)
            case "uncorrectableErrors": device.uncorrectableErrors = try whole(&json)
            case "throttleReasons": device.throttleReasons = try lines(&json)
            case "verdict":
                verdict = Verdict(rawValue: try json.string())
                if verdict == nil { throw json.failure(.invalidValue, "expected healthy, degraded, failed or unknown") }
            case "evidence": device.evidence = try lines(&json)
            default: throw json.unknownKey()
            }
        }
        guard device.index >= 0 else { throw json.failure(.missingKey, "\"index\"") }
        if let verdict {
            device.verdict = verdict
        } else {
            let evidence = device.evidence
            device.judge()
            device.evidence = Array((device.evidence + evidence).prefix(HealthLimits.evidenceLines))
        }
        return device
    }

    private static func isKnown(_ key: String) -> Bool {
        [
            "index", "uuid", "model", "serial", "pciAddress", "driverVersion", "memoryTotalBytes", "memoryUsedBytes",
            "utilizationPercent", "memoryUtilizationPercent", "temperatureCelsius", "memoryTemperatureCelsius",
            "powerWatts", "powerLimitWatts", "correctableErrors", "uncorrectableErrors", "throttleReasons", "verdict",
            "evidence",
        ].contains(key)
    }

    private static func whole(
        _ json: inout ContractReader, _ range: ClosedRange<Int64> = 0...Int64.max
    ) throws(HealthError) -> Int64 {
        guard let value = try json.number().whole, range.contains(value) else {
            let bound = range.upperBound == .max ? "from \(range.lowerBound)" : "in \(range)"
            throw json.failure(.invalidValue, "expected a whole number \(bound)")
        }
        return value
    }

    private static func percent(_ json: inout ContractReader) throws(HealthError) -> Int64 {
        let number = try json.number()
        guard number.mantissa >= 0, let value = number.scaled(byPowerOfTen: 0), value <= 100 else {
            throw json.failure(.invalidValue, "expected 0...100")
        }
        return value
    }

    private static func milli(
        _ json: inout ContractReader, _ range: ClosedRange<Int64>
    ) throws(HealthError) -> Int64 {
        guard let value = try json.number().scaled(byPowerOfTen: 3), range.contains(value) else {
            throw json.failure(.invalidValue, "expected \(range.lowerBound / 1000)...\(range.upperBound / 1000)")
        }
        return value
    }

    private static func lines(_ json: inout ContractReader) throws(HealthError) -> [String] {
        var lines: [String] = []
        try json.beginArray()
        while try json.nextElement() {
            guard lines.count < HealthLimits.evidenceLines else {
                throw json.failure(.tooLarge, "more than \(HealthLimits.evidenceLines) lines")
            }
            lines.append(try json.string())
        }
        return lines
    }

    private static func summarise(_ devices: inout [AcceleratorStatus], exitStatus: Int32) {
        let worst = Verdicts.worst(devices) ?? .healthy
        let verdict: Verdict
        switch exitStatus {
        case 1 where worst < .degraded: verdict = .degraded
        case 2 where worst < .failed: verdict = .unknown
        default: return
        }
        for index in devices.indices where devices[index].verdict == .healthy {
            devices[index].verdict = verdict
            devices[index].evidence.insert("the command ended with status \(exitStatus)", at: 0)
            devices[index].evidence = Array(devices[index].evidence.prefix(HealthLimits.evidenceLines))
        }
    }
}
