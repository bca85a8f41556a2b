import Base
import Control
import Foundation
import Testing
import Wire

/// What an eavesdropper sees: ciphertext.
@Suite struct PlaintextTests {
    /// The word itself and its base64 at each of the three alignments, without the characters that neighbours change.
    private static func forms(_ word: String) -> [[UInt8]] {
        let encoded = (0..<3).map { shift in
            let text = Base64.encode(Array(repeating: 0, count: shift) + Array(word.utf8))
            return Array(text.utf8.dropFirst([0, 2, 3][shift]).dropLast(4))
        }
        return [Array(word.utf8)] + encoded
    }

    private static func holds(_ bytes: [UInt8], _ word: [UInt8]) -> Bool {
        guard let first = word.first else { return false }
        return bytes.indices.contains { start in
            bytes[start] == first && bytes[start...].starts(with: word)
        }
    }

    @Test func `neither arguments nor log lines nor names can be read on the wire`() throws {
        try Fleet.with(agents: 0, isRelayed: true) { fleet in
            let relay = try #require(fleet.relay)
            let tcpdump = try capture(fleet, relay)
            let mark = String(UInt64.random(in: .min ... .max), radix: 36)
            let words = ["argument", "variable", "logline", "worker", "node", "reason"].map { "\($0)-\(mark)" }
            try fleet.startAgent(words[4], token: try fleet.token())
            try fleet.waitUntilOnline(1)
            try fleet.run(
                words[3],
                [
                    "/bin/sh", "-c", "i=0; while [ $i -lt 500 ]; do echo $0 $i; i=$((i+1)); done; echo \(words[0])",
                    words[2],
                ]
            ) { $0.environment = [EnvironmentVariable("SECRET", words[1])] }
            try fleet.wait(for: words[3], .succeeded)
            let log = String(decoding: try fleet.log(words[3]), as: UTF8.self)
            #expect(log.contains("\(words[2]) 499\n\(words[0])\n"))
            #expect(try fleet.worker(words[3]).command.contains(words[2]))
            let problem = #expect(throws: APIError.self) { try fleet.run("none", ["/nowhere/\(words[5])"]) }
            #expect(problem?.message.contains(words[5]) == true)

            let datagrams = relay.capture
            #expect(datagrams.filter { !$0.isUp }.count > 5)
            let carried = datagrams.reduce(0) { $0 + $1.bytes.count }
            #expect(carried > log.utf8.count, "the log of \(log.utf8.count) bytes did not pass the relay")
            var everything = datagrams.flatMap(\.bytes)
            if let tcpdump {
                usleep(300_000)
                tcpdump.send(SIGTERM)
                #expect(tcpdump.hasEnded(within: 10))
                let file = FileManager.default.contents(atPath: fleet.path("capture")) ?? Data()
                #expect(file.count > log.utf8.count, "tcpdump saw \(file.count) bytes")
                everything += Array(file)
            }
            for word in words {
                for form in Self.forms(word) { #expect(!Self.holds(everything, form), "\(word) is on the wire") }
            }
            #expect(Self.holds(Array(log.utf8), Self.forms(words[2])[0]), "the search does not find what is there")
        }
    }

    /// tcpdump on the loopback device, where this user may; the relay sees the same datagrams without it.
    private func capture(_ fleet: Fleet, _ relay: Relay) throws -> Program? {
        guard getuid() == 0, access("/usr/bin/tcpdump", X_OK) == 0 else { return nil }
        let filter = "udp and (port \(fleet.port) or port \(relay.port))"
        let program = try Program(
            "/usr/bin/tcpdump",
            ["-i", "lo", "-U", "--immediate-mode", "-s", "0", "-Z", "root", "-w", fleet.path("capture"), filter],
            output: fleet.path("tcpdump.log"))
        for _ in 0..<100 where program.isRunning {
            if program.text.contains("listening on") { return program }
            usleep(20_000)
        }
        program.end()
        return nil
    }
}
