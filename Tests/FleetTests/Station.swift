import Base
import Foundation
import Mesh
import Noise
import Wire

/// A mesh endpoint of the test's own on a real socket: a foreign node that speaks the protocol.
final class Station {
    let node: NodeID
    private var endpoint: Endpoint
    private let socket: DatagramEnd
    private var out = MeshOutbox()
    private(set) var events: [MeshEvent] = []
    /// First messages and all others, as they were sent.
    private(set) var sent: [[UInt8]] = []

    init(_ key: consuming SecretKey, _ make: (NodeID) -> Credentials?, authorities: [VerifyingKey] = []) throws {
        node = key.publicKey
        socket = try DatagramEnd()
        var configuration = MeshConfiguration()
        configuration.authorities = authorities
        endpoint = Endpoint(
            identity: Identity(key), credentials: make(node), configuration: configuration,
            seed: Seed(UInt64.random(in: .min ... .max)), now: Station.now)
    }

    static func key() -> SecretKey {
        var generator = KeyGenerator(Seed(UInt64.random(in: .min ... .max)))
        return generator.secretKey()
    }
    static func signingKey() -> SigningKey {
        var generator = KeyGenerator(Seed(UInt64.random(in: .min ... .max)))
        return generator.signingKey()
    }

    static var now: Instant { Instant(nanoseconds: UInt64(monotonicSeconds() * 1e9)) }
    static var wall: UnixTime { UnixTime(milliseconds: Int64(wallSeconds() * 1000)) }

    /// Requests a session, and continues for so long or until it has a result.
    func connect(to node: NodeID, port: UInt16, seconds: Double) {
        endpoint.connect(to: node, at: [SocketAddress(.loopback4, port)], now: Station.now, into: &out)
        let end = monotonicSeconds() + seconds
        while monotonicSeconds() < end, events.isEmpty {
            var batch = DatagramBatch()
            while let (bytes, from) = socket.receive() {
                batch.append(bytes, remote: SocketAddress(.loopback4, from))
            }
            endpoint.received(&batch, now: Station.now, wall: Station.wall, into: &out)
            endpoint.tick(now: Station.now, wall: Station.wall, into: &out)
            for position in 0..<out.datagrams.count {
                let bytes = out.datagrams.bytes(at: position)
                sent.append(bytes)
                socket.send(bytes, to: out.datagrams.entries[position].remote.port)
            }
            out.datagrams.removeAll()
            events += out.events
            out.events = []
            usleep(2000)
        }
    }
}

extension Certificate {
    /// A certificate that anyone with a signing key can make.
    static func forged(
        for node: NodeID, fleet: FleetID, by authority: borrowing SigningKey, roles: Roles = .agent
    ) -> SignedCertificate {
        let now = Station.wall
        let certificate = Certificate(
            fleet: fleet, serial: 1, node: node, roles: roles,
            notBefore: UnixTime(milliseconds: now.milliseconds - 60_000),
            notAfter: UnixTime(milliseconds: now.milliseconds + 3_600_000), name: "outsider")
        return SignedCertificate(certificate, signature: authority.sign(certificate.encoded()))
    }
}
