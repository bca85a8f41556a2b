import Base
import Control
import Foundation
import Testing

extension OverlayTests {
    /// The commands that show and try paths, between real kernels.
    @Suite(.enabled(if: Sites.isPossible, "needs root, iproute2, iptables, TUN and network namespaces"))
    struct ExplainTests {
        /// Runs `asterism` at an agent's socket, to its end.
        private static func asterism(
            _ words: [String], at node: Sites.Node, within seconds: Double = 30
        ) throws -> (status: Int32?, text: String) {
            let output = "/tmp/asterism-cli-\(getpid())-\(UInt64.random(in: .min ... .max))"
            defer { unlink(output) }
            let program = try Program("asterism", words + ["--socket", node.socket], output: output)
            guard program.hasEnded(within: seconds) else { throw Fault("\(words) does not end: \(program.text)") }
            return (program.exitStatus, program.text)
        }

        @Test func `a ping shows its path, uses a requested one, and ends with the first direct answer`()
            throws
        {
            try Sites.with(.masquerade, .masquerade) { sites in
                let first = try Self.asterism(["ping", sites.b.name, "--until-direct", "-i", "50"], at: sites.a)
                print(first.text)
                #expect(first.status == 0 && first.text.contains("direct 198.51.100.12:7950"))
                _ = try sites.waitForPath(.direct)
                let relayed = try Self.asterism(
                    ["ping", sites.b.name, "--via", "relay", "-c", "2", "-i", "50"], at: sites.a)
                #expect(relayed.status == 0 && relayed.text.contains(", relay "), "\(relayed.text)")
                #expect(!relayed.text.contains("direct"))
                for name in ["beacon", "controller", "198.51.100.2:7950"] {
                    let by = try Self.asterism(["ping", sites.b.name, "--via", name, "-c", "1"], at: sites.a)
                    #expect(by.status == 0, "\(name): \(by.text)")
                }
                let unknown = try Self.asterism(["ping", sites.b.name, "--via", "192.0.2.1:1"], at: sites.a)
                print(unknown.text)
                #expect(unknown.status == 4 && unknown.text.contains("198.51.100.12:7950"))
                #expect(unknown.text.contains("relay beacon (198.51.100.2:7950)"))
                // Data has stayed where it was.
                #expect(try sites.a.why(sites.b).path == .direct)
            }
        }

        @Test func `a ping shows why a peer cannot be reached directly`() throws {
            try Sites.with(.random, .random) { sites in
                _ = try sites.waitForPath(.relayed)
                let ping = try Self.asterism(
                    ["ping", sites.b.name, "--until-direct", "-c", "3", "-i", "50"], at: sites.a)
                print(ping.text)
                #expect(
                    ping.status == 5
                        && ping.text.contains("no direct path to right: both NATs have an endpoint-dependent mapping"))
            }
        }

        @Test(arguments: [1, 2, 4])
        func `new sockets, a path dropped and relays only: sessions and a transfer go on`(threads: Int) throws {
            try Sites.with(.masquerade, .masquerade, threads: threads) { sites in
                _ = try sites.waitForPath(.direct)
                let sessions = try (sites.a.counter("sessionsEstablished"), sites.b.counter("sessionsEstablished"))
                let (near, far) = try sites.connection()
                let done = Flag()
                let load = try Background { try Exchange.run(near, far, .until(done)) }
                let steps = Result {
                    sleep(1)
                    let rebound = try Self.asterism(["debug", "rebind"], at: sites.a)
                    print(rebound.text)
                    #expect(rebound.status == 0 && rebound.text.contains("no longer at 0.0.0.0:7950"))
                    // All beacons report at once how they see the new socket: what one of them saw before does not count as
                    // another mapping.
                    try eventually("the mapping is known again", within: 5) {
                        try sites.a.why(sites.b).ownMapping == .endpointIndependent
                    }
                    _ = try sites.waitForPath(.direct, within: 20)
                    // All threads send packets through the new sockets: a masquerading router keeps their port.
                    let port = rebound.text.split(separator: ",").first?.split(separator: ":").last.flatMap {
                        UInt16($0)
                    }
                    try eventually("the peer sees the new port") {
                        try sites.b.why(sites.a).paths.first(where: \.isPrimary)?.address.port == port
                    }
                    let dropped = try Self.asterism(["debug", "drop-path", sites.b.name, "direct"], at: sites.a)
                    print(dropped.text)
                    #expect(dropped.status == 0 && dropped.text.contains("over the relay"))
                    let path = try sites.a.why(sites.b)
                    #expect(path.reason == .failed && path.transitions.last?.cause == .debug)
                    sleep(1)
                    let kept = try Self.asterism(["debug", "relay-only", sites.b.name, "on"], at: sites.a)
                    #expect(kept.status == 0 && kept.text.contains("requested by"), "\(kept.text)")
                    _ = try sites.waitForPath(.relayed)
                    #expect(try sites.a.why(sites.b).reason == .relayOnly)
                    sleep(1)
                }
                done.raise()
                let exchange = try load.value()
                try steps.get()
                print("through new sockets, a dropped path and relays: \(exchange)")
                #expect(exchange.longestGap < 3 && exchange.received > 1_000_000)
                #expect(try sites.a.counter("sessionsEstablished") == sessions.0)
                #expect(try sites.b.counter("sessionsEstablished") == sessions.1)
                #expect(try sites.a.counter("pathSwitches.debug") >= 1)
                #expect(try sites.a.counter("relayedBytes.sent") > 100_000)
                #expect(try sites.a.counter("punches.endpointIndependent.endpointIndependent.punchProbes.direct") >= 1)
            }
        }

        /// Each time the peer is informed over a relay, and it learns the last address.
        @Test(arguments: [1, 2])
        func `after new sockets, several times in a row, the pair is direct again in seconds`(threads: Int) throws {
            try Sites.with(.masquerade, .masquerade, threads: threads) { sites in
                _ = try sites.waitForPath(.direct)
                for isDropped in [false, true] {
                    // Its path is barred for half a minute then, while the peer's is not.
                    if isDropped {
                        let dropped = try Self.asterism(["debug", "drop-path", sites.b.name, "direct"], at: sites.a)
                        #expect(dropped.status == 0, "\(dropped.text)")
                    }
                    var port: UInt16?
                    for _ in 0..<5 {
                        let view: RebindView = try ask(sites.a.socket, AgentRequest.debugRebind(.init()))
                        port = view.address?.port
                    }
                    let start = Date()
                    // Until it is noticed, the old path is still the one in use; a masquerading router keeps the port.
                    try eventually("the new sockets are found", within: 8) {
                        _ = try sites.a.ping(sites.b, count: 2, interval: 50)
                        return try sites.b.why(sites.a).paths.first(where: \.isPrimary)?.address.port == port
                    }
                    let path = try sites.waitForPath(.direct)
                    print("direct again \(Date().timeIntervalSince(start)) s after new sockets, \(threads) threads")
                    #expect(path.reason == nil)
                    // The beacons report on their own, after the peer or before it.
                    try eventually("the mapping is known again", within: 5) {
                        try sites.a.why(sites.b).ownMapping == .endpointIndependent
                    }
                }
            }
        }
    }

    /// Captures, read by the program for which they are made.
    @Suite(.enabled(if: Sites.isPossible, "needs root, iproute2, iptables, TUN and network namespaces"))
    struct CaptureFileTests {
        private static let reader = "/usr/bin/tshark"
        /// Prints once why not.
        static let canRead: Bool = {
            let missing = [reader, "/usr/bin/ping"].filter { access($0 as String, X_OK) != 0 }
            if !missing.isEmpty { print("captures are not read back: needs \(missing.joined(separator: " and "))") }
            return missing.isEmpty
        }()

        /// The fields of each packet, a line each, as tshark sees them.
        private static func read(_ file: String, _ fields: [String]) throws -> [[String]] {
            let output = "/tmp/asterism-tshark-\(getpid())-\(UInt64.random(in: .min ... .max))"
            defer { unlink(output) }
            let words = ["-r", file, "-T", "fields", "-E", "separator=|"] + fields.flatMap { ["-e", $0] }
            let program = try Program(reader, words, output: output, errors: "/dev/null", environment: ["HOME": "/tmp"])
            guard program.hasEnded(within: 60), program.exitStatus == 0 else { throw Fault("tshark: \(program.text)") }
            return program.text.split(separator: "\n").map {
                $0.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
            }
        }

        /// A capture while `body` runs, at one node.
        private static func capture(
            _ words: [String], at node: Sites.Node, to file: String, _ body: () throws -> Void
        ) throws -> String {
            let output = file + ".log"
            defer { unlink(output) }
            let program = try Program(
                "asterism", ["capture", "-w", file, "--socket", node.socket] + words, output: output)
            try eventually("the capture has begun") { (try? Data(contentsOf: URL(filePath: file)).count) ?? 0 > 100 }
            try body()
            usleep(300_000)
            program.send(SIGINT)
            guard program.hasEnded(within: 10), program.exitStatus == 0 else { throw Fault("capture: \(program.text)") }
            return program.text
        }

        @Test(.enabled(if: canRead, "needs tshark and ping"))
        func `inner and outer packets are seen, with comments that name peer and path`() throws {
            try Sites.with(.masquerade, .masquerade) { sites in
                _ = try sites.waitForPath(.direct)
                let file = try temporaryFolder("capture") + "/c.pcapng"
                let there = try #require(try sites.b.status().overlay4),
                    here = try #require(try sites.a.status().overlay4)
                let informed = try Self.capture([sites.b.name], at: sites.a, to: file) {
                    try sites.a.namespace.run("/usr/bin/ping", "-c 3 -i 0.2 -s 1000 \(there)")
                    _ = try Self.relayOnly(sites, true)
                    _ = try sites.waitForPath(.relayed)
                    try sites.a.namespace.run("/usr/bin/ping", "-c 3 -i 0.2 -s 1000 \(there)")
                }
                print(informed)
                let packets = try Self.read(
                    file,
                    [
                        "frame.interface_name", "ip.src", "ip.dst", "frame.len", "frame.comment", "udp.dstport",
                        "ip.checksum.status", "_ws.malformed", "frame.time_epoch", "icmp.type",
                    ])
                for packet in packets.prefix(12) { print(packet) }
                let inner = packets.filter { $0[0] == "inner" }, outer = packets.filter { $0[0] == "outer" }
                // In clear: questions and answers, both ways.
                #expect(inner.count { $0[1] == "\(here)" && $0[2] == "\(there)" && $0[9] == "8" } == 6)
                #expect(inner.count { $0[1] == "\(there)" && $0[2] == "\(here)" && $0[9] == "0" } == 6)
                #expect(inner.allSatisfy { $0[3] == "1028" })
                #expect(inner.contains { $0[4] == "out to right, direct 198.51.100.12:7950" })
                #expect(inner.contains { $0[4] == "in from right, direct 198.51.100.12:7950" })
                let relays = ["beacon 198.51.100.2:7950", "controller 198.51.100.1:7900"]
                for way in ["out to", "in from"] {
                    let isRelayed = inner.contains { packet in
                        relays.contains { packet[4].hasPrefix("\(way) right, relay \($0), allocations") }
                    }
                    #expect(isRelayed, "\(way)")
                }
                // Sealed, with the headers that they travelled with: 16 and 16 bytes more, and 28; over a relay 12 more.
                #expect(
                    outer.contains { $0[3] == "1088" && $0[4] == "out to right, direct 198.51.100.12:7950, packet" })
                #expect(outer.contains { $0[3] == "1100" && $0[4].contains("relay") && $0[4].hasSuffix("packet") })
                #expect(outer.contains { $0[1] == "192.168.1.2" && $0[2] == "198.51.100.12" && $0[5] == "7950" })
                #expect(outer.contains { $0[2] == "192.168.1.2" && $0[5] == "7950" })
                #expect(outer.contains { $0[4].hasSuffix("frames") })
                #expect(packets.allSatisfy { $0[7].isEmpty })
                // Only that peer's.
                #expect(packets.allSatisfy { $0[4].contains(" right, ") })
                let times = packets.compactMap { Double($0[8]) }
                #expect(times.count == packets.count && times.allSatisfy { abs($0 - wallSeconds()) < 120 })
                #expect(informed.contains("\(packets.count) packets"))
            }
        }

        private static func relayOnly(_ sites: Sites, _ isOn: Bool) throws -> PathsView {
            try ask(sites.a.socket, AgentRequest.debugRelayOnly(.init(peer: sites.b.name, isOn: isOn)))
        }

        @Test(.enabled(if: canRead, "needs tshark and ping"))
        func `a transfer is captured as super-packets, and what there is no room for is counted`() throws {
            try Sites.with(.masquerade, .masquerade) { sites in
                _ = try sites.waitForPath(.direct)
                let file = try temporaryFolder("capture") + "/c.pcapng"
                let informed = try Self.capture([], at: sites.a, to: file) {
                    let (near, far) = try sites.connection()
                    let exchange = try Exchange.run(near, far, .bytes(4 << 20), within: 30)
                    #expect(exchange.received == 8 << 20)
                }
                print(informed)
                let packets = try Self.read(file, ["frame.interface_name", "frame.len", "tcp.port", "_ws.malformed"])
                let inner = packets.filter { $0[0] == "inner" && $0[2].contains("9000") }
                #expect(inner.contains { (Int($0[1]) ?? 0) > 1500 } && packets.allSatisfy { $0[3].isEmpty })
                #expect(informed.contains("\(packets.count) packets"))
                // The capture has ended, so another one is allowed.
                let view: CaptureView = try ask(sites.a.socket, AgentRequest.captureStart(.init(count: 1)))
                let error = #expect(throws: (any Error).self) {
                    let _: CaptureView = try ask(sites.a.socket, AgentRequest.captureStart(.init()))
                }
                print("a second capture: \(error.map { "\($0)" } ?? "")")
                // A capture that is not read ends by itself.
                try eventually("the capture is over") {
                    (try? ask(sites.a.socket, AgentRequest.captureStart(.init())) as CaptureView).map {
                        $0.capture > view.capture
                    } ?? false
                }
            }
        }
    }
}
