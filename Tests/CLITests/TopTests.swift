import Base
import Control
import Foundation
import Testing
import Wire

@testable import asterism

@Suite struct TopTests {
    private static func sample(_ time: Double, packets: [Int], drops: [(String, Int)] = []) -> TopSample {
        let peers = packets.enumerated().map { index, count in
            var peer = Sample.peer("gpu-\(index)", packets: count)
            peer.node = NodeID((0..<32).map { UInt8($0 + index) })!
            return peer
        }
        return TopSample(
            time: time, at: UnixTime(milliseconds: 1_763_844_000_000), peers: peers,
            counters: drops.map { CounterView(name: $0.0, count: $0.1) }, name: "here")
    }

    private static let before = sample(
        10, packets: [100, 100, 5000],
        drops: [("dropped.forged", 5), ("overlay.dropped.tooBig", 1), ("overlay.bytesReceived", 1)])
    private static let after = sample(
        12, packets: [100, 3100, 40],
        drops: [
            ("dropped.forged", 5), ("dropped.replayed", 7), ("overlay.dropped.tooBig", 3), ("overlay.bytesReceived", 9),
        ])

    @Test func `rates are differences over the time between, and the busiest peer is first`() {
        let report = TopReport(from: Self.before, to: Self.after)
        #expect(report.peers.map(\.name) == ["gpu-1", "gpu-2", "gpu-0"])
        #expect(report.milliseconds == 2000)
        // 3000 packets of 1000 bytes in two seconds.
        #expect(report.peers[0].packetsPerSecondIn == 1500 && report.peers[0].bitsPerSecondIn == 12_000_000)
        #expect(report.peers[0].packetsPerSecondOut == 0 && report.peers[0].bitsPerSecondOut == 0)
        // It was forgotten and came back.
        #expect(report.peers[1].packetsPerSecondIn == 20)
        #expect(report.peers[2].packetsPerSecondIn == 0)
        #expect(report.peers.allSatisfy { $0.pathMTU == 1500 && $0.cipher == "AESGCM" })
    }

    @Test func `drops are those since the last sample, by reason, the most frequent first`() {
        let report = TopReport(from: Self.before, to: Self.after)
        #expect(
            report.drops == [
                TopReport.Drop(reason: "dropped.replayed", count: 7),
                TopReport.Drop(reason: "overlay.dropped.tooBig", count: 2),
            ])
        #expect(report.dropsText == "dropped: dropped.replayed 7, overlay.dropped.tooBig 2")
        #expect(TopReport(from: Self.after, to: Self.after).dropsText == "nothing dropped")
    }

    @Test func `a first look has no rates`() {
        let report = TopReport(from: nil, to: Self.after)
        #expect(report.peers.allSatisfy { $0.packetsPerSecondIn == nil && $0.bitsPerSecondOut == nil })
        #expect(report.drops.isEmpty)
    }

    @Test(arguments: [20, 40, 80, 200])
    func `what is drawn fits the terminal both ways`(_ width: Int) {
        let many = Self.sample(12, packets: (0..<100).map { $0 * 1000 })
        let report = TopReport(from: Self.sample(11, packets: []), to: many)
        let terminal = Terminal(width: width, hasColour: false, rows: 24, isRedrawable: true)
        let lines = TopScreen.lines(report, terminal)
        #expect(lines.count <= 24)
        for line in lines { #expect(line.displayWidth <= width, "\(line)") }
        #expect(lines[0].hasPrefix("here") && lines.contains { $0.hasPrefix("and 81 more") })
    }

    private static func server() throws -> FakeServer {
        try FakeServer { question, number in
            switch question {
            case .agent(.peersList), .controller(.peersList): .view([Sample.peer("gpu-7", packets: number * 1000)])
            default: .view(Sample.status(.agent))
            }
        }
    }

    @Test func `on a pipe each interval is one document on a line`() throws {
        let server = try Self.server()
        for more in [[], ["--json"]] {
            let run = try CommandRun.run(["top", "-n", "3", "-i", "0.1", "--socket", server.path] + more)
            #expect(run.status == 0 && run.lines.count == 3, "\(run)")
            for line in run.lines {
                let report = try JSONDecoder().decode(TopReport.self, from: Data(line.utf8))
                #expect(report.peers.count == 1 && report.peers[0].packetsPerSecondIn ?? 0 > 1000)
            }
        }
    }

    @Test func `on a terminal the table is drawn over, and the screen given back`() throws {
        let server = try Self.server()
        let run = try CommandRun.run(
            ["top", "-n", "2", "-i", "0.1", "--socket", server.path], environment: ["NO_COLOR": "1"],
            output: .terminal(columns: 80))
        #expect(run.status == 0, "\(run.errors)")
        #expect(run.output.hasPrefix("\u{1b}[?1049h\u{1b}[?25l\u{1b}[H"))
        #expect(run.output.hasSuffix("\u{1b}[?25h\u{1b}[?1049l"))
        #expect(run.output.components(separatedBy: "\u{1b}[H").count == 4)
        #expect(run.output.contains("gpu-7") && run.output.contains("bit/s"))
        let dumb = try CommandRun.run(
            ["top", "-n", "1", "-i", "0.1", "--socket", server.path], environment: ["TERM": "dumb"],
            output: .terminal(columns: 80))
        #expect(dumb.status == 0 && dumb.output.contains("gpu-7") && !dumb.output.contains("\u{1b}"))
    }

    @Test func `a server that goes away ends it with its error, and the screen is given back`() throws {
        let server = try FakeServer { question, number in
            if number > 3 { return .error(APIError(.unavailable, "going away")) }
            if case .agent(.peersList) = question { return .view([Sample.peer("gpu-7")]) }
            if case .controller(.peersList) = question { return .view([Sample.peer("gpu-7")]) }
            return .view(Sample.status(.agent))
        }
        let run = try CommandRun.run(
            ["top", "-i", "0.1", "--socket", server.path], output: .terminal(columns: 80))
        #expect(run.status == 5 && run.errors == "asterism: error: going away\n")
        #expect(run.output.hasSuffix("\u{1b}[?1049l"))
    }

    @Test func `an interrupt ends it, and that is no error`() throws {
        let server = try Self.server()
        let process = Process(), output = Foundation.Pipe()
        process.executableURL = URL(filePath: CommandRun.program)
        process.arguments = ["top", "-i", "0.1", "--socket", server.path]
        process.standardOutput = output
        try process.run()
        #expect(!output.fileHandleForReading.availableData.isEmpty)
        process.interrupt()
        withExtendedLifetime(server) { process.waitUntilExit() }
        #expect(process.terminationReason == .exit && process.terminationStatus == 0)
    }

    @Test func `rates are shown in decimal units`() {
        let cases: [(Double, String)] = [
            (0, "0"), (812, "812"), (999.4, "999"), (999.6, "1.00k"), (1500, "1.50k"), (12_345, "12.3k"),
            (99_949, "99.9k"), (123_456, "123k"), (999_499, "999k"), (2.31e9, "2.31G"), (9.4e15, "9400T"), (-5, "0"),
        ]
        for (value, text) in cases { #expect(Units.decimal(value) == text) }
    }
}
