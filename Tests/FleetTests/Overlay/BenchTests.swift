import Control
import Foundation
import Testing

/// Measuring between two nodes that reach each other through the overlay only.
extension OverlayTests {
    @Test func `two nodes are measured through the mesh, and no server stays behind`() throws {
        try Overlay.with { overlay in
            let run = try overlay.a.cli(["bench", "b", "--duration", "1", "--json"])
            #expect(run.status == 0, "\(run.errors)")
            let report = try #require(
                try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any], "\(run.output)")
            #expect(report["name"] as? String == "b")
            for way in ["there", "back"] {
                let way = report[way] as? [String: Any]
                #expect(way?["bitsPerSecond"] as? Int ?? 0 > 1_000_000, "\(run.output)")
                let trips = way?["trips"] as? [String: Any]
                #expect(trips?["sent"] as? Int == 100 && trips?["p99Microseconds"] != nil)
            }
            // It has gone through the data plane, and the server has ended.
            let peer = try #require(try overlay.a.peers().first { $0.name == "b" })
            #expect(peer.hasRoute && peer.datagramBytes == 1472)
            #expect(peer.packetBytesReceived > 1_000_000 && peer.packetBytesSent > 1_000_000)
            try eventually("the server has ended") { Self.servers.isEmpty }

            // A server does not outlive its agent.
            let long = try overlay.a.start(cli: ["bench", "b", "--duration", "20"], output: "long")
            try eventually("a server runs") { !Self.servers.isEmpty }
            overlay.b.agent.end()
            try eventually("and ends with its agent") { Self.servers.isEmpty }
            long.end()

            try overlay.b.restart(["--overlay", "off"])
            for (node, name, why) in [
                (overlay.a, "b", "b has no network interface"), (overlay.b, "a", "this node has no network interface"),
            ] {
                try eventually("\(node.name) gets the reason") {
                    let refused = try node.cli(["bench", name])
                    return refused.status == 5 && refused.errors.contains(why)
                }
            }
        }
    }

    /// The destinations of measurements.
    private static var servers: [Int32] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.filter { pid in
            let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
            let words = String(decoding: line, as: UTF8.self).split(separator: "\0")
            return words.count > 1 && words[0].hasSuffix("/asterism") && words[1] == "bench-serve"
                && ProcessFacts.isAlive(pid)
        }
    }
}
