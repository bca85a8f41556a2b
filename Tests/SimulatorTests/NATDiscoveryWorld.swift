import Base
import Mesh
import Simulator

/// A discovery's machine driven without a network: what both of them have.
protocol NATDiscovering: ~Copyable {
    mutating func received(_ batch: inout DatagramBatch, now: Instant, into out: inout DatagramBatch)
    mutating func tick(now: Instant, into out: inout DatagramBatch)
    var deadline: Deadline? { get }
}
extension NATDiscovery: NATDiscovering {}
extension LifetimeDiscovery: NATDiscovering {}

/// A host with a gateway before it, and STUN servers 20 ms away.
struct NATDiscoveryWorld {
    /// One server, with up to two addresses and two ports (RFC 5780).
    struct Server {
        var address: SocketAddress
        var other: SocketAddress?
        /// Answers at the second address when it is asked there, and from there.
        var answersAtOther = true
        /// Looks at CHANGE-REQUEST and RESPONSE-PORT.
        var changes = true
        var isDead = false

        func listens(at place: SocketAddress) -> Bool {
            guard !isDead else { return false }
            if place == address { return true }
            guard let other else { return false }
            if place.ip == address.ip { return place.port == other.port }
            return answersAtOther && place.ip == other.ip && [address.port, other.port].contains(place.port)
        }

        /// The answer, where it is sent from, and where to.
        func answer(
            _ bytes: [UInt8], to remote: SocketAddress, at place: SocketAddress
        ) throws -> (STUNMessage, SocketAddress, SocketAddress)? {
            let request = try STUNMessage(decoding: bytes)
            var attributes: [STUNMessage.Attribute] = [.xorMappedAddress(remote), .software("a server of the tests")]
            if let other { attributes.append(.otherAddress(other)) }
            var origin = place, target = remote
            for attribute in request.attributes where changes {
                switch attribute {
                case .changeRequest(let address, let port):
                    guard let other else { continue }
                    if address { origin.ip = origin.ip == other.ip ? self.address.ip : other.ip }
                    if port { origin.port = origin.port == other.port ? self.address.port : other.port }
                case .responsePort(let port): target.port = port
                default: continue
                }
            }
            guard listens(at: origin) else { return nil }
            return (STUNMessage(.success, request.transaction, attributes), origin, target)
        }
    }

    /// What a broken or hostile server may do to an answer.
    private static func nonsense(_ random: inout Random, _ answer: STUNMessage) -> [UInt8] {
        var answer = answer
        let places = [
            "0.0.0.0:0", "255.255.255.255:65535", "127.0.0.1:1", "[::]:0", "[2001:db8::7]:9", "203.0.113.1:3478",
        ]
        let place = SocketAddress(places[random.index(below: places.count)])!
        switch random.index(below: 8) {
        case 0: answer.attributes = [.xorMappedAddress(place)]
        case 1: answer.attributes.insert(.otherAddress(place), at: 0)
        case 2: answer.attributes.insert(.mappedAddress(place), at: 0)
        case 3: answer.messageClass = STUNMessage.Class.allCases[random.index(below: 4)]
        case 4: (answer.messageClass, answer.attributes) = (.error, [.errorCode(420, "no")])
        case 5: answer.attributes.removeAll()
        case 6:
            var bytes = answer.encoded(fingerprint: false)
            bytes[random.index(below: bytes.count)] = UInt8(random.index(below: 256))
            return bytes
        case _: break
        }
        return answer.encoded()
    }

    private enum Event {
        /// On its way to a place outside.
        case outward([UInt8], from: SocketAddress, to: SocketAddress)
        case inward([UInt8], from: SocketAddress, to: SocketAddress)
    }

    static let host = IPAddress("192.168.1.2")!
    static let outside = IPAddress("198.51.100.7")!
    static let start = Instant(nanoseconds: 1_000_000_000)
    static let way = Interval.milliseconds(20)

    var gateway: NATGateway
    var servers: [Server]
    /// Of a hundred datagrams, each way.
    var lossPercent: UInt64 = 0
    var ports: [UInt16]
    /// Another host makes a mapping with each datagram of ours.
    var isBusy = false
    /// Servers send invalid answers, by these draws.
    var nonsense: Random?
    private(set) var now = start
    /// Datagrams of the discovery.
    private(set) var sent = 0
    private var events: [(at: Instant, event: Event)] = []
    private var random: Random

    init(_ behaviour: NATGateway.Behaviour, servers: [Server], sockets: Int, seed: UInt64 = 1) {
        random = Random(Seed(seed))
        gateway = NATGateway(behaviour, outside: NATDiscoveryWorld.outside, random: random.split())
        gateway.exposed = NATDiscoveryWorld.host
        self.servers = servers
        var random = random
        ports = (0..<sockets).map { _ in UInt16(random.next(in: 32_768...60_999)) }
    }

    var own: [IPAddress] { [NATDiscoveryWorld.host] }
    var addresses: [SocketAddress] { servers.map(\.address) }

    /// Takes what a NAT discovery sends at its beginning, and runs it to its end.
    mutating func run(_ discovery: inout some NATDiscovering & ~Copyable, _ out: inout DatagramBatch) throws {
        try send(&out)
        for _ in 0..<10_000 {
            guard let next = [discovery.deadline?.at, events.map(\.at).min()].compactMap({ $0 }).min() else { return }
            now = max(now, next)
            var batch = DatagramBatch()
            let due = events.filter { $0.at <= now }
            events.removeAll { $0.at <= now }
            for (_, event) in due.sorted(by: { $0.at < $1.at }) { try happen(event, &batch) }
            if !batch.isEmpty { discovery.received(&batch, now: now, into: &out) }
            if let deadline = discovery.deadline, deadline.at <= now { discovery.tick(now: now, into: &out) }
            try send(&out)
        }
        throw Endless()
    }
    struct Endless: Error {}

    private mutating func send(_ out: inout DatagramBatch) throws {
        for index in 0..<out.count {
            let entry = out.entries[index], inside = SocketAddress(NATDiscoveryWorld.host, ports[Int(entry.socket)])
            sent += 1
            if isBusy {
                let neighbour = SocketAddress(.v4(0xc0a8_0103), UInt16(random.next(in: 1024...65_535)))
                _ = gateway.outbound(from: neighbour, to: entry.remote, now: now)
            }
            guard case .success(let outside) = gateway.outbound(from: inside, to: entry.remote, now: now) else {
                continue
            }
            if random.chance(lossPercent, in: 100) { continue }
            events.append(
                (now + NATDiscoveryWorld.way, .outward(out.bytes(at: index), from: outside, to: entry.remote)))
        }
        out.removeAll()
    }

    private mutating func happen(_ event: Event, _ batch: inout DatagramBatch) throws {
        switch event {
        case .outward(let bytes, let from, let to):
            if to.ip == NATDiscoveryWorld.outside, gateway.behaviour.hairpins {
                enter(bytes, from: from, to: to, &batch)
            }
            guard let server = servers.first(where: { $0.listens(at: to) }),
                let (answer, origin, target) = try server.answer(bytes, to: from, at: to),
                !random.chance(lossPercent, in: 100)
            else { return }
            var random = nonsense
            let bytes = random == nil ? answer.encoded() : NATDiscoveryWorld.nonsense(&random!, answer)
            nonsense = random
            events.append((now + NATDiscoveryWorld.way, .inward(bytes, from: origin, to: target)))
        case .inward(let bytes, let from, let to): enter(bytes, from: from, to: to, &batch)
        }
    }

    private mutating func enter(
        _ bytes: [UInt8], from: SocketAddress, to: SocketAddress, _ batch: inout DatagramBatch
    ) {
        guard case .success(let inside) = gateway.inbound(to: to, from: from, now: now),
            inside.ip == NATDiscoveryWorld.host, let socket = ports.firstIndex(of: inside.port)
        else { return }
        batch.append(bytes, remote: from, socket: UInt16(socket))
    }
}
