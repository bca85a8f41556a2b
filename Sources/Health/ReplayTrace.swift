package import Base
package import Wire

/// # A recorded machine, played back
///
/// A trace replaces the vendor's tool: to rehearse what a fleet does when a card fails, and to test everything above the
/// adapters without hardware. It is a text file of JSON lines, each one sample:
///
///     {"atMilliseconds": 0, "vendor": "nvidia", "devices": [{"index": 0, "temperatureCelsius": 41}]}
///     {"atMilliseconds": 60000, "devices": [{"index": 0, "uncorrectableErrors": 1}]}
///
/// `devices` is the same as in the exec contract (`AcceleratorContract`), field for field. `atMilliseconds` counts from the
/// start of the playback, and must grow from line to line. `vendor` holds until another line names one; before that it is
/// `replay`. Blank lines are allowed, and so are lines that begin with `#`. A sample holds until the next one, and the last
/// one holds forever. Before the first one nothing is known, so there are no devices.
package struct ReplayTrace: Sendable {
    private var samples: [(at: Interval, devices: [AcceleratorStatus])] = []

    /// Errors name the line of the file.
    package init(parsing file: [UInt8]) throws(HealthError) {
        guard file.count <= HealthLimits.traceBytes else {
            throw HealthError(.tooLarge, "trace", line: 1, "\(file.count) bytes")
        }
        var vendor = "replay"
        var devices = 0
        var number = 0
        for line in file.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            guard let first = line.first(where: { !$0.isBlank }), first != UInt8(ascii: "#") else { continue }
            guard samples.count < HealthLimits.traceSamples, devices < HealthLimits.traceDevices else {
                throw HealthError(.tooLarge, "trace", line: number, at: line.startIndex, "too many samples")
            }
            do {
                try add(Array(line), number, &vendor)
            } catch {
                var error = error
                error.offset += line.startIndex
                throw error
            }
            devices += samples[samples.count - 1].devices.count
        }
    }

    /// What the machine reports at this time after the start.
    package func devices(at time: Interval) -> [AcceleratorStatus] {
        var low = 0
        var high = samples.count
        while low < high {
            let middle = (low + high) / 2
            if samples[middle].at <= time { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? [] : samples[low - 1].devices
    }

    package var count: Int { samples.count }
    /// When the last sample begins; `nil` for a trace without any.
    package var lastChange: Interval? { samples.last?.at }

    private mutating func add(_ line: [UInt8], _ number: Int, _ vendor: inout String) throws(HealthError) {
        var json = try ContractReader(line, firstLine: number)
        var at: Int64?
        var devices: [AcceleratorStatus]?
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "atMilliseconds":
                at = try json.number().whole
                guard let at, at >= 0, at <= Int64.max / 1_000_000 else {
                    throw json.failure(.invalidValue, "expected whole milliseconds since the start")
                }
                guard samples.last.map({ $0.at < .milliseconds(at) }) ?? true else {
                    throw json.failure(.invalidValue, "time does not grow")
                }
            case "vendor": vendor = try AcceleratorContract.vendor(&json)
            case "devices": devices = try AcceleratorContract.devices(&json)
            default: throw json.unknownKey()
            }
        }
        try json.expectEnd()
        guard let at else { throw json.failure(.missingKey, "\"atMilliseconds\"") }
        guard var devices else { throw json.failure(.missingKey, "\"devices\"") }
        for index in devices.indices { devices[index].vendor = vendor }
        samples.append((.milliseconds(at), devices))
    }
}
