import Base
import Foundation
import Health
import Testing
import Wire

@Suite struct NvidiaTests {
    @Test func `every recorded report gives the figures that it contains`() throws {
        let files = Fixtures.list("nvidia/xml") { $0.hasSuffix(".xml") }
        #expect(files.count >= 12)
        for file in files {
            let name = file.lastPathComponent
            let devices: [AcceleratorStatus]
            do {
                devices = try NvidiaSMI.parse(Fixtures.bytes(file))
            } catch {
                Issue.record("\(name): \(error)")
                continue
            }
            #expect(!devices.isEmpty, "\(name)")
            expectSane(devices, name)
            let expected = file.deletingPathExtension().appendingPathExtension("expected.json")
            if FileManager.default.fileExists(atPath: expected.path()) {
                try expect(devices, matchFile: expected, name)
            } else {
                #expect(Fixtures.extra != nil, "\(name) has no expected values")
            }
        }
    }

    @Test func `cards keep the kernel's number whatever their order in the report`() throws {
        let devices = try report("openpai-nvidia_smi_out_of_order")
        #expect(devices.map(\.index) == [0, 1, 2, 3])
        #expect(devices.map(\.pciAddress) == ["f8d6:00:00.0", "1580:00:00.0", "2df7:00:00.0", "4968:00:00.0"])
        #expect(devices.map { $0.processes.map(\.pid) } == [[], [58813], [58642], []])
    }

    @Test func `a card that lost its number takes a free one and moves no other`() throws {
        let devices = try report("openpai-nvidia_smi_out_of_order") {
            $0.replacing("<minor_number>2</minor_number>", with: "<minor_number>ERR!</minor_number>")
        }
        #expect(devices.map(\.index) == [0, 1, 2, 3])
        #expect(devices[2].pciAddress == "2df7:00:00.0")
        let twice = try report("openpai-nvidia_smi_out_of_order") {
            $0.replacing("<minor_number>2</minor_number>", with: "<minor_number>1</minor_number>")
        }
        #expect(twice.map(\.index) == [0, 1, 2, 3])
        #expect(twice[1].pciAddress == "1580:00:00.0")
    }

    @Test func `a card whose readings are all errors fails alone`() throws {
        let devices = try report("openpai-nvidia_smi_out_of_order") { text in
            let second = text.ranges(of: "<gpu id=")[1].lowerBound
            let third = text.ranges(of: "<gpu id=")[2].lowerBound
            var broken = String(text[second..<third])
            for tag in ["product_name", "gpu_temp", "power_draw", "gpu_util", "memory_util", "total", "serial"] {
                let parts = broken.components(separatedBy: "<\(tag)>")
                broken = parts[0] + parts.dropFirst().map { "<\(tag)>ERR!" + $0.drop { $0 != "<" } }.joined()
            }
            return text[..<second] + broken + text[third...]
        }
        #expect(devices.map(\.verdict) == [.healthy, .healthy, .failed, .healthy])
        let broken = devices[2]
        #expect(broken.evidence.contains("product_name reports ERR!"))
        #expect(broken.evidence.contains("temperature/gpu_temp reports ERR!"))
        #expect(broken.model == nil && broken.temperatureMilliCelsius == nil && broken.memoryTotalBytes == nil)
        #expect(broken.powerMilliwatts == nil && broken.utilizationPercent == nil && broken.serial == nil)
        #expect(broken.uuid == "GPU-b01b80eb-0f18-1df0-cf88-0725bd90f1e1")
        #expect(broken.processes.count == 1)
    }

    @Test(arguments: [
        ("<gpu_temp>27 C<", "<gpu_temp>[GPU requires reset]<", Verdict.failed),
        ("<gpu_temp>27 C<", "<gpu_temp>GPU requires reset<", .failed),
        ("<gpu_temp>27 C<", "<gpu_temp>GPU is lost<", .failed),
        ("<gpu_temp>27 C<", "<gpu_temp>[Unknown Error]<", .failed),
        ("<gpu_temp>27 C<", "<gpu_temp>Unknown Error<", .failed),
        ("<fan_speed>N/A<", "<fan_speed>ERR!<", .degraded),
        ("<addressing_mode>None<", "<addressing_mode>Unknown Error<", .healthy),
        ("<gpu_temp>27 C<", "<gpu_temp>N/A<", .healthy),
        ("<reset_required>No<", "<reset_required>Yes<", .failed),
        ("<drain_and_reset_recommended>No<", "<drain_and_reset_recommended>Yes<", .degraded),
        (
            "<dram_uncorrectable>0</dram_uncorrectable>\n            </volatile>",
            "<dram_uncorrectable>3</dram_uncorrectable>\n            </volatile>", .failed
        ),
        (
            "<dram_uncorrectable>0</dram_uncorrectable>\n            </aggregate>",
            "<dram_uncorrectable>3</dram_uncorrectable>\n            </aggregate>", .healthy
        ),
        ("<dram_correctable>0<", "<dram_correctable>9<", .healthy),
        ("<pending_retirement>N/A<", "<pending_retirement>Yes<", .degraded),
        ("<pending_blacklist>N/A<", "<pending_blacklist>Yes<", .degraded),
        (
            "<remapped_rows>N/A<",
            "<remapped_rows><remapped_row_pending>Yes</remapped_row_pending></remapped_rows><x>N/A</x><remapped_rows>N/A<",
            .degraded
        ),
        (
            "<remapped_rows>N/A<",
            "<remapped_rows><remapped_row_failure>Yes</remapped_row_failure></remapped_rows><remapped_rows>N/A<",
            .failed
        ),
        ("hw_slowdown>Not Active<", "hw_slowdown>Active<", .degraded),
        ("hw_thermal_slowdown>Not Active<", "hw_thermal_slowdown>Active<", .degraded),
        ("hw_power_brake_slowdown>Not Active<", "hw_power_brake_slowdown>Active<", .degraded),
        ("sw_power_cap>Not Active<", "sw_power_cap>Active<", .healthy),
        ("gpu_idle>Not Active<", "gpu_idle>Active<", .healthy),
        ("<ibmnpu>", "<gpu_recovery_action>Reboot</gpu_recovery_action><ibmnpu>", .failed),
        ("<ibmnpu>", "<gpu_recovery_action>Drain P2P</gpu_recovery_action><ibmnpu>", .degraded),
        ("<ibmnpu>", "<gpu_recovery_action>None</gpu_recovery_action><ibmnpu>", .healthy),
    ])
    func `one changed reading changes the verdict as its meaning demands`(
        from: String, to: String, verdict: Verdict
    ) throws {
        let devices = try report("a100-sxm4-v12") { text in
            #expect(text.contains(from), "the recorded report has no \(from)")
            return text.replacing(from, with: to)
        }
        #expect(devices.count == 1)
        #expect(devices[0].verdict == verdict, "\(devices[0].evidence)")
        #expect(devices[0].evidence.isEmpty == (verdict == .healthy))
    }

    @Test func `errors of MIG instances count where the card itself gives none`() throws {
        let devices = try report("a100-sxm4-v12") { text in
            text.replacing("            <volatile>", with: "            <volatil>")
                .replacing("            </volatile>", with: "            </volatil>")
                .replacing(
                    "<sram_uncorrectable>0</sram_uncorrectable>\n                    </volatile_count>",
                    with: "<sram_uncorrectable>2</sram_uncorrectable>\n                    </volatile_count>")
        }
        #expect(devices[0].uncorrectableErrors == 8)
        #expect(devices[0].migMode == true)
    }

    @Test func `every unit and every spelling of absence is understood`() throws {
        func temperature(_ text: String) throws -> Int64? {
            try report("a100-sxm4-v12") { $0.replacing("<gpu_temp>27 C<", with: "<gpu_temp>\(text)<") }[0]
                .temperatureMilliCelsius
        }
        #expect(try temperature(" -7 C ") == -7000)
        #expect(try temperature("0 C") == 0)
        #expect(try temperature("41.25 C") == 41250)
        let absent = [
            "N/A", "[N/A]", " N/A ", "NA", "-", "", "N/A (Secondary die)", "None", "unknown", "/", "Not Found",
            "[Requested functionality has been deprecated]", "Requested functionality has been deprecated",
            "9223372036854775794", "[Not Supported]", "27", "27 F", "warm", "99999999999999999999 C",
        ]
        for spelling in absent { #expect(try temperature(spelling) == nil, "\(spelling)") }

        func memory(_ text: String) throws -> Int64? {
            try report("a100-sxm4-v12") { $0.replacing("<used>50 MiB<", with: "<used>\(text)<") }[0].memoryUsedBytes
        }
        #expect(try memory("0 MiB") == 0)
        #expect(try memory("80 GiB") == 80 << 30)
        #expect(try memory("9000000000000 TiB") == nil)
        #expect(try memory("-1 MiB") == nil)
    }

    @Test func `a cut-off report is an error that names where it ends`() throws {
        let whole = try Fixtures.bytes("nvidia/xml/openpai-nvidia_smi_out_of_order.xml")
        let text = String(decoding: whole, as: UTF8.self)
        let third = text.utf8.distance(
            from: text.startIndex, to: text.ranges(of: "<gpu id=")[2].lowerBound)
        let temperature = whole[third...].firstRange(of: Array("<gpu_temp>".utf8))!
        let error = #expect(throws: HealthError.self) { try NvidiaSMI.parse(Array(whole[..<temperature.upperBound])) }
        #expect(error?.reason == .truncated)
        #expect(error?.place == "nvidia_smi_log/gpu[2]/temperature/gpu_temp")
        #expect(error?.line == whole[..<temperature.upperBound].count { $0 == 10 } + 1)
        for end in stride(from: 60, to: whole.count - 20, by: 487) {
            #expect(throws: HealthError.self, "cut at \(end)") { try NvidiaSMI.parse(Array(whole[..<end])) }
        }
    }

    @Test func `the name of a process cannot break the reading of a report`() throws {
        for name in ["</process_nam>", "<stdin>", "a & b &amp; &#65; &bogus;", "<!-- x", "]]>", "ERR!", "GPU is lost"] {
            let devices = try report("a10g") {
                $0.replacing("/usr/lib/xorg/Xorg<", with: "\(name)<")
            }
            let shown = name.replacing("&amp; &#65;", with: "& A")
            #expect(devices[0].processes.map(\.name) == [shown])
            #expect(devices[0].temperatureMilliCelsius == 17000)
            #expect(devices[0].processes[0].memoryBytes == 22 << 20)
        }
        let long = try report("a10g") {
            $0.replacing("/usr/lib/xorg/Xorg<", with: String(repeating: "ä", count: 5000) + "<")
        }
        #expect(long[0].processes[0].name == String(repeating: "ä", count: 128))
    }

    @Test func `a lost card is named by its address when it keeps the tool from reporting`() throws {
        let output = try Fixtures.bytes("nvidia/messages/lost-gpu-whole-output.txt")
        let error = #expect(throws: HealthError.self) { try NvidiaSMI.parse(output, exitStatus: 15) }
        #expect(error?.reason == .deviceLost(pciAddress: "0000:05:00.0"))

        var first = AcceleratorStatus(vendor: "nvidia", index: 0)
        first.pciAddress = "0000:04:00.0"
        first.temperatureMilliCelsius = 40_000
        first.verdict = .healthy
        var second = first
        second.index = 1
        second.pciAddress = "0000:05:00.0"
        let after = AcceleratorProbe.devices(after: try #require(error), last: [first, second])
        #expect(after.map(\.verdict) == [.unknown, .failed])
        #expect(after.allSatisfy { $0.temperatureMilliCelsius == nil && $0.evidence.count == 1 })
    }

    @Test func `every recorded wording of a lost card is understood`() throws {
        for line in try Fixtures.text("nvidia/messages/lost-gpu-messages.tsv").split(separator: "\n").dropFirst() {
            let message = try #require(line.split(separator: "\t").last)
            let alone = #expect(throws: HealthError.self) { try NvidiaSMI.parse(Array(message.utf8), exitStatus: 15) }
            guard case .deviceLost(let address)? = alone?.reason else {
                Issue.record("\(message): \(alone.map(String.init(describing:)) ?? "read")")
                continue
            }
            #expect(address == nil || address == "0000:05:00.0" || address == "0000:01:00.0")
            // With a report, only that card is lost.
            let report = try Fixtures.bytes("nvidia/xml/openpai-nvidia_smi_sample.xml")
            let devices = try NvidiaSMI.parse(Array(message.utf8) + [10] + report)
            switch address {
            case "0000:01:00.0":
                #expect(devices.map(\.verdict) == [.failed, .healthy])
            case "0000:05:00.0":
                #expect(devices.map(\.index) == [0, 1, 2])
                #expect(devices.map(\.verdict) == [.healthy, .healthy, .failed])
                #expect(devices[2].pciAddress == "0000:05:00.0")
            default: #expect(devices.map(\.verdict) == [.healthy, .healthy])
            }
        }
    }

    @Test func `a warning after the report reaches its card`() throws {
        let report = try Fixtures.bytes("nvidia/xml/tesla-t4.xml")
        let warning = Array("WARNING: infoROM is corrupted at gpu 0000:00:1E.0\n".utf8)
        let devices = try NvidiaSMI.parse(report + warning, exitStatus: 14)
        #expect(devices.map(\.verdict) == [.degraded])
    }

    @Test func `what is no report is an error with the tool's first words`() {
        func failure(_ text: String, _ status: Int32) -> HealthError? {
            #expect(throws: HealthError.self) { try NvidiaSMI.parse(Array(text.utf8), exitStatus: status) }
        }
        let words = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
        #expect(failure(words + "\nMore.\n", 9)?.reason == .commandFailed(status: 9))
        #expect(failure(words + "\nMore.\n", 9)?.detail == words)
        #expect(failure("", 0)?.reason == .malformed)
        #expect(failure("<?xml version=\"1.0\"?><html></html>", 0)?.reason == .malformed)
        #expect(failure("<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b \"c\">]><a/>", 0)?.reason == .unsupported)
    }

    @Test func `more cards than a node may have are refused`() throws {
        let one = "<gpu id=\"0\"><minor_number>0</minor_number></gpu>"
        func parse(_ count: Int) throws -> [AcceleratorStatus] {
            let body = String(repeating: one, count: count)
            return try NvidiaSMI.parse(Array("<nvidia_smi_log>\(body)</nvidia_smi_log>".utf8))
        }
        #expect(
            try parse(Limits.acceleratorsPerNode).map(\.index) == (0..<Int64(Limits.acceleratorsPerNode)).map { $0 })
        #expect(throws: HealthError.self) { try parse(Limits.acceleratorsPerNode + 1) }
    }

    private func report(_ name: String, _ change: (String) -> String = { $0 }) throws -> [AcceleratorStatus] {
        try NvidiaSMI.parse(Array(change(try Fixtures.text("nvidia/xml/\(name).xml")).utf8))
    }
}
