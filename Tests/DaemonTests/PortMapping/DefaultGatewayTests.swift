import Base
import Daemon
import Foundation
import Testing

@Suite struct DefaultGatewayTests {
    private static let head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"

    private func table(_ lines: String...) -> String {
        Self.head + lines.map { $0.replacing(" ", with: "\t") + "\n" }.joined()
    }

    @Test func `the default route with the least metric is the gateway`() {
        let text = table(
            "eth1 00000000 0102A8C0 0003 0 0 200 00000000 0 0 0", "eth0 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0",
            "eth0 0001A8C0 00000000 0001 0 0 100 00FFFFFF 0 0 0")
        #expect(DefaultGateway(routes: text) == DefaultGateway(IPAddress("192.168.1.1")!, interface: "eth0"))
    }

    @Test(arguments: [
        "", "eth0 00000000 0101A8C0 0002 0 0 0 00000000 0 0 0", "tun0 00000000 00000000 0001 0 0 0 00000000 0 0 0",
        // Half of the address space, as some tunnels route it; a broken line.
        "tun0 00000000 0101A8C0 0003 0 0 0 00000080 0 0 0", "eth0 00000000 0101A8C0 0003", "eth0 x y z 0 0 0 0",
        "eth0 00000000 0101A8C001 0003 0 0 0 00000000 0 0 0",
    ])
    func `what is no default route by a gateway is none`(line: String) {
        #expect(DefaultGateway(routes: table(line)) == nil)
    }

    @Test func `the table lies under the root that is given, and is absent where it is not`() throws {
        let root = FileManager.default.temporaryDirectory.appending(path: "asterism-route-\(UUID())")
        defer { try? FileManager.default.removeItem(at: root) }
        #expect(DefaultGateway.read(root: root.path()) == nil)
        let folder = root.appending(path: "proc/net")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try table("lo 00000000 0101A8C0 0003 0 0 0 00000000 0 0 0")
            .write(to: folder.appending(path: "route"), atomically: true, encoding: .utf8)
        let gateway = try #require(DefaultGateway.read(root: root.path()))
        #expect(gateway.gateway == IPAddress("192.168.1.1")! && gateway.interface == "lo")
        // An interface without an address in the gateway's network gives the one that it has.
        #expect(gateway.ownAddress == .loopback4)
    }

    @Test func `a node's nonce is its own, the same each time, and not its key`() {
        let key = Array(1...32 as ClosedRange<UInt8>)
        let nonce = PortMappingHost.nonce(identity: key)
        #expect(nonce.count == 12 && nonce == PortMappingHost.nonce(identity: key))
        #expect(nonce != PortMappingHost.nonce(identity: key.reversed()) && nonce != Array(key.prefix(12)))
    }
}
