import Base
import Noise
import Wire

@testable import Mesh

/// A fleet's authority, and certificates from it.
struct TestFleet: ~Copyable {
    let id: FleetID
    let signing: SigningKey
    var serial: UInt64 = 0
    static let start = UnixTime(seconds: 1_800_000_000)

    init(_ number: UInt64 = 1) {
        var generator = KeyGenerator(Seed(number))
        signing = generator.signingKey()
        id = FleetID(number, ~number)
    }

    mutating func credentials(
        for node: NodeID, name: String, roles: Roles = .agent, notBefore: UnixTime = TestFleet.start,
        life: Interval = .minutes(60), site: String = "", labels: [Label] = []
    ) -> Credentials {
        serial += 1
        var certificate = Certificate(
            fleet: id, serial: serial, node: node, roles: roles, notBefore: notBefore, notAfter: notBefore + life,
            name: name, site: site, labels: labels)
        certificate.overlay4 = .v4(0x6440_0000 + UInt32(serial))
        let signed = SignedCertificate(certificate, signature: signing.sign(certificate.encoded()))
        return Credentials(certificate: signed, authorities: [signing.verifyingKey])
    }
}

/// An endpoint at an address, with its events and datagrams.
final class TestNode {
    var endpoint: Endpoint
    let node: NodeID
    var address: SocketAddress
    var outbox = MeshOutbox()
    var events: [MeshEvent] = []
    /// Where `hasDataPlane` is set: packets that have come out at this end go to `packets`.
    var plane = DataPlane()
    var planeOutbox = DataPlaneOutbox()
    let carriesPackets: Bool
    var packets: [(header: VirtioHeader, bytes: [UInt8])] = []
    var replies: [[UInt8]] = []
    var desired: [IPAddress] = []

    init(
        _ number: UInt64, credentials make: (NodeID) -> Credentials?, configuration: MeshConfiguration,
        life: UInt64 = 1, now: Instant
    ) {
        var generator = KeyGenerator(Seed(number))
        let key = generator.secretKey()
        node = key.publicKey
        carriesPackets = configuration.hasDataPlane
        address = SocketAddress(.v4(0x0a00_0000 + UInt32(number)), 4100)
        endpoint = Endpoint(
            identity: Identity(key), credentials: make(node), configuration: configuration,
            seed: Seed(number + life * 1000),
            now: now)
    }

    func connected(to peer: NodeID) -> PeerSession? {
        for case .connected(peer, let session) in events { return session }
        return nil
    }
    func messages(from peer: NodeID) -> [[UInt8]] {
        events.compactMap { if case .message(peer, let bytes) = $0 { bytes } else { nil } }
    }
}

/// Two endpoints and a path between them, in virtual time.
final class TestPair {
    let a: TestNode
    let b: TestNode
    var now = Instant(nanoseconds: 1_000_000_000)
    var latency = Interval.milliseconds(10)
    /// What happens to a datagram in transit: nothing, or it is changed, or (with `[]`) lost, or repeated.
    var path: (_ from: TestNode, _ bytes: [UInt8]) -> [[UInt8]] = { [$1] }
    /// Everything that was sent, in order.
    var recorded: [(from: SocketAddress, to: SocketAddress, bytes: [UInt8])] = []
    var flying: [(at: Instant, from: SocketAddress, to: SocketAddress, bytes: [UInt8])] = []

    init(_ a: TestNode, _ b: TestNode) {
        self.a = a
        self.b = b
    }

    var wall: UnixTime { TestFleet.start + (now - Instant(nanoseconds: 1_000_000_000)) }

    func connect() {
        a.endpoint.connect(to: b.node, at: [b.address], now: now, into: &a.outbox)
        drain(a)
    }

    /// Takes the node's events and puts its datagrams on the path.
    func drain(_ node: TestNode) {
        node.endpoint.flush(now: now, into: &node.outbox)
        let changes = node.outbox.dataPlane
        node.outbox.dataPlane = []
        for change in changes { node.plane.apply(change, now: now, into: &node.planeOutbox) }
        drainPlane(node)
        for position in 0..<node.outbox.datagrams.count {
            let bytes = node.outbox.datagrams.bytes(at: position)
            let to = node.outbox.datagrams.entries[position].remote
            recorded.append((node.address, to, bytes))
            for copy in path(node, bytes) { flying.append((now + latency, node.address, to, copy)) }
        }
        node.outbox.datagrams.removeAll()
        node.events += node.outbox.events
        node.outbox.events = []
    }

    func inject(_ bytes: [UInt8], from: SocketAddress, to node: TestNode) {
        if bytes.first == DatagramKind.packet.rawValue, node.carriesPackets {
            return arrive([bytes], from: from, at: node)
        }
        var batch = DatagramBatch()
        batch.append(bytes, remote: from)
        node.endpoint.received(&batch, now: now, wall: wall, into: &node.outbox)
        drain(node)
    }

    /// Lets time pass: datagrams arrive, deadlines come, at most `limit` steps.
    func run(_ duration: Interval, limit: Int = 1_000_000) {
        let end = now + duration
        for _ in 0..<limit {
            let arrival = flying.map(\.at).min() ?? .distantFuture
            let deadline = min(a.endpoint.deadline?.at ?? .distantFuture, b.endpoint.deadline?.at ?? .distantFuture)
            let next = min(arrival, deadline)
            guard next <= end else { break }
            now = max(now, next)
            if let first = flying.firstIndex(where: { $0.at <= now }) {
                let datagram = flying.remove(at: first)
                for node in [a, b] where node.address == datagram.to {
                    inject(datagram.bytes, from: datagram.from, to: node)
                }
            } else {
                for node in [a, b] where (node.endpoint.deadline?.at ?? .distantFuture) <= now {
                    node.endpoint.tick(now: now, wall: wall, into: &node.outbox)
                    drain(node)
                }
            }
        }
        now = max(now, end)
    }

    /// Two members of one fleet; `site` and `roles` are those of `b`.
    static func members(
        labels: [[Label]] = [[], []], site: String = "", roles: Roles = .agent,
        _ change: (inout MeshConfiguration) -> Void = { _ in }
    ) -> TestPair {
        var fleet = TestFleet()
        var configuration = MeshConfiguration()
        change(&configuration)
        let now = Instant(nanoseconds: 1_000_000_000)
        let a = TestNode(
            1, credentials: { fleet.credentials(for: $0, name: "a", labels: labels[0]) }, configuration: configuration,
            now: now)
        let b = TestNode(
            2, credentials: { fleet.credentials(for: $0, name: "b", roles: roles, site: site, labels: labels[1]) },
            configuration: configuration, now: now)
        return TestPair(a, b)
    }
}

extension Endpoint {
    func peer(_ node: NodeID) -> Peer? { sessions.peers[node] }

    /// What happens to the traversal of NATs alone.
    mutating func withTraversal(_ body: (inout Traversal, inout PeerTable) -> Void) {
        body(&traversal, &sessions.peers)
    }
}
