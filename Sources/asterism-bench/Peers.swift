import ArgumentParser
import Base
import CLinux
import Mesh
import Noise
import Wire

/// What an idle peer and an active peer cost: one endpoint with its data plane, sessions with very many others, virtual time.
struct Peers: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "peers", abstract: "Counts what sessions with many peers take of memory and of the line.",
        discussion: """
            Bytes are those that malloc has given out, for all that one endpoint and its data plane hold; the far ends are \
            gone when it is asked. 'active' is when each peer has just been sent messages and a stream of 16 KiB, and has \
            answered; 'idle' is after some time in which nothing was sent. A peer with which nothing was sent for 20 \
            seconds keeps less, and one with which nothing was sent for three minutes is forgotten.
            """)

    @Option(help: "Peers.") var count = 10_000
    @Option(help: "Seconds of silence; may be given several times.") var seconds: [Int64] = [10, 60, 200]

    func validate() throws {
        if !(1...60_000).contains(count) { throw ValidationError("--count must be from 1 to 60000.") }
        if seconds.contains(where: { !(1...1000).contains($0) }) {
            throw ValidationError("--seconds must be from 1 to 1000.")
        }
    }

    func run() throws {
        for silence in seconds {
            let crowd = Crowd(count: count)
            print("\(count) peers, \(crowd.connect()) connected, idle for \(silence) s:")
            let quiet = crowd.rest(.seconds(silence))
            print("  datagrams meanwhile: \(quiet) (\(perSecond(quiet, silence)) a second)")
            print("  bytes a peer: \(crowd.bytesHeld() / count)")
        }
        let crowd = Crowd(count: count)
        print("\(count) peers, \(crowd.connect()) connected, active:")
        crowd.talk()
        let probes = crowd.burst()
        print("  datagrams in a second in which each is sent one packet: \(probes.all), probes \(probes.probes)")
        print("  bytes a peer: \(crowd.bytesHeld() / count)")
    }

    private func perSecond(_ datagrams: Int, _ seconds: Int64) -> String {
        let tenths = (Double(datagrams) / Double(seconds) * 10).rounded() / 10
        return "\(tenths)"
    }
}

/// One endpoint, and its peers.
private final class Crowd {
    private final class Node {
        var endpoint: Endpoint
        let node: NodeID
        let address: SocketAddress
        var outbox = MeshOutbox()

        init(_ number: UInt32, _ authority: borrowing SigningKey, now: Instant) {
            var generator = KeyGenerator(Seed(UInt64(number) + 1))
            let key = generator.secretKey()
            node = key.publicKey
            address = SocketAddress(.v4(0x0a00_0000 + number), 7950)
            var certificate = Certificate(
                fleet: FleetID(1, 2), serial: UInt64(number) + 1, node: node, roles: .agent, notBefore: Crowd.start,
                notAfter: Crowd.start + .minutes(600), name: "node-\(number)", labels: [])
            certificate.overlay4 = .v4(0x6440_0001 + number)
            let signed = SignedCertificate(certificate, signature: authority.sign(certificate.encoded()))
            var configuration = MeshConfiguration()
            configuration.hasDataPlane = true
            endpoint = Endpoint(
                identity: Identity(key),
                credentials: Credentials(certificate: signed, authorities: [authority.verifyingKey]),
                configuration: configuration, seed: Seed(UInt64(number) + 1_000_003), now: now)
            endpoint.listens(at: [address], now: now)
        }
    }

    static let start = UnixTime(seconds: 1_800_000_000)
    private static let origin = Instant(nanoseconds: 1_000_000_000)
    private let hub: Node
    private var plane = DataPlane()
    private var planeOut = DataPlaneOutbox()
    private var others: [Node] = []
    private var now = Crowd.origin
    private var sent = 0
    private let before: Int

    init(count: Int) {
        var generator = KeyGenerator(Seed(7))
        let authority = generator.signingKey()
        before = Crowd.allocated()
        hub = Node(0, authority, now: now)
        others = (1...count).map { Node(UInt32($0), authority, now: now) }
    }

    /// What malloc has given out.
    private static func allocated() -> Int {
        Int(asterism_allocated())
    }

    private var wall: UnixTime { Crowd.start + (now - Crowd.origin) }

    /// How many there are sessions with.
    func connect() -> Int {
        for other in others {
            hub.endpoint.connect(to: other.node, at: [other.address], now: now, into: &hub.outbox)
            hub.endpoint.flush(now: now, into: &hub.outbox)
            exchange()
        }
        for _ in 0..<20 { step(.milliseconds(100)) }
        return others.count { hub.endpoint.isConnected($0.node) }
    }

    /// Messages and a stream with each.
    func talk() {
        let bytes = [UInt8](repeating: 7, count: 16 << 10)
        for other in others {
            for number in 0..<8 { hub.endpoint.send([UInt8(number)], to: other.node, expectsReply: true, now: now) }
            if let stream = hub.endpoint.openStream(to: other.node) {
                _ = hub.endpoint.write(bytes, to: stream, of: other.node)
            }
            other.endpoint.send([1], to: hub.node, now: now)
            exchange()
        }
        for _ in 0..<20 { step(.milliseconds(100)) }
    }

    /// Datagrams that the hub sends while all are idle.
    func rest(_ time: Interval) -> Int {
        let before = sent
        for _ in 0..<(time.nanoseconds / 100_000_000) { step(.milliseconds(100)) }
        return sent - before
    }

    /// A packet to each within a second, as the data plane reports it.
    func burst() -> (all: Int, probes: Int) {
        let before = (sent, hub.endpoint.counters.probesSent)
        hub.endpoint.note(
            others.indices.map { index in
                DataPlaneActivity(
                    peer: index, isInward: false, packets: 1, bytes: 100, lastAt: now, counter: 1)
            }, now: now)
        for _ in 0..<10 { step(.milliseconds(100)) }
        return (sent - before.0, hub.endpoint.counters.probesSent - before.1)
    }

    /// All memory of the hub, without the destinations.
    func bytesHeld() -> Int {
        others = []
        return Crowd.allocated() - before
    }

    // MARK: - Time and lines

    private func step(_ time: Interval) {
        now = now + time
        hub.endpoint.tick(now: now, wall: wall, into: &hub.outbox)
        exchange()
        for other in others where other.endpoint.deadline.map({ $0.at <= now }) ?? false {
            other.endpoint.tick(now: now, wall: wall, into: &other.outbox)
            deliver(other)
        }
        exchange()
    }

    /// Until no node has anything to send.
    private func exchange() {
        hub.endpoint.flush(now: now, into: &hub.outbox)
        while true {
            let changes = hub.outbox.dataPlane
            hub.outbox.dataPlane = []
            for change in changes { plane.apply(change, now: now, into: &planeOut) }
            hub.outbox.events = []
            var batch = DatagramBatch(capacity: 2048)
            swap(&batch, &hub.outbox.datagrams)
            guard !changes.isEmpty || !batch.isEmpty else { return }
            sent += batch.count
            for position in 0..<batch.count {
                guard case .v4(let ip) = batch.entries[position].remote.ip, ip > 0x0a00_0000,
                    Int(ip - 0x0a00_0001) < others.count
                else { continue }
                let other = others[Int(ip - 0x0a00_0001)]
                var one = DatagramBatch(capacity: 2048)
                one.append(batch.bytes(at: position), remote: hub.address)
                other.endpoint.received(&one, now: now, wall: wall, into: &other.outbox)
                deliver(other)
            }
        }
    }

    private func deliver(_ other: Node) {
        other.endpoint.flush(now: now, into: &other.outbox)
        // The destinations' data planes are not counted here.
        other.outbox.dataPlane = []
        other.outbox.events = []
        var sent = DatagramBatch(capacity: 2048), batch = DatagramBatch(capacity: 2048)
        swap(&sent, &other.outbox.datagrams)
        guard !sent.isEmpty else { return }
        for position in 0..<sent.count { batch.append(sent.bytes(at: position), remote: other.address) }
        hub.endpoint.received(&batch, now: now, wall: wall, into: &hub.outbox)
    }
}
