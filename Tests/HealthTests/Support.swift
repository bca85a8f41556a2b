import Base
import Foundation
import Health
import Testing
import Wire

/// Recorded files, and those that a reviewer adds.
enum Fixtures {
    static let own = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Fixtures")
    static let extra = ProcessInfo.processInfo.environment["ASTERISM_EXTRA_FIXTURES"].map { URL(filePath: $0) }

    /// Files or folders in `folder`, of ours and of the extra Fixtures, whose names pass.
    static func list(_ folder: String, where isRequested: (String) -> Bool) -> [URL] {
        [own, extra].compactMap { $0?.appending(path: folder) }.flatMap { folder in
            ((try? FileManager.default.contentsOfDirectory(atPath: folder.path())) ?? [])
                .filter(isRequested).sorted().map { folder.appending(path: $0) }
        }
    }
    static func bytes(_ url: URL) throws -> [UInt8] { [UInt8](try Data(contentsOf: url)) }
    static func bytes(_ path: String) throws -> [UInt8] { try bytes(own.appending(path: path)) }
    static func text(_ path: String) throws -> String { String(decoding: try bytes(path), as: UTF8.self) }
}

/// Compares every figure named in the expected JSON with the status; `null` means that it must be absent.
func expect(_ devices: [AcceleratorStatus], matchFile url: URL, _ file: String) throws {
    let expected = try #require(
        try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [[String: Any]], "\(file): not a list")
    #expect(devices.count == expected.count, "\(file)")
    for (device, expected) in zip(devices, expected) {
        let actual = try #require(
            try JSONSerialization.jsonObject(with: JSONEncoder().encode(device)) as? [String: Any])
        for (key, value) in expected {
            let place = "\(file): device \(device.index) \(key)"
            if value is NSNull {
                #expect(actual[key] == nil, "\(place)")
            } else {
                let isEqual = (actual[key] as? NSObject)?.isEqual(value) ?? false
                #expect(isEqual, "\(place): \(actual[key] ?? "nil") is not \(value)")
            }
        }
    }
}

/// Holds for every status whatever it was read from: absent is `nil`, never a negative or a sentinel.
func expectSane(_ devices: [AcceleratorStatus], _ file: String) {
    #expect(devices.map(\.index) == devices.map(\.index).sorted(), "\(file): order")
    #expect(Set(devices.map(\.index)).count == devices.count, "\(file): an index twice")
    #expect(devices.count <= Limits.acceleratorsPerNode)
    for device in devices {
        #expect(device.index >= 0, "\(file)")
        let figures = [
            device.memoryTotalBytes, device.memoryUsedBytes, device.powerMilliwatts, device.powerLimitMilliwatts,
            device.uncorrectableErrors, device.correctableErrors, device.utilizationPercent,
            device.memoryUtilizationPercent,
        ]
        #expect(figures.allSatisfy { $0 ?? 0 >= 0 }, "\(file)")
        if device.verdict == .failed || device.verdict == .degraded, device.vendor == "nvidia" {
            #expect(!device.evidence.isEmpty, "\(file): a verdict without evidence")
        }
        #expect(device.evidence.count <= HealthLimits.evidenceLines)
        #expect(device.processes.count <= HealthLimits.processesPerDevice)
    }
}

/// A folder of files made for one test, removed with it.
final class Machine {
    let root: String

    init(_ files: [String: String] = [:]) throws {
        root = FileManager.default.temporaryDirectory.appending(path: "asterism-health-\(UUID().uuidString)").path()
        for (path, text) in files { try write(path, text) }
    }
    deinit { try? FileManager.default.removeItem(atPath: root) }

    func write(_ path: String, _ text: String) throws {
        let url = URL(filePath: root).appending(path: path)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
    }
    func makeFolder(_ path: String) throws {
        try FileManager.default.createDirectory(
            at: URL(filePath: root).appending(path: path), withIntermediateDirectories: true)
    }
}

extension Instant {
    static func seconds(_ count: Int64) -> Instant { .origin + .seconds(count) }
}
