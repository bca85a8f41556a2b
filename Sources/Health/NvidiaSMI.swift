import Base
package import Wire

/// # The report of nvidia-smi -q -x
///
/// The report has one `<gpu>` per card. Its schema has changed with the driver (v9 to v13, and drivers that name none):
/// `power_readings` became `gpu_power_readings`, throttle reasons became event reasons, two ECC totals became SRAM and
/// DRAM; an old card lacks whole blocks. So the parser knows paths, not schemas: it reads the paths that it knows and skips
/// all others, and what is missing stays `nil`.
///
/// **The index of a card.** The report holds no number but the kernel's minor number (/dev/nvidia2). A card keeps it when
/// another is lost, while its place in the list would shift. So the index is the minor number; a card without one (a broken
/// card, Windows, very old drivers) takes its place in the list if that is free, else the lowest free number.
///
/// **Lines around the report.** A lost card makes nvidia-smi print `Unable to determine the device handle for GPU
/// 0000:05:00.0: GPU is lost.` before, after, or instead of the report, and a corrupted infoROM a warning. Such a line is
/// assigned to the card with that address, which is added to the list if the report omits it. With no report at all nothing
/// is known of the other cards, and the result is an error; `AcceleratorProbe.devices(after:last:)` turns it into statuses.
///
/// **Exit status** (nvidia-smi(1)): 0 is fine; 14 is the infoROM warning; the others come without a report, or with a report
/// that states the same. So a readable report counts, and the exit status does not.
package enum NvidiaSMI {
    package static let arguments = ["-q", "-x"]

    /// The cards in the order of their indices. Throws where there is no whole report.
    package static func parse(_ output: [UInt8], exitStatus: Int32 = 0) throws(HealthError) -> [AcceleratorStatus] {
        guard let start = reportStart(output) else { throw failureWithoutReport(output, exitStatus) }
        var report: Report
        do throws(XMLError) {
            report = try Report(output, from: start)
            try report.read()
        } catch { throw HealthError(error) }
        for message in messages(output[..<start]) + messages(output[report.end...]) { report.apply(message) }
        return report.finished()
    }

    fileprivate struct Message {
        var fault: Verdicts.Fault
        var address: String?
        var isLost: Bool
    }

    /// A report while it is being read.
    fileprivate struct Report {
        var xml: XMLReader
        var devices: [NvidiaDevice] = []
        var driverVersion: String?
        /// Cards that a message calls lost and the report omits.
        var lost: [NvidiaDevice] = []

        init(_ output: [UInt8], from start: Int) throws(XMLError) {
            xml = try XMLReader(
                output, from: start, maximumBytes: HealthLimits.xmlBytes, maximumDepth: HealthLimits.xmlDepth)
        }

        var end: Int { xml.offset }
    }
}

extension NvidiaSMI.Report {
    /// Subtrees of no interest, among them the one that makes up most of a report.
    private static let skipped = ["supported_clocks", "accounted_processes", "supported_gpu_target_temp"]

    mutating func read() throws(XMLError) {
        guard try xml.next() == .start, xml.name == "nvidia_smi_log" else {
            throw xml.failure(.malformed, "the root element is not nvidia_smi_log")
        }
        while let event = try xml.next() {
            switch event {
            case .start where xml.name == "gpu": try readDevice()
            case .start where xml.name == "driver_version": driverVersion = NvidiaReading(try xml.rawText()).text
            case .start: try skip()
            case .text, .end: break
            }
        }
    }

    /// From inside one element to past its end.
    private mutating func skip() throws(XMLError) {
        let depth = xml.depth
        while xml.depth >= depth, try xml.next() != nil {}
    }

    private mutating func readDevice() throws(XMLError) {
        guard devices.count < Limits.acceleratorsPerNode else {
            throw xml.failure(.tooLarge, "more than \(Limits.acceleratorsPerNode) devices")
        }
        var device = NvidiaDevice(tagAddress: xml.attribute("id"))
        let depth = xml.depth
        // Names below <gpu>; with each, whether a child element was seen.
        var path: [(name: String, hasChildren: Bool)] = []
        var text: [UInt8] = []
        do {
            while xml.depth >= depth, let event = try xml.next() {
                switch event {
                case .start:
                    let name = xml.name
                    if Self.skipped.contains(name) {
                        try skip()
                        continue
                    }
                    if let last = path.indices.last { path[last].hasChildren = true }
                    path.append((name, false))
                    text.removeAll(keepingCapacity: true)
                    guard name == "process_name" else { continue }
                    text = try xml.rawText()
                    device.ended(path.map(\.name).joined(separator: "/"), text)
                    path.removeLast()
                case .text:
                    if path.isEmpty { device.stray(xml.text) } else { text.append(contentsOf: xml.text) }
                case .end:
                    guard let ended = path.last else { continue }
                    let place = path.map(\.name).joined(separator: "/")
                    if ended.hasChildren { device.ended(container: place) } else { device.ended(place, text) }
                    path.removeLast()
                }
            }
        } catch {
            // A path of names does not state which of eight cards it was.
            var error = error
            error.place = error.place.replacingFirst("/gpu", with: "/gpu[\(devices.count)]")
            throw error
        }
        devices.append(device)
    }

    mutating func apply(_ message: NvidiaSMI.Message) {
        if let address = message.address {
            if let index = devices.firstIndex(where: { $0.status.pciAddress == address }) {
                devices[index].add(message.fault)
            } else if message.isLost, !lost.contains(where: { $0.status.pciAddress == address }),
                devices.count + lost.count < Limits.acceleratorsPerNode
            {
                var device = NvidiaDevice(tagAddress: nil)
                device.status.pciAddress = address
                device.add(message.fault)
                lost.append(device)
            }
        } else if devices.count == 1, lost.isEmpty {
            devices[0].add(message.fault)
        }
    }

    consuming func finished() -> [AcceleratorStatus] {
        var taken: [Int64] = []
        var indices: [Int64?] = devices.map { device in
            guard let minor = device.minorNumber, !taken.contains(minor) else { return nil }
            taken.append(minor)
            return minor
        }
        for place in indices.indices where indices[place] == nil {
            let index = taken.contains(Int64(place)) ? Self.lowest(free: taken) : Int64(place)
            taken.append(index)
            indices[place] = index
        }
        for _ in lost {
            let index = Self.lowest(free: taken)
            taken.append(index)
            indices.append(index)
        }
        let version = driverVersion
        // Every device, listed or lost, was given an index above.
        return zip(devices + lost, indices).map { $0.finished(index: $1!, driverVersion: version) }
            .sorted { $0.index < $1.index }
    }

    private static func lowest(free taken: [Int64]) -> Int64 {
        var index: Int64 = 0
        while taken.contains(index) { index += 1 }
        return index
    }
}

extension NvidiaSMI {
    private static func reportStart(_ output: [UInt8]) -> Int? {
        let marks = ["<?xml", "<!DOCTYPE", "<nvidia_smi_log"].map { Array($0.utf8) }
        return output.indices.first { at in
            output[at] == UInt8(ascii: "<") && marks.contains { output[at...].starts(with: $0) }
        }
    }

    private static func failureWithoutReport(_ output: [UInt8], _ exitStatus: Int32) -> HealthError {
        let firstLine = output.split(whereSeparator: { $0 == 10 || $0 == 13 }).first ?? []
        let text = String(decoding: firstLine.prefix(HealthLimits.textBytes), as: UTF8.self).trimmed
        if let message = messages(output[...]).first(where: \.isLost) {
            return HealthError(.deviceLost(pciAddress: message.address), "", text)
        }
        return exitStatus == 0
            ? HealthError(.malformed, "document", line: 1, text.isEmpty ? "no output" : text)
            : HealthError(.commandFailed(status: exitStatus), "", text)
    }

    /// Lines outside the report that name a card; at most as many as there can be cards.
    fileprivate static func messages(_ text: ArraySlice<UInt8>) -> [Message] {
        var messages: [Message] = []
        for line in text.split(separator: UInt8(ascii: "\n")) {
            let line = String(decoding: line.prefix(1024), as: UTF8.self).trimmed.cut(to: HealthLimits.textBytes)
            let lower = line.lowercased()
            let isLost = lower.contains("gpu is lost") || lower.contains("fallen off the bus")
            let isFailed =
                isLost || lower.contains("requires reset") || lower.contains("unable to determine the device")
            let isWarning = lower.contains("inforom is corrupted")
            guard isFailed || isWarning else { continue }
            let fault = Verdicts.Fault(isFailed ? .failed : .degraded, "nvidia-smi reports \(line)")
            messages.append(Message(fault: fault, address: address(in: lower), isLost: isFailed))
            if messages.count == Limits.acceleratorsPerNode { break }
        }
        return messages
    }

    /// The first word shaped like `0000:05:00.0`.
    private static func address(in line: String) -> String? {
        for word in line.split(whereSeparator: { $0 == " " || $0 == "," || $0 == "\t" }) {
            let word = word.last == ":" ? word.dropLast() : word
            let parts = word.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 3, parts[1].count == 2, parts[2].contains(".") else { continue }
            if parts[0].allSatisfy(\.isHexDigit), !parts[0].isEmpty { return NvidiaDevice.sysfsAddress(String(word)) }
        }
        return nil
    }
}

extension String {
    fileprivate func replacingFirst(_ literal: String, with replacement: String) -> String {
        guard let found = utf8.indices.first(where: { self[$0...].hasPrefix(literal) }) else { return self }
        return "\(self[..<found])\(replacement)\(self[found...].dropFirst(literal.count))"
    }
}
