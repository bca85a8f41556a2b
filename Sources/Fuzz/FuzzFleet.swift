import Base
import Control
import Mesh
import Noise
import Wire

/// Who takes part in a round.
final class FuzzFleet {
    let ann: EndpointTarget
    let bob: EndpointTarget
    let controller: ControllerTarget
    let alpha: AgentTarget
    let beta: AgentTarget
    let token: TokenText
    /// What a handshake of another member carries.
    let otherPayload: [UInt8]
    private let toBob: [HostilePeer]
    private let toController: [HostilePeer]
    private let toBeta: [HostilePeer]
    let targets: [any Target]
    let actors: [any Target]

    init(_ random: inout Random, now: Instant) {
        let clock = Clock()
        var generator = KeyGenerator(Seed(7))
        let authority = Authority(fleet: FleetID(1, 2), key: generator.signingKey())
        let trusted = authority.verifyingKey
        let names = ["ann", "bob", "mallory", "anna", "controller", "alpha", "nina", "beta", "king"]
        var keys: [[UInt8]] = []
        var addresses: [SocketAddress] = []
        for index in names.indices {
            keys.append(generator.secretKey().bytes())
            addresses.append(SocketAddress(.v4(0x0a00_0001 + UInt32(index)), 7950))
        }
        // 32 bytes of a key make one again.
        func key(_ index: Int) -> SecretKey { SecretKey(keys[index])! }
        func node(_ index: Int) -> NodeID { key(index).publicKey }
        let certificates = names.indices.map { index in
            authority.issue(
                UInt64(index), to: node(index), name: names[index], site: "s", labels: [Label("a", "b")],
                roles: index == 4 || index == 8 ? [.controller, .beacon] : .agent, wall: Clock.start)
        }
        func credentials(_ index: Int) -> Credentials {
            Credentials(certificate: certificates[index], authorities: [trusted])
        }
        func seed() -> Seed { Seed(random.next(), random.next(), random.next(), random.next()) }
        func hostile(_ index: Int, to target: Int, isMember: Bool, port: UInt16) -> HostilePeer {
            HostilePeer(
                key: key(index), certificate: isMember ? certificates[index].encoded() : [],
                address: SocketAddress(addresses[index].ip, port), target: node(target), at: addresses[target],
                seed: seed())
        }
        func endpoint(_ index: Int, isOpen: Bool) -> EndpointTarget {
            var configuration = MeshConfiguration()
            configuration.acceptsAnonymous = isOpen
            return EndpointTarget(
                names[index], key: key(index), credentials: credentials(index), configuration: configuration,
                address: addresses[index], seed: seed(), now: now, clock: clock)
        }
        func agent(_ index: Int, of controller: Int) -> AgentTarget {
            let admission = Admission(
                certificate: certificates[index].encoded(), authorities: [trusted.bytes],
                controllers: [ControllerAddress(node: node(controller), addresses: [addresses[controller]])])
            return AgentTarget(
                names[index], key: key(index), admission: admission, address: addresses[index], seed: seed(),
                random: random.split(), now: now, clock: clock)
        }
        ann = endpoint(0, isOpen: false)
        bob = endpoint(1, isOpen: true)
        ann.friends = [bob.node]
        bob.friends = [ann.node]
        let tokenID: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8], secret = [UInt8](repeating: 9, count: 32)
        token = TokenText(
            id: tokenID, secret: secret, controller: node(4), authority: trusted, fleet: FleetID(1, 2),
            addresses: [addresses[4]])
        var stored = StoredState()
        for index in [2, 5] {
            stored.nodes.append(
                NodeRecord(
                    node: node(index), certificate: certificates[index], enrolledAt: Clock.start, token: "00",
                    revision: 1))
        }
        stored.tokens = [
            TokenRecord(
                id: tokenID, secret: secret, name: nil, createdAt: Clock.start,
                expiresAt: UnixTime(seconds: 1_900_000_000), uses: 1_000_000)
        ]
        controller = ControllerTarget(
            key: key(4), authority: authority, stored: stored, address: addresses[4], seed: seed(), now: now,
            clock: clock)
        alpha = agent(5, of: 4)
        beta = agent(7, of: 8)
        toBob = [
            hostile(2, to: 1, isMember: true, port: 1), hostile(3, to: 1, isMember: false, port: 1),
        ]
        toController = [
            hostile(2, to: 4, isMember: true, port: 2), hostile(6, to: 4, isMember: false, port: 2),
        ]
        toBeta = [hostile(8, to: 7, isMember: true, port: 7950)]
        otherPayload = toController[0].honestPayload(padded: false)
        targets = [bob, controller, beta]
        actors = [bob, controller, beta, ann, alpha]
    }

    func hostiles(to target: Int) -> [HostilePeer] { target == 0 ? toBob : target == 1 ? toController : toBeta }

    func hostile(at address: SocketAddress) -> HostilePeer? {
        (toBob + toController + toBeta).first { $0.address == address }
    }
}

extension ControllerTarget {
    var received: Int { count("datagramsReceived") }
    /// Outside datagrams are all among these.
    var settled: Int { sum(status?.counters ?? []) }
}

extension AgentTarget {
    var received: Int { count("datagramsReceived") }
    var settled: Int { sum(status?.counters ?? []) }
}

private func sum(_ counters: [CounterView]) -> Int {
    counters.filter {
        $0.name.hasPrefix("dropped.") && $0.name != "dropped.notConnected" || $0.name == "handshakesAnswered"
    }
    .reduce(0) { $0 + $1.count }
}
