import Base
import Control
import Foundation
import Testing
import Wire

/// The verbs that explain paths, try them and capture packets, against a program that answers by script.
@Suite struct ExplainTests {
    private static func run(
        _ words: [String], seconds: Double = 60, _ answer: @escaping @Sendable (AgentRequest, Int) -> FakeServer.Reply
    ) throws -> (run: CommandRun, asked: [AgentRequest]) {
        let server = try FakeServer { question, number in
            switch question {
            case .agent(let request): answer(request, number)
            case .controller(.status): answer(.status, number)
            case .controller: .error(APIError(.notFound, "no node"))
            }
        }
        let run = try CommandRun.run(
            words, environment: ["ASTERISM_SOCKET": server.path, "ASTERISM_CONTROLLER_SOCKET": server.path],
            seconds: seconds)
        let asked = server.questions.compactMap { if case .agent(let request) = $0 { request } else { nil } }
        return (run, asked)
    }

    // MARK: - Ping

    @Test func `each line of a ping shows the round trip and the path`() throws {
        let (run, asked) = try Self.run(["ping", "gpu-7", "-c", "4", "-i", "10"]) { _, number in
            .view(Sample.ping(number == 3 ? [] : [Sample.answers[number]]))
        }
        #expect(run.status == 0)
        #expect(
            run.output == """
                1: gpu-7 840us, direct 192.0.2.7:7950
                2: gpu-7 910us, relay beacon (203.0.113.1:7950)
                3: gpu-7 1.25ms, relay tcp 203.0.113.2:7950
                4: no answer from gpu-7
                4 sent, 3 answered, 25% lost; min 840us, median 910us, max 1.25ms

                """)
        // Whom it is about is known after the first.
        guard case .ping(let first)? = asked.first, case .ping(let last)? = asked.last else {
            Issue.record("no pings")
            return
        }
        #expect(first.peer == "gpu-7" && first.count == 1 && first.via == nil && last.peer == Sample.id.hex)
    }

    @Test func `until a direct answer it goes on, and then ends well`() throws {
        let (run, asked) = try Self.run(["ping", "gpu-7", "--until-direct", "-i", "10"]) { _, number in
            .view(Sample.ping([Sample.answers[number < 3 ? 1 : 0]]))
        }
        #expect(run.status == 0 && asked.count == 4)
        #expect(run.lines.dropLast().last == "4: gpu-7 840us, direct 192.0.2.7:7950")
    }

    @Test(arguments: [["-c", "3"], ["--timeout", "0.3"]])
    func `without a direct answer it states why`(_ limit: [String]) throws {
        let (run, asked) = try Self.run(["ping", "gpu-7", "--until-direct", "-i", "100"] + limit) { request, _ in
            if case .why = request { return .view(Sample.paths("peerMappingDependent")) }
            return .view(Sample.ping([Sample.answers[1]]))
        }
        #expect(run.status == 5 && (2...6).contains(asked.count))
        #expect(
            run.errors == "asterism: error: no direct path to gpu-7: the peer's NAT has an endpoint-dependent mapping, "
                + "and the filter here is port-dependent\n")
    }

    @Test func `so many pings as are asked for are sent, however long that takes`() throws {
        let limit = ["-c", "8", "--timeout", "0.1"]
        let (run, asked) = try Self.run(["ping", "gpu-7", "--until-direct", "-i", "50"] + limit) { request, _ in
            if case .why = request { return .view(Sample.paths("peerMappingDependent")) }
            return .view(Sample.ping([Sample.answers[1]]))
        }
        #expect(run.status == 5 && asked.count == 9)
        #expect(run.lines.last?.hasPrefix("8 sent, 8 answered") == true, "\(run.lines)")
    }

    @Test func `where no path answers, it states that`() throws {
        var silent = Sample.paths("failed")
        for index in silent.paths.indices { silent.paths[index].isAlive = false }
        let (run, _) = try Self.run(["why", "gpu-7"]) { [silent] _, _ in .view(silent) }
        #expect(run.status == 0 && run.lines.first?.contains("but no path answers now") == true, "\(run.lines)")
        let (other, _) = try Self.run(["why", "gpu-7"]) { _, _ in .view(Sample.paths("failed")) }
        #expect(!other.lines.joined().contains("answers now"))
    }

    @Test func `a ping by a chosen path requests that path, and an unknown one is reported`() throws {
        let (run, asked) = try Self.run(["ping", "gpu-7", "--via", "nowhere", "-c", "2", "-i", "10"]) { _, _ in
            .error(APIError(.notFound, "'nowhere': no path of the peer; it has 192.0.2.7:7950", field: "via"))
        }
        #expect(run.status == 4)
        #expect(run.errors == "asterism: error: via: 'nowhere': no path of the peer; it has 192.0.2.7:7950\n")
        guard case .ping(let ping)? = asked.first else {
            Issue.record("no ping")
            return
        }
        #expect(ping.via == "nowhere" && asked.count == 1)
    }

    @Test func `as JSON the pings are one document`() throws {
        let (run, _) = try Self.run(["ping", "gpu-7", "-c", "3", "-i", "10", "--json"]) { _, number in
            .view(Sample.ping([Sample.answers[number]]))
        }
        let view = try JSONDecoder().decode(PingView.self, from: Data(run.outputBytes))
        #expect(view.sent == 3 && view.answers.map(\.number) == [1, 2, 3])
        #expect(
            view.answers.map(\.isRelayed) == [false, true, true] && view.roundTripsMicroseconds == [840, 910, 1250])
    }

    // MARK: - Why

    @Test func `why shows the path, its MTU, both NATs, each candidate's last probe and the changes`() throws {
        let (run, _) = try Self.run(["why", "gpu-7"]) { _, _ in .view(Sample.paths("failed")) }
        #expect(run.status == 0)
        for text in [
            "gpu-7: over the relay beacon (203.0.113.1:7950), 910us", "because the direct path failed",
            "NAT mapping: endpoint-independent here, endpoint-dependent there",
            "MTU 1500: datagrams of up to 1460 bytes", "1s ago, answered", "0s ago, unanswered",
            "failed, barred for 21s", "the old path failed", "240ms",
        ] { #expect(run.output.contains(text), "\(text) is not in \(run.output)") }
    }

    // MARK: - Debug

    @Test func `the debugging verbs make the right request, and show its result`() throws {
        let cases: [([String], AgentRequest, String)] = [
            (["debug", "rebind"], .debugRebind(.init()), "listens at 0.0.0.0:40000, no longer at 0.0.0.0:7950"),
            (["debug", "rebind", "--port", "40000"], .debugRebind(.init(port: 40_000)), "0.0.0.0:40000"),
            (
                ["debug", "drop-path", "gpu-7", "direct"], .debugDropPath(.init(peer: "gpu-7", path: "direct")),
                "failed, barred for 21s"
            ),
            (
                ["debug", "relay-only", "gpu-7", "on"], .debugRelayOnly(.init(peer: "gpu-7", isOn: true)),
                "because requested by 'asterism debug relay-only'"
            ),
            (["debug", "relay-only", "gpu-7", "off"], .debugRelayOnly(.init(peer: "gpu-7", isOn: false)), "gpu-7: "),
        ]
        for (words, request, text) in cases {
            let (run, asked) = try Self.run(words) { request, _ in
                guard case .debugRebind = request else { return .view(Sample.paths("relayOnly")) }
                return .view(
                    RebindView(address: SocketAddress("0.0.0.0:40000"), before: SocketAddress("0.0.0.0:7950")))
            }
            #expect(run.status == 0 && asked == [request], "\(words): \(run.errors)")
            #expect(run.output.contains(text), "\(words): \(run.output)")
        }
    }

    // MARK: - Capture

    /// Three pieces, the last of which is the end.
    private static func capture(_ request: AgentRequest, _ number: Int) -> FakeServer.Reply {
        switch request {
        case .captureStart: .view(CaptureView(capture: 5, bytes: [1, 2], isFinal: false, packets: 0, dropped: 0))
        case .captureRead(let asked) where asked.capture == 5:
            .view(
                CaptureView(
                    capture: 5, bytes: [UInt8](repeating: 3, count: number), isFinal: number == 2, packets: number,
                    dropped: 1))
        case .captureStop: .view(CaptureView(capture: 5, bytes: [9], isFinal: true, packets: 7, dropped: 0))
        default: .error(APIError(.invalid, "not scripted"))
        }
    }

    @Test func `a capture is written as it comes, and its end is not part of it`() throws {
        let (run, asked) = try Self.run(["capture", "gpu-7", "--outer", "--count", "9", "-w", "-"], Self.capture)
        #expect(run.status == 0 && run.outputBytes == [1, 2, 3, 3, 3])
        #expect(run.errors == "2 packets, 1 dropped, the buffer was full\n")
        #expect(asked.first == .captureStart(.init(peer: "gpu-7", layer: .outer, count: 9)))
        let folder = try TemporaryFolder()
        let (again, _) = try Self.run(["capture", "-w", folder.path("c.pcapng"), "--json"], Self.capture)
        #expect(FileManager.default.contents(atPath: folder.path("c.pcapng")) == Data([1, 2, 3, 3, 3]))
        let view = try JSONDecoder().decode(CaptureView.self, from: Data(again.outputBytes))
        #expect(view.packets == 2 && view.data.isEmpty)
    }

    @Test func `a refusal leaves the file that was there alone`() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("c.pcapng", "precious")
        let (run, _) = try Self.run(["capture", "-w", file]) { _, _ in
            .error(APIError(.refused, "only root and the agent's own user may capture"))
        }
        #expect(run.status == 1 && run.errors.contains("only root"))
        #expect(FileManager.default.contents(atPath: file) == Data("precious".utf8))
    }

    @Test(arguments: ["/nowhere/c.pcapng", "/dev/full"])
    func `a capture that cannot be written is ended, so that others may capture`(file: String) throws {
        let (run, asked) = try Self.run(["capture", "-w", file], Self.capture)
        #expect(run.status != 0 && run.errors.contains("-w: \(file): "), "\(run.errors)")
        #expect(asked.last == .captureStop(.init(capture: 5)))
    }

    @Test func `a terminal gets no capture`() throws {
        let run = try CommandRun.run(["capture"], output: .terminal(columns: 80))
        #expect(run.status == 2 && run.errors.contains("a terminal cannot show a capture"))
    }

    @Test func `an interrupt ends a capture with the rest of the file`() throws {
        let server = try FakeServer { question, number in
            guard case .agent(let request) = question else { return .error(APIError(.invalid, "not scripted")) }
            if case .captureRead = request {
                usleep(20_000)
                return .view(CaptureView(capture: 5, bytes: [4], isFinal: false, packets: 1, dropped: 0))
            }
            return Self.capture(request, number)
        }
        let process = Process(), output = Foundation.Pipe()
        process.executableURL = URL(filePath: CommandRun.program)
        process.arguments = ["capture", "--socket", server.path]
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        var bytes = output.fileHandleForReading.availableData
        process.interrupt()
        bytes += output.fileHandleForReading.readDataToEndOfFile()
        withExtendedLifetime(server) { process.waitUntilExit() }
        #expect(process.terminationReason == .exit && process.terminationStatus == 0)
        #expect(bytes.first == 1 && bytes.last == 9)
    }

    // MARK: - Figures

    @Test func `figures for Prometheus have labels, and a histogram's buckets add up`() throws {
        let counters = [
            ("datagramsSent", 5), ("pathSwitches.better", 2), ("pathSwitches.silent", 1), ("failovers.50", 1),
            ("failovers.250", 3), ("failovers.more", 1), ("failoverMilliseconds", 6400), ("relayedBytes.sent", 10),
            ("punches.endpointDependent.endpointIndependent.prediction.direct", 4), ("dropped.forged", 0),
            ("overlay.dropped.tooBig", 7),
            ("tcp.connections", 3), ("tcp.accepted", 8),
        ]
        let list = counters.map { #"{"name":"\#($0.0)","count":\#($0.1)}"# }.joined(separator: ",")
        let view = Sample.decode(
            StatusView.self,
            #"{"program":"agent","version":"1","node":"\#(Sample.id.hex)","phase":"member","incarnation":1,"startedAt":1,"counters":[\#(list)]}"#
        )
        let (run, _) = try Self.run(["status", "--prometheus"]) { _, _ in .view(view) }
        #expect(run.status == 0)
        for line in [
            "# TYPE asterism_path_switch_total counter", #"asterism_path_switch_total{reason="better"} 2"#,
            "# TYPE asterism_failover_ms histogram", #"asterism_failover_ms_bucket{le="50"} 1"#,
            #"asterism_failover_ms_bucket{le="250"} 4"#, #"asterism_failover_ms_bucket{le="+Inf"} 5"#,
            "asterism_failover_ms_sum 6400", "asterism_failover_ms_count 5",
            #"asterism_relay_bytes{direction="sent"} 10"#,
            #"asterism_punch_result{classA="endpointDependent",classB="endpointIndependent",method="prediction",result="direct"} 4"#,
            #"asterism_dropped_total{reason="forged"} 0"#, #"asterism_overlay_dropped_total{reason="tooBig"} 7"#,
            "asterism_datagrams_sent_total 5", "# TYPE asterism_tcp_connections gauge", "asterism_tcp_connections 3",
            "# TYPE asterism_tcp_accepted_total counter", "asterism_tcp_accepted_total 8",
        ] { #expect(run.lines.contains(line), "\(line) is not in \(run.output)") }
        // Each line is a comment or a sample, and no metric is described twice.
        let types = run.lines.filter { $0.hasPrefix("# TYPE") }
        #expect(Set(types).count == types.count)
        let sample = try Regex(#"^asterism_[a-z0-9_]+(\{[A-Za-z]+="[^"]*"(,[A-Za-z]+="[^"]*")*\})? [0-9]+$"#)
        #expect(run.lines.allSatisfy { $0.hasPrefix("# ") || $0.contains(sample) })
    }
}
