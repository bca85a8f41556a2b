import Base
import Control
import Foundation
import Testing

/// Packets on threads of their own, and keys, addresses and routes that reach them by message.
extension OverlayTests {
    private static func threads(_ count: Int) -> [String] { ["--data-plane-threads", "\(count)"] }

    /// The names of the agents' threads that carry packets (proc_pid_comm(5)).
    private static func names(of overlay: Overlay) throws -> [Set<String>] {
        try [overlay.a, overlay.b].map { node in
            let folder = "/proc/\(node.agent.pid)/task"
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).compactMap { task in
                try? String(contentsOfFile: "\(folder)/\(task)/comm", encoding: .utf8)
                    .trimmingCharacters(in: .newlines)
            }
            return Set(names.filter { $0.hasPrefix("overlay-") })
        }
    }

    @Test(arguments: [(2, 1), (2, 4), (4, 4)])
    func `threads carry what one loop does`(a: Int, b: Int) throws {
        try Overlay.with(a: Self.threads(a), b: Self.threads(b)) { overlay in
            let names = try Self.names(of: overlay)
            #expect(names[0].count == (a == 1 ? 0 : a) && names[1].count == (b == 1 ? 0 : b), "\(names)")
            try Self.passEverything(overlay, "\(a) and \(b) threads", bytes: Self.bytes / 2)
            try eventually("both have counted") {
                try overlay.a.counter("overlay.packetsReceived") > 1000
                    && overlay.b.counter("overlay.packetsReceived") > 1000
            }
            for node in [overlay.a, overlay.b] {
                #expect(try node.counter("overlay.dropped.forged") == 0)
                #expect(try node.counter("overlay.handoverDropped") == 0)
            }
            try eventually("traffic is known to the agent") {
                try overlay.a.peers().contains { $0.name == "b" && $0.packetBytesSent > 1_000_000 }
            }
        }
    }

    @Test func `with threads, a capture sees both layers, through new sockets too`() throws {
        try Overlay.with(a: Self.threads(4), b: Self.threads(2)) { overlay in
            for layer in CaptureLayer.allCases {
                var view: CaptureView = try ask(
                    overlay.a.socket, AgentRequest.captureStart(.init(layer: layer, seconds: 2)))
                let (near, far) = try Socket.connection(from: overlay.a, to: overlay.b, isIPv4: true)
                #expect(try Exchange.run(near, far, .bytes(64 << 10)).received == 128 << 10)
                var text = ""
                for _ in 0..<200 where !view.isFinal {
                    view = try ask(overlay.a.socket, AgentRequest.captureRead(.init(capture: view.capture)))
                    text += String(decoding: view.bytes ?? [], as: UTF8.self)
                }
                #expect(text.contains("out to b, direct ") && text.contains("in from b, direct "), "\(layer)")
                #expect(text.contains(", packet") == (layer == .outer), "\(layer)")
                let rebound: RebindView = try ask(overlay.a.socket, AgentRequest.debugRebind(.init()))
                #expect(rebound.address?.port != rebound.before?.port)
            }
        }
    }

    @Test func `with threads, new keys every two seconds and two changes of address`() throws {
        let rekey = ["--debug-rekey-seconds", "2"]
        try Self.underLoad(a: rekey + Self.threads(4), b: rekey + Self.threads(4)) { overlay in
            try Self.moveTwice(overlay)
            sleep(3)
            let rekeys = try overlay.a.counter("rekeys") + overlay.b.counter("rekeys")
            #expect(rekeys >= 3)
            return "4 threads, \(rekeys) new keys, two changes of address"
        }
    }

    @Test func `with threads, a connection outlives the agent that carries it`() throws {
        try Self.underLoad(a: Self.threads(2), b: Self.threads(4)) { overlay in
            try overlay.b.restart()
            try overlay.waitUntilOnline()
            sleep(4)
            return "4 threads, restart of b"
        }
    }

    @Test func `with threads, an agent ends when it is asked to`() throws {
        try Overlay.with(a: Self.threads(4)) { overlay in
            let echo = try Echo(from: overlay.a, to: overlay.b, isIPv4: true)
            #expect(try echo.exchange([1, 2, 3], milliseconds: 5000))
            overlay.a.agent.send(SIGTERM)
            #expect(overlay.a.agent.hasEnded(within: 10))
            #expect(overlay.a.agent.exitStatus == 0)
        }
    }

    /// What a second agent in the same namespace may not have, and the option that its error names.
    @Test(
        arguments: [
            ("--listen", 5, ["--overlay", "off", "--listen", "0.0.0.0:7950"]),
            ("--listen", 5, ["--listen", "0.0.0.0:7950", "--overlay-interface", "other"]),
            ("--overlay", 5, ["--listen", "0.0.0.0:7951", "--overlay-interface", "overlay"]),
            (
                "--socket", 2,
                ["--listen", "0.0.0.0:7951", "--overlay-interface", "other", "--socket", "/proc/no/such.sock"]
            ),
        ], [2, 4])
    func `with threads, a name or port in use is refused, and the agent ends`(
        _ refused: (option: String, status: Int32, words: [String]), threads: Int
    ) throws {
        try Overlay.with(a: Self.threads(4)) { overlay in
            let folder = "/tmp/asterism-second-\(getpid())"
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let common = ["--data", folder, "--accelerators", "none"]
            let socket = refused.words.contains("--socket") ? [] : ["--socket", "\(folder).sock"]
            let overlayWords = refused.words.contains("--overlay") ? [] : ["--overlay", "required"]
            let second = try overlay.a.namespace.enter {
                try Program(
                    "asterismd", common + socket + overlayWords + refused.words + Self.threads(threads),
                    output: overlay.a.log + ".second")
            }
            #expect(second.hasEnded(within: 10))
            #expect(second.exitStatus == refused.status && second.text.contains(refused.option), "\(second.text)")
        }
    }

    @Test func `with threads, an agent outlives its interface`() throws {
        try Overlay.with(a: Self.threads(4)) { overlay in
            try overlay.a.namespace.ip("link del overlay")
            try eventually("the loss is reported") { overlay.a.agent.text.contains("interface was removed") }
            sleep(2)
            try overlay.waitUntilOnline()
            overlay.a.agent.send(SIGTERM)
            #expect(overlay.a.agent.hasEnded(within: 10))
            #expect(overlay.a.agent.exitStatus == 0)
        }
    }
}
