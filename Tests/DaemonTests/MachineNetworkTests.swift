import Base
import Control
import Daemon
import EventLoop
import Foundation
import Logging
import Mesh
import Testing

/// What is read of a machine's network, from folders that stand for machines.
@Suite struct MachineNetworkTests {
    private static func machine(_ name: String) -> String {
        URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fixtures/network/\(name)")
            .standardizedFileURL.path()
    }

    static let gateways: [(machine: String, gateway: String?, interface: String)] = [
        ("pod", "10.244.1.1", "eth0"), ("two-gateways", "192.168.2.1", "eth0"), ("no-gateway", nil, ""),
        ("no-such-machine", nil, ""),
    ]

    @Test(arguments: gateways.indices)
    func `the default gateway is that of the least metric`(_ index: Int) {
        let (name, gateway, interface) = Self.gateways[index]
        let found = DefaultGateway.read(root: Self.machine(name))
        #expect(found?.gateway == gateway.flatMap { IPAddress($0) })
        #expect((found?.interface ?? "") == interface)
    }

    @Test func `a pod is known by its environment or by its service account`() {
        let environment = ["KUBERNETES_SERVICE_HOST": "10.96.0.1", "HOSTNAME": "trainer-0"]
        let pod = MachineNetwork.Pod({ environment[$0] }, root: Self.machine("pod"))
        #expect(pod == MachineNetwork.Pod(namespace: "training", name: "trainer-0"))
        #expect(MachineNetwork.Pod({ _ in nil }, root: Self.machine("pod"))?.namespace == "training")
        let bare = MachineNetwork.Pod({ environment[$0] }, root: Self.machine("no-gateway"))
        #expect(bare == MachineNetwork.Pod(namespace: nil, name: "trainer-0"))
        #expect(MachineNetwork.Pod({ $0 == "HOSTNAME" ? "laptop" : nil }, root: Self.machine("no-gateway")) == nil)
    }

    @Test func `this machine has a loopback interface, by name`() throws {
        let network = MachineNetwork.read(pod: nil, overlay: "lo")
        let loopback = try #require(network.interfaces.first { $0.addresses.contains(.loopback4) })
        #expect(loopback.name == "lo" && loopback.isOverlay && !network.addresses.contains(.loopback4))
    }

    static let servers: [(text: String, address: String?)] = [
        ("192.0.2.1:3478", "192.0.2.1:3478"), ("[2001:db8::1]:19302", "[2001:db8::1]:19302"),
        ("stun.example.org:3478", nil), ("a_b.example.:1", nil), ("localhost:3478", nil),
    ]

    @Test(arguments: servers.indices)
    func `a STUN server is an address or a name, with a port`(_ index: Int) throws {
        let (text, address) = Self.servers[index]
        let server = try #require(STUNServer(text))
        #expect(server.address == address.flatMap { SocketAddress($0) } && "\(server)" == text)
    }

    @Test(arguments: [
        "", ":", "3478", "stun.example.org", "stun.example.org:", "stun.example.org:0", "stun.example.org:65536",
        "192.0.2.1", "192.0.2.1:0", "0.0.0.0:3478", "192.0.2:3478", "192.0.2.256:3478", "2001:db8::1:3478", "a b:1",
        "stun://example.org:1", "ex/ample.org:1",
    ])
    func `what is no server is refused`(_ text: String) {
        #expect(STUNServer(text) == nil)
    }

    @Test func `a name is resolved by the system`() throws {
        let addresses = try #require(STUNServer("localhost:3478")).resolve().get()
        #expect(!addresses.isEmpty && addresses.allSatisfy { $0.ip.isLoopback && $0.port == 3478 })
    }

    // MARK: - NAT discoveries over real sockets

    /// A STUN server of the tests' own on loopback, with one address, that answers or is silent.
    private final class Server {
        private(set) var socket: DatagramSocket!
        private(set) var asked = 0

        init(on loop: Loop, answers: Bool) throws {
            socket = try DatagramSocket(on: loop, "STUN server", bind: SocketAddress(.loopback4, 0)) {
                [weak self] batch in
                var out = DatagramBatch(capacity: 4096)
                for index in 0..<batch.count {
                    self?.asked += 1
                    guard answers, let request = try? STUNMessage(decoding: batch.bytes(at: index)) else { continue }
                    let remote = batch.entries[index].remote
                    let answer = STUNMessage(.success, request.transaction, [.xorMappedAddress(remote)])
                    out.append(answer.encoded(), remote: remote)
                }
                self?.socket.send(&out)
            }
        }

        var name: String { "\(socket.localAddress!)" }
    }

    /// Runs NAT discovery until a waiting caller is called back, and returns the report of that time.
    private static func discovery(_ names: [String], on loop: Loop) throws -> NATDiscoveryReport {
        let servers = try names.map { try #require(STUNServer($0)) }
        let host = NATDiscoveryHost(
            on: loop, servers: servers, log: Logger(label: "tests") { _ in SwiftLogNoOpLogHandler() }, overlay: nil)
        var report: NATDiscoveryReport?, isLate = false
        let limit = EventLoop.Timer(on: loop, "the test's patience") { isLate = true }
        limit.arm(after: .seconds(20))
        host.freshen { report = host.report }
        while report == nil, !isLate { loop.runOnce() }
        host.close()
        limit.close()
        return try #require(report, "no callback came")
    }

    @Test func `a NAT discovery on loopback finds no NAT, and shows which server is silent or absent`() throws {
        let loop = Loop()
        let good = try Server(on: loop, answers: true), silent = try Server(on: loop, answers: false)
        let gone = try Server(on: loop, answers: false)
        let absent = gone.name
        gone.socket.close()
        let report = try Self.discovery([good.name, silent.name, absent], on: loop)
        let found = try #require(report.ipv4)
        #expect(found.udp == .known(true) && found.mapping == .known(.none) && report.ipv6 == nil)
        #expect(found.servers[1].outcome == .silent && found.servers[2].outcome == .unreachable)
        // By each of the discovery's sockets; up to five times where nothing comes back.
        #expect(good.asked >= NATDiscovery.sockets && 2...5 ~= silent.asked)
        good.socket.close()
        silent.socket.close()
    }

    @Test func `without servers there is no wait`() throws {
        let report = try Self.discovery([], on: Loop())
        #expect(report.servers.isEmpty && report.ipv4 == nil && report.endedAt == nil)
    }

    @Test func `a name that cannot be resolved is reported, and the others are still asked`() throws {
        let loop = Loop()
        let good = try Server(on: loop, answers: true)
        // No label is so long, so no name server is asked.
        let name = String(repeating: "x", count: 64) + ".invalid:3478"
        let report = try Self.discovery([name, good.name], on: loop)
        #expect(report.servers[0].addresses.isEmpty && report.servers[0].problem != nil)
        #expect(report.ipv4?.udp == .known(true))
        good.socket.close()
    }
}
