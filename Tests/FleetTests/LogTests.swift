import Control
import Foundation
import Testing
import Wire

/// Logs come as the worker wrote them, byte for byte.
@Suite struct LogTests {
    @Test func `following gives every byte across rotations and a crash of the agent, and ends with the worker`() throws
    {
        try Fleet.with(agents: 1) { fleet in
            let script = "i=0; while [ $i -lt 300 ]; do printf 'line %04d %0200d\\n' $i 0; i=$((i+1)); sleep 0.01; done"
            try fleet.run("writer", ["/bin/sh", "-c", script]) {
                $0.log.maxFileBytes = 4096
                $0.log.maxFiles = 100
            }
            let command = try fleet.startCLI(["worker", "logs", "-f", "writer"])
            try eventually("some lines") { try fleet.worker("writer").logBytes > 8000 }
            try fleet.agent("agent-1").end()
            try fleet.startAgent("agent-1")
            try fleet.wait(for: "writer", .succeeded, within: 40)
            #expect(command.program.hasEnded(within: 20))
            let end = try command.result()
            let zeros = String(repeating: "0", count: 200)
            let expected = (0..<300).map { "line \(String(repeating: "0", count: 4 - "\($0)".count))\($0) \(zeros)\n" }
            #expect(end.status == 0, "\(end.errors)")
            #expect(end.text == expected.joined())
            #expect(try fleet.log("writer") == Array(expected.joined().utf8))
            let tail = try fleet.cli(["worker", "logs", "-n", "3", "writer"])
            #expect(tail.text == expected.suffix(3).joined())
        }
    }

    @Test func `a log of any bytes is given as it is`() throws {
        try Fleet.with(agents: 1) { fleet in
            let file = fleet.path("bytes")
            try fleet.run("noise", ["/bin/sh", "-c", "head -c 300000 /dev/urandom > \(file); cat \(file)"])
            try fleet.wait(for: "noise", .succeeded)
            let expected = Array(try #require(FileManager.default.contents(atPath: file)))
            #expect(expected.count == 300_000)
            #expect(try fleet.cli(["worker", "logs", "noise"]).bytes == expected)
            let document: LogView = try fleet.cli(["worker", "logs", "--json", "noise"]).view()
            #expect(document.bytes == expected)
            #expect(document.isFinal)
            let part: LogView = try fleet.ask(.workersLogs(.init(name: "noise", offset: 1000, limit: 50)))
            #expect(part.bytes == Array(expected[1000..<1050]))
            #expect(try fleet.cli(["worker", "logs", "--bytes", "100", "noise"]).bytes == expected.suffix(100))
        }
    }

    @Test func `what was rotated away is gone, and what is left is the exact end`() throws {
        try Fleet.with(agents: 1) { fleet in
            let script = "i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done"
            try fleet.run("rotator", ["/bin/sh", "-c", script]) {
                $0.log.maxFileBytes = 4096
                $0.log.maxFiles = 2
            }
            let end = try fleet.wait(for: "rotator", .succeeded)
            let all = Array((0..<1000).map { "line \($0)\n" }.joined().utf8)
            #expect(end.logBytes == all.count)
            let first: LogView = try fleet.ask(.workersLogs(.init(name: "rotator")))
            #expect(first.offset > 0)
            let bytes = try fleet.log("rotator")
            #expect(bytes.count <= 8192 && bytes.count >= 4096)
            #expect(bytes == Array(all.suffix(bytes.count)))
            #expect(Int(first.offset) + bytes.count == all.count)
        }
    }
}
