import Base
import Mesh
import Wire

/// # Streams that peers open
///
/// A stream is anonymous until its first byte has come, which names its service. Then it belongs to the service and is
/// removed here. A peer that no service serves, an unknown byte, and silence are refused: the stream is reset with code 1,
/// and counted.
struct PeerStreams: Sendable {
    private struct Anonymous: Sendable {
        let node: NodeID
        let stream: StreamID
        let until: Instant
    }

    /// A stream that has named its service.
    struct Named: Hashable, Sendable {
        let service: PeerService
        let node: NodeID
        let stream: StreamID
        /// The service's request must be complete by this time.
        let until: Instant
        /// Nothing comes after the first byte.
        let isFinished: Bool
    }

    private var anonymous: [Anonymous] = []

    /// From the opening of a stream to the end of what the peer requests.
    private static let patience = Interval.seconds(2)

    /// Streams that have not named a service yet.
    var count: Int { anonymous.count }

    var deadline: Deadline? { anonymous.map(\.until).min().map { Deadline($0, "a peer's stream") } }

    /// A peer has opened a stream. `isRequested`: a service would serve this peer now.
    mutating func opened(
        _ stream: StreamID, of node: NodeID, isRequested: Bool, core: inout AgentCore, now: Instant,
        into out: inout AgentOutbox
    ) {
        guard isRequested else { return core.refuse(stream, of: node, into: &out) }
        anonymous.append(Anonymous(node: node, stream: stream, until: now + PeerStreams.patience))
    }

    /// Bytes have arrived. Returns the stream once it has named its service.
    mutating func readable(
        _ stream: StreamID, of node: NodeID, core: inout AgentCore, into out: inout AgentOutbox
    ) -> Named? {
        guard let index = index(of: stream, node) else { return nil }
        let read = core.endpoint.value.read(stream, of: node, limit: 1, into: &out.mesh)
        guard let first = read.bytes.first else {
            if read.isFinished { refuse(index, core: &core, into: &out) }
            return nil
        }
        guard let service = PeerService(rawValue: first) else {
            refuse(index, core: &core, into: &out)
            return nil
        }
        return Named(
            service: service, node: node, stream: stream, until: anonymous.remove(at: index).until,
            isFinished: read.isFinished)
    }

    /// The peer has given the stream up. False where it is not one of those without a service.
    mutating func lost(
        _ stream: StreamID, of node: NodeID, endpoint: inout Endpoint, into out: inout AgentOutbox
    ) -> Bool {
        guard let index = index(of: stream, node) else { return false }
        anonymous.remove(at: index)
        endpoint.reset(stream, of: node, code: 0, into: &out.mesh)
        return true
    }

    /// With the session its streams are gone.
    mutating func disconnected(_ node: NodeID) { anonymous.removeAll { $0.node == node } }

    mutating func service(core: inout AgentCore, now: Instant, into out: inout AgentOutbox) {
        guard let deadline, deadline.at <= now else { return }
        for index in anonymous.indices.reversed() where anonymous[index].until <= now {
            refuse(index, core: &core, into: &out)
        }
    }

    private mutating func refuse(_ index: Int, core: inout AgentCore, into out: inout AgentOutbox) {
        let gone = anonymous.remove(at: index)
        core.refuse(gone.stream, of: gone.node, into: &out)
    }

    private func index(of stream: StreamID, _ node: NodeID) -> Int? {
        anonymous.firstIndex { $0.node == node && $0.stream == stream }
    }
}

extension AgentCore {
    /// Refuses a stream that a peer has opened.
    mutating func refuse(_ stream: StreamID, of node: NodeID, into out: inout AgentOutbox) {
        counters.add(.streamsRefused)
        endpoint.value.reset(stream, of: node, code: 1, into: &out.mesh)
    }
}
