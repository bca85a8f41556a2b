import Base
import Control
import Mesh
import Noise
import OrderedCollections
import Wire

/// A bare endpoint. It reads whatever streams bring, and echoes messages of nodes that are not hostile.
final class EndpointTarget: Target {
    let name: String
    let node: NodeID
    let address: SocketAddress
    var endpoint: Endpoint
    private var outbox = MeshOutbox()
    private let clock: Clock
    /// Messages that arrived from nodes in `friends`, and the state of sessions with them.
    var friends: [NodeID] = []
    private(set) var receivedMessages: [[UInt8]] = []
    private(set) var lost = 0
    private(set) var bytesRead = 0

    init(
        _ name: String, key: consuming SecretKey, credentials: Credentials?, configuration: MeshConfiguration,
        address: SocketAddress, seed: Seed, now: Instant, clock: Clock
    ) {
        self.name = name
        self.address = address
        self.clock = clock
        node = key.publicKey
        endpoint = Endpoint(
            identity: Identity(key), credentials: credentials, configuration: configuration, seed: seed, now: now)
    }

    var deadline: Instant? { endpoint.deadline?.at }
    func received(_ batch: inout DatagramBatch, now: Instant) {
        endpoint.received(&batch, now: now, wall: clock.wall(now), into: &outbox)
    }
    func tick(now: Instant) { endpoint.tick(now: now, wall: clock.wall(now), into: &outbox) }
    func connect(to other: EndpointTarget, now: Instant) {
        endpoint.connect(to: other.node, at: [other.address], now: now, into: &outbox)
    }

    func drain(now: Instant, into wire: inout [Flying]) {
        while !outbox.events.isEmpty {
            let events = outbox.events
            outbox.events = []
            for event in events { handle(event) }
            endpoint.flush(now: now, into: &outbox)
        }
        endpoint.flush(now: now, into: &outbox)
        outbox.datagrams.drain(from: address, into: &wire)
    }

    private func handle(_ event: MeshEvent) {
        switch event {
        case .message(let node, let bytes) where friends.contains(node): receivedMessages.append(bytes)
        case .disconnected(let node, _) where friends.contains(node): lost += 1
        case .stream(let node, .readable(let stream)):
            while true {
                let result = endpoint.read(stream, of: node, limit: 4096, into: &outbox)
                bytesRead += result.bytes.count
                // Some of it goes back, so that the sending half works as well.
                _ = endpoint.write(result.bytes.prefix(512), to: stream, of: node)
                if result.isFinished { endpoint.finish(stream, of: node) }
                if result.bytes.isEmpty || result.isFinished { break }
            }
        case .connected, .disconnected, .connectFailed, .message, .stream, .pong, .candidatesChanged,
            .relayUnreached:
            break
        }
    }

    func takeReceived() -> [[UInt8]] {
        defer { receivedMessages = [] }
        return receivedMessages
    }

    func complaint(now: Instant) -> String? {
        if lost > 0 { return "\(name) lost the session with a friend" }
        let all = endpoint.summaries(now: now)
        if all.count > Limits.sessions { return "\(name) has \(all.count) peers" }
        for peer in all where peer.openStreams > 2048 { return "\(name): \(peer.openStreams) streams of \(peer.node)" }
        return nil
    }
}
