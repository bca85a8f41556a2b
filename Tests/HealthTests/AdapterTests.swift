import Base
import Foundation
import Health
import Testing
import Wire

@Suite struct AdapterTests {
    /// `quiet.exit2.json` is the output of a command that ended with status 2.
    private func exitStatus(_ file: URL) -> Int32 {
        file.lastPathComponent.firstMatch(of: #/\.exit(\d+)\./#).flatMap { Int32($0.1) } ?? 0
    }

    @Test func `documents that keep the contract are read`() throws {
        let files = Fixtures.list("accelerators/exec/good") { $0.hasSuffix(".json") && !$0.contains(".expected.") }
        #expect(files.count >= 6)
        for file in files {
            let name = file.lastPathComponent
            let devices = try AcceleratorProbe.exec(command: ["x"]).parse(
                output: Fixtures.bytes(file), exitStatus: exitStatus(file))
            expectSane(devices, name)
            let expected = file.deletingPathExtension().appendingPathExtension("expected.json")
            if FileManager.default.fileExists(atPath: expected.path()) {
                try expect(devices, matchFile: expected, name)
            } else {
                #expect(Fixtures.extra != nil, "\(name) has no expected values")
            }
        }
    }

    @Test func `documents that break the contract are refused with the key that does`() throws {
        let files = Fixtures.list("accelerators/exec/bad") { $0.hasSuffix(".json") }
        #expect(files.count >= 25)
        for file in files {
            let name = file.lastPathComponent
            let bytes = try Fixtures.bytes(file)
            let error = #expect(throws: HealthError.self, "\(name)") {
                try AcceleratorProbe.exec(command: ["x"]).parse(output: bytes, exitStatus: exitStatus(file))
            }
            let words = file.deletingPathExtension().appendingPathExtension("error")
            guard let words = try? String(contentsOf: words, encoding: .utf8) else { continue }
            let desired = words.trimmingCharacters(in: .newlines)
            #expect(error?.description.contains(desired) == true, "\(name): \(error?.description ?? "read")")
        }
    }

    @Test func `a command that fails without a document is an error with its first words`() {
        let probe = AcceleratorProbe.exec(command: ["zx-health"])
        for (status, output) in [(Int32(127), "zx-health: not found\n"), (137, "{}"), (3, "?"), (1, ""), (2, " \n")] {
            let error = #expect(throws: HealthError.self) {
                try probe.parse(output: Array(output.utf8), exitStatus: status)
            }
            #expect(error?.reason == .commandFailed(status: status))
        }
    }

    @Test func `the contract's limits hold`() throws {
        func document(_ count: Int) -> [UInt8] {
            let devices = (0..<count).map { "{\"index\":\($0)}" }.joined(separator: ",")
            return Array("{\"version\":1,\"vendor\":\"v\",\"devices\":[\(devices)]}".utf8)
        }
        #expect(try AcceleratorContract.parse(document(256), exitStatus: 0).count == 256)
        #expect(throws: HealthError.self) { try AcceleratorContract.parse(document(257), exitStatus: 0) }
        #expect(throws: HealthError.self) {
            try AcceleratorContract.parse([UInt8](repeating: 32, count: HealthLimits.jsonBytes + 1), exitStatus: 0)
        }
    }

    @Test func `a trace plays each sample until the next and the last forever`() throws {
        let trace = try ReplayTrace(parsing: Fixtures.bytes("replay/good/card-dies.jsonl"))
        #expect(trace.count == 4)
        #expect(trace.lastChange == .seconds(3600))
        func verdicts(_ time: Interval) -> [Verdict] { trace.devices(at: time).map(\.verdict) }
        #expect(verdicts(.milliseconds(-1)) == [])
        #expect(verdicts(.zero) == [.healthy, .healthy])
        #expect(verdicts(.milliseconds(59_999)) == [.healthy, .healthy])
        #expect(verdicts(.seconds(60)) == [.failed, .healthy])
        #expect(trace.devices(at: .seconds(60))[0].temperatureMilliCelsius == 84_500)
        #expect(trace.devices(at: .seconds(90)).map(\.index) == [1])
        #expect(verdicts(.seconds(1_000_000)) == [.healthy, .healthy])
        #expect(trace.devices(at: .seconds(1_000_000)).map(\.vendor) == ["nvidia", "nvidia"])
    }

    @Test func `traces in the folders are read or refused as the folder's name states`() throws {
        for file in Fixtures.list("replay/good", where: { $0.hasSuffix(".jsonl") }) {
            let trace = try ReplayTrace(parsing: Fixtures.bytes(file))
            #expect(trace.count > 0, "\(file.lastPathComponent)")
        }
        let bad = Fixtures.list("replay/bad") { $0.hasSuffix(".jsonl") }
        #expect(bad.count >= 5)
        for file in bad {
            let bytes = try Fixtures.bytes(file)
            let error = #expect(throws: HealthError.self) { try ReplayTrace(parsing: bytes) }
            let words = file.deletingPathExtension().appendingPathExtension("error")
            guard let words = try? String(contentsOf: words, encoding: .utf8) else { continue }
            let desired = words.trimmingCharacters(in: .newlines)
            #expect(
                error?.description.contains(desired) == true, "\(file.lastPathComponent): \(error?.description ?? "")")
        }
        #expect(try ReplayTrace(parsing: []).devices(at: .zero) == [])
    }

    @Test func `a probe names the command and reads its output`() throws {
        #expect(AcceleratorProbe.nvidia().command == ["/usr/bin/nvidia-smi", "-q", "-x"])
        #expect(AcceleratorProbe.exec(command: ["a", "b"]).command == ["a", "b"])
        #expect(AcceleratorProbe.none.command == [] && AcceleratorProbe.replay(path: "/t").command == [])
        #expect(AcceleratorProbe.replay(path: "/t").tracePath == "/t")
        #expect(try AcceleratorProbe.none.parse(output: [1], exitStatus: 1) == [])
        let report = try Fixtures.bytes("nvidia/xml/tesla-t4.xml")
        #expect(try AcceleratorProbe.nvidia().parse(output: report, exitStatus: 0).map(\.model) == ["Tesla T4"])
        let trace = try Fixtures.bytes("replay/good/card-dies.jsonl")
        #expect(try AcceleratorProbe.replay(path: "/t").parse(output: trace, exitStatus: 0).count == 2)
    }

    @Test func `after an error the devices are known and their readings are not`() {
        var known = AcceleratorStatus(vendor: "ascend", index: 7)
        known.uuid = "u"
        known.powerMilliwatts = 1
        known.verdict = .failed
        let error = HealthError(.commandFailed(status: 137), "")
        let after = AcceleratorProbe.devices(after: error, last: [known])
        #expect(after.map(\.index) == [7] && after[0].uuid == "u" && after[0].powerMilliwatts == nil)
        #expect(after[0].verdict == .unknown)
        #expect(after[0].evidence == ["command ended with status 137"])
    }
}

@Suite struct VerdictTests {
    private func status(_ change: (inout AcceleratorStatus) -> Void = { _ in }) -> AcceleratorStatus {
        var status = AcceleratorStatus(vendor: "v", index: 0)
        status.temperatureMilliCelsius = 40_000
        change(&status)
        return status
    }

    @Test func `each rule gives its verdict and the most severe comes first`() {
        #expect(Verdicts.judge(status()).verdict == .healthy)
        #expect(Verdicts.judge(status { $0.uncorrectableErrors = 0 }).verdict == .healthy)
        #expect(Verdicts.judge(status { $0.uncorrectableErrors = 1 }).verdict == .failed)
        #expect(Verdicts.judge(status { $0.correctableErrors = 1_000_000 }).verdict == .healthy)
        #expect(Verdicts.judge(status { $0.rowRemapFailed = true }).verdict == .failed)
        #expect(Verdicts.judge(status { $0.rowRemapPending = true }).verdict == .degraded)
        #expect(Verdicts.judge(status { $0.retiredPagesPending = true }).verdict == .degraded)
        #expect(
            Verdicts.judge(status { $0.throttleReasons = ["sw_thermal_slowdown", "sync_boost"] }).verdict == .healthy)
        let several = Verdicts.judge(
            status {
                $0.throttleReasons = ["hw_slowdown"]
                $0.rowRemapPending = true
                $0.uncorrectableErrors = 4
            }, faults: [Verdicts.Fault(.degraded, "fan")])
        #expect(several.verdict == .failed)
        #expect(several.evidence.count == 4)
        #expect(several.evidence[0] == "4 uncorrectable memory errors since the driver was loaded")
        #expect(several.evidence[1] == "fan")
    }

    @Test func `missing data is unknown and never worse`() {
        #expect(Verdicts.judge(AcceleratorStatus(vendor: "v", index: 0)).verdict == .unknown)
        let readings: [(inout AcceleratorStatus) -> Void] = [
            { $0.memoryTotalBytes = 0 }, { $0.memoryUsedBytes = 0 }, { $0.utilizationPercent = 0 },
            { $0.temperatureMilliCelsius = 0 }, { $0.powerMilliwatts = 0 },
        ]
        for reading in readings {
            var status = AcceleratorStatus(vendor: "v", index: 0)
            reading(&status)
            #expect(Verdicts.judge(status).verdict == .healthy)
        }
        #expect(Verdicts.worst([]) == nil)
    }
}
