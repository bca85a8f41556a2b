import Base
import Control
import Foundation
import Testing
import Wire

@testable import asterism

/// The two ends of a measurement, with the loopback interface in place of the overlay.
@Suite struct BenchTests {
    /// `asterism bench-serve`, as an agent starts it.
    private final class Server {
        let process = Process()
        private let input = Foundation.Pipe(), output = Foundation.Pipe()
        let token = [UInt8](repeating: 0x5a, count: BenchSocket.tokenCount)
        let ports: [Int]

        init(_ address: String = "127.0.0.1", seconds: Int = 20) throws {
            process.executableURL = URL(filePath: CommandRun.program)
            process.arguments = ["bench-serve", "--address", address, "--seconds", "\(seconds)"]
            process.standardInput = input
            process.standardOutput = output
            try process.run()
            try input.fileHandleForWriting.write(contentsOf: Data((token.hex + "\n").utf8))
            let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
            ports = line.split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
            try #require(ports.count == 2, "\(line)")
        }
        deinit {
            if process.isRunning { process.terminate() }
        }

        func endInput() throws { try input.fileHandleForWriting.close() }

        func hasEnded(within seconds: Double) -> Bool {
            let end = monotonicSeconds() + seconds
            while process.isRunning, monotonicSeconds() < end { usleep(10_000) }
            return !process.isRunning
        }

        func view(token: String? = nil, address: String = "127.0.0.1") -> BenchView {
            Sample.decode(
                BenchView.self,
                """
                {"node":"\(Sample.id.hex)","name":"gpu-7","address":"\(address)","tcpPort":\(ports[0]),\
                "udpPort":\(ports[1]),"token":"\(token ?? self.token.hex)","seconds":20}
                """)
        }
    }

    private func agent(_ view: BenchView) throws -> FakeServer {
        try FakeServer { question, _ in
            if case .agent(.benchStart) = question { .view(view) } else { .hangUp }
        }
    }

    private func run(_ agent: FakeServer, _ words: String...) throws -> CommandRun {
        try withExtendedLifetime(agent) { try CommandRun.run(["bench"] + words + ["--socket", agent.path]) }
    }

    @Test func `a measurement shows its course and its results, and its server ends with it`() throws {
        let server = try Server()
        let agent = try agent(server.view())
        let run = try self.run(agent, "gpu-7", "--duration", "1", "--streams", "2")
        #expect(run.status == 0, "\(run.errors)")
        #expect(run.lines.map { String($0.prefix(5)) } == ["gpu-7", "idle ", "there", "there", "back ", "back "])
        #expect(run.lines[0] == "gpu-7 at 127.0.0.1, through the mesh")
        #expect(run.lines[1].contains("p99") && run.lines[1].contains("of 100 lost"))
        #expect(run.lines[2].contains("1s") && run.lines[5].contains("segments retransmitted; round trip p50"))
        #expect(server.hasEnded(within: 2) && server.process.terminationStatus == 0)
        guard case .agent(.benchStart(let request))? = agent.questions.first else {
            Issue.record("nobody was asked")
            return
        }
        #expect(request == BenchStart(peer: "gpu-7", seconds: 14) && agent.questions.count == 1)
    }

    @Test func `as JSON it is one document`() throws {
        let server = try Server("::1")
        let agent = try agent(server.view(address: "::1"))
        let run = try self.run(agent, "x", "--duration", "1", "--udp-size", "1200", "--json")
        #expect(run.status == 0 && run.errors.isEmpty, "\(run.errors)")
        let report = try JSONDecoder().decode(BenchReport.self, from: Data(run.outputBytes))
        #expect(report.name == "gpu-7" && report.udpBytes == 1200 && report.streams == 1)
        #expect(report.there.bitsPerSecond > 1_000_000 && report.back.bitsPerSecond > 1_000_000)
        for trips in [report.idle, report.there.trips, report.back.trips] {
            #expect(trips.sent == 100 && trips.received > 90)
            #expect((trips.p50Microseconds ?? 0) <= (trips.p99Microseconds ?? 0))
        }
    }

    @Test func `without the token no client is served`() throws {
        let server = try Server()
        let agent = try agent(server.view(token: String(repeating: "00", count: 16)))
        let run = try self.run(agent, "x", "--duration", "1")
        #expect(run.status == 5)
        #expect(run.errors.contains("does not accept the token"))
        #expect(server.process.isRunning)
        try server.endInput()
        #expect(server.hasEnded(within: 3))
    }

    @Test func `a server ends when its time is over, and when no client comes`() throws {
        let server = try Server(seconds: 1)
        #expect(server.hasEnded(within: 4))
        let run = try CommandRun.run(["bench-serve", "--address", "127.0.0.1", "--seconds", "5"], input: "no token\n")
        #expect(run.status == 2)
        let agent = try agent(server.view())
        let gone = try self.run(agent, "x")
        #expect(gone.status == 5 && gone.errors.contains("connect to 127.0.0.1 port"), "\(gone.errors)")
    }

    @Test func `a refusal of the agent is an error`() throws {
        let why = "this node has no network interface of the overlay"
        let server = try FakeServer { _, _ in .error(APIError(.unavailable, why)) }
        let run = try self.run(server, "x")
        #expect(run.status == 5 && run.errors == "asterism: error: \(why)\n" && run.output.isEmpty)
    }

    @Test(arguments: [
        ["--duration", "0"], ["--duration", "46"], ["--streams", "17"], ["--udp-size", "23"], ["--udp-size", "8001"],
    ])
    func `what cannot be measured is a usage error`(_ words: [String]) throws {
        let run = try CommandRun.run(["bench", "x"] + words)
        #expect(run.status == 2 && run.errors.contains(words[0]))
    }

    @Test func `quantiles are values that were measured`() {
        func trips(_ values: [Int64]) -> BenchReport.Trips { BenchReport.Trips(sent: 200, microseconds: values) }
        let hundred = trips((1...100).reversed())
        #expect(hundred.p50Microseconds == 50 && hundred.p99Microseconds == 99)
        #expect(hundred.leastMicroseconds == 1 && hundred.mostMicroseconds == 100)
        #expect(hundred.text == "round trip p50 50us, p99 99us; 100 of 200 lost")
        #expect(trips([7]).p50Microseconds == 7 && trips([7]).p99Microseconds == 7)
        #expect(trips([]).p50Microseconds == nil && trips([]).text == "200 of 200 lost")
        let most = BenchClient.serverSeconds(45)
        #expect(most <= Int64(Limits.benchSeconds), "\(most)")
        #expect(BenchSocket.tokenCount == BenchAnswer.Server.tokenCount)
    }
}
