import Base
import Control
import Foundation
import Testing

/// Which peers may reach what, and what works without an interface.
extension OverlayTests {
    private static func isOpen(_ overlay: Overlay, _ port: UInt16, isIPv4: Bool) throws -> Bool {
        let address = isIPv4 ? overlay.b.v4 : overlay.b.v6
        let listener = try Socket.listening(in: overlay.b.namespace, at: address, port)
        let client = try Socket.connecting(in: overlay.a.namespace, to: address, port)
        // The second try of a SYN comes after one second.
        guard client.wait(POLLOUT, milliseconds: 1300) else { return false }
        guard client.takeError() == 0 else { return false }
        _ = try listener.accepted()
        return true
    }

    @Test func `nodes of different applications communicate only where a rule allows it`() throws {
        let web = ["--label", "app=web"], store = ["--label", "app=store"]
        try Overlay.with(a: web, b: store) { overlay in
            let echo = try Echo(from: overlay.a, to: overlay.b, isIPv4: true)
            #expect(try !echo.exchange([1, 2, 3], milliseconds: 1500))
            let denied = try overlay.b.counter("overlay.dropped.denied")
            #expect(denied > 0)
            #expect(try !Self.isOpen(overlay, 9100, isIPv4: true))
            #expect(try !Self.isOpen(overlay, 9100, isIPv4: false))
            #expect(try overlay.b.counter("overlay.dropped.denied") > denied)
        }
        let allow = ["--allow", "tcp:9100 from app=web"]
        try Overlay.with(a: web, b: store + allow) { overlay in
            #expect(try Self.isOpen(overlay, 9100, isIPv4: true))
            #expect(try Self.isOpen(overlay, 9100, isIPv4: false))
            #expect(try !Self.isOpen(overlay, 9101, isIPv4: true))
            #expect(try overlay.b.counter("overlay.dropped.denied") > 0)
            let (near, far) = try Socket.connection(from: overlay.a, to: overlay.b, isIPv4: true, port: 9100)
            let exchange = try Exchange.run(near, far, .bytes(Self.bytes / 8))
            Self.notify("by a rule: \(exchange)")
            // The rule allows no new flow in the other direction.
            let echo = try Echo(from: overlay.b, to: overlay.a, isIPv4: true, port: 9100)
            #expect(try !echo.exchange([1, 2, 3], milliseconds: 1000))
        }
    }

    @Test func `a rule that a reload removes denies, and one that it adds allows`() throws {
        let file = "/tmp/asterism-policy-\(getpid()).yaml"
        defer { try? FileManager.default.removeItem(atPath: file) }
        func write(_ rule: String) throws {
            try "label: {app: store}\nallow: ['\(rule) from app=web']\n".write(
                toFile: file, atomically: false, encoding: .utf8)
            chmod(file, 0o644)
        }
        try write("tcp:9100")
        try Overlay.with(a: ["--label", "app=web"], b: ["--config", file]) { overlay in
            #expect(try Self.isOpen(overlay, 9100, isIPv4: true))
            #expect(try !Self.isOpen(overlay, 9101, isIPv4: true))
            try write("tcp:9101")
            overlay.b.agent.send(SIGHUP)
            try eventually("the rules are reloaded") { overlay.b.agent.text.contains("reloaded: allow\n") }
            #expect(try !Self.isOpen(overlay, 9100, isIPv4: true))
            #expect(try Self.isOpen(overlay, 9101, isIPv4: true))
            #expect(overlay.b.agent.isRunning)
        }
    }

    /// What may be missing where an agent runs.
    enum Lack: String, CaseIterable {
        case capability, device

        /// Takes it from the calling thread, and from the programs that it starts.
        func take() throws {
            switch self {
            case .capability:
                guard try Kernel.prctl(Kernel.dropBounding, Kernel.netAdmin) == 0 else { throw Fault.last("prctl") }
            case .device:
                guard try Kernel.unshare(Kernel.newMounts) == 0,
                    mount(nil, "/", nil, UInt(MS_REC | MS_PRIVATE), nil) == 0,
                    mount("none", "/dev/net", "tmpfs", 0, nil) == 0
                else { throw Fault.last("mount") }
            }
        }
    }

    @Test(arguments: Lack.allCases)
    func `without the privilege an agent does all but the overlay, and states why`(lack: Lack) throws {
        try Overlay.with(a: ["--overlay", "off"], b: ["--overlay", "off"], isOverlay: false) { overlay in
            let agent = overlay.a
            try agent.restart(["--overlay", "auto"]) { try lack.take() }
            try eventually("heartbeats are answered") {
                try agent.status().controllers?.contains { $0.isConnected } == true
                    && overlay.nodes().allSatisfy { $0.state == .online }
            }
            #expect(agent.agent.isRunning)
            #expect(agent.agent.text.contains("no network interface for the overlay"))
            #expect(agent.agent.text.contains("CAP_NET_ADMIN"))
            try agent.restart(["--overlay", "required"]) { try lack.take() }
            #expect(agent.agent.hasEnded(within: 10))
            #expect(agent.agent.exitStatus.map { $0 != 0 } == true)
            let why = agent.agent.text.split(separator: "\n").last { $0.contains("--overlay: no network interface") }
            #expect(why != nil, "\(agent.agent.text)")
            Self.notify("without the \(lack): \(why ?? "")")
        }
    }
}
