import Base
import Mesh
import Wire

/// # Serving peers that measure
///
/// A guest is a peer that has asked this node for a server to measure the throughput with. The shell runs the server.
///
/// ```
///  asking ── request ──→ starting ── the shell's server listens ──→ serving ── its end
/// ```
///
/// Every state ends by itself, and `Limits` sets how many there may be.
struct ThroughputGuests: Sendable {
    private enum Stage: Hashable {
        case asking
        case starting(number: UInt64, isIPv4: Bool, seconds: Int64)
        case serving(number: UInt64)
    }

    private struct Guest: Sendable {
        let node: NodeID
        let stream: StreamID
        var stage = Stage.asking
        var until: Instant
        /// Of the request.
        var bytes: [UInt8]

        var number: UInt64? {
            switch stage {
            case .asking: nil
            case .starting(let number, _, _), .serving(let number): number
            }
        }
        /// Whether its stream is still of use.
        var isOnStream: Bool { if case .serving = stage { false } else { true } }
    }

    private var guests: [Guest] = []
    private var lastNumber: UInt64 = 0

    private static let startPatience = Interval.seconds(5)
    /// The time for a server to end by itself.
    private static let grace = Interval.seconds(3)

    private var serverCount: Int { guests.count { $0.stage != .asking } }

    var deadline: Deadline? { guests.map(\.until).min().map { Deadline($0, "bench") } }

    // MARK: - Streams

    /// Whether a peer may ask. `anonymous`: streams that may become guests.
    func accepts(_ node: NodeID, anonymous: Int, core: borrowing AgentCore) -> Bool {
        let asking = guests.count { $0.stage == .asking }
        return ThroughputGuests.permits(node, core: core) && asking + anonymous < Limits.benchGuests
    }

    private static func permits(_ node: NodeID, core: borrowing AgentCore) -> Bool {
        guard let own = core.standing.membership?.certificate, let peer = core.endpoint.value.certificate(of: node)
        else {
            return false
        }
        switch core.configuration.bench {
        case .off: return false
        case .allow: return true
        case .auto: return PeerPolicy(own: own, peer: peer, rules: core.configuration.mesh.policy).allowsEverything
        }
    }

    /// A peer has named this service on its stream.
    mutating func begin(
        _ stream: PeerStreams.Named, core: inout AgentCore, now: Instant, into out: inout AgentOutbox
    ) {
        guests.append(
            Guest(
                node: stream.node, stream: stream.stream, until: stream.until, bytes: [stream.service.rawValue]))
        if stream.isFinished {
            apply(guests.count - 1, core: &core, now: now, into: &out)
        } else {
            readable(stream.stream, of: stream.node, core: &core, now: now, into: &out)
        }
    }

    func owns(_ stream: StreamID, of node: NodeID) -> Bool { index(of: stream, node) != nil }

    private func index(of stream: StreamID, _ node: NodeID) -> Int? {
        guests.firstIndex { $0.node == node && $0.stream == stream && $0.isOnStream }
    }

    /// The peer has given the stream up.
    mutating func lost(
        _ stream: StreamID, of node: NodeID, endpoint: inout Endpoint, into out: inout AgentOutbox
    ) {
        guard let index = index(of: stream, node) else { return }
        dismiss(index, into: &out)
        endpoint.reset(stream, of: node, code: 0, into: &out.mesh)
    }

    /// With the session its streams are gone. A server continues: the next session has the same path.
    mutating func disconnected(_ node: NodeID, into out: inout AgentOutbox) {
        for index in guests.indices.reversed() where guests[index].node == node && guests[index].isOnStream {
            dismiss(index, into: &out)
        }
    }

    private mutating func dismiss(_ index: Int, into out: inout AgentOutbox) {
        if let number = guests.remove(at: index).number { out.actions.append(.benchEnd(number)) }
    }

    // MARK: - Requests

    /// The peer has written to the stream.
    mutating func readable(
        _ stream: StreamID, of node: NodeID, core: inout AgentCore, now: Instant, into out: inout AgentOutbox
    ) {
        guard let index = index(of: stream, node), guests[index].stage == .asking else { return }
        let room = BenchRequest.size + 1 - guests[index].bytes.count
        let read = core.endpoint.value.read(stream, of: node, limit: room, into: &out.mesh)
        guests[index].bytes += read.bytes
        guard read.isFinished || guests[index].bytes.count > BenchRequest.size else { return }
        apply(index, core: &core, now: now, into: &out)
    }

    /// The request is complete.
    private mutating func apply(_ index: Int, core: inout AgentCore, now: Instant, into out: inout AgentOutbox) {
        let guest = guests[index]
        let request: BenchRequest
        do throws(DecodeError) {
            var reader = ByteReader(guest.bytes.span.bytes)
            request = try BenchRequest(reading: &reader)
        } catch {
            guests.remove(at: index)
            return core.refuse(guest.stream, of: guest.node, into: &out)
        }
        guard core.configuration.mesh.hasDataPlane, let place = core.overlay,
            let peer = core.endpoint.value.certificate(of: guest.node)
        else { return answer(index, .refused(.noOverlay), endpoint: &core.endpoint.value) }
        guard serverCount < Limits.benchServers else {
            return answer(index, .refused(.busy), endpoint: &core.endpoint.value)
        }
        lastNumber += 1
        let seconds = Int64(request.seconds), address4 = peer.overlay4Given == nil ? nil : place.v4
        guests[index].stage = .starting(number: lastNumber, isIPv4: address4 != nil, seconds: seconds)
        guests[index].until = now + ThroughputGuests.startPatience
        out.actions.append(
            .benchServe(BenchService(number: lastNumber, address: address4 ?? place.v6, seconds: seconds)))
    }

    /// The last message to a guest; without a server it is then forgotten.
    private mutating func answer(_ index: Int, _ answer: BenchAnswer, endpoint: inout Endpoint) {
        let guest = guests[index]
        // A new stream has room for 29 bytes.
        _ = endpoint.write(answer.encoded(), to: guest.stream, of: guest.node)
        endpoint.finish(guest.stream, of: guest.node)
        if case .refused = answer { guests.remove(at: index) }
    }

    // MARK: - The shell's servers

    /// A server listens.
    mutating func serving(
        _ number: UInt64, tcpPort: UInt16, udpPort: UInt16, token: [UInt8], core: inout AgentCore, now: Instant,
        into out: inout AgentOutbox
    ) {
        guard let index = guests.firstIndex(where: { $0.number == number }),
            case .starting(_, let isIPv4, let seconds) = guests[index].stage
        else { return out.actions.append(.benchEnd(number)) }
        guests[index].until = now + .seconds(seconds) + ThroughputGuests.grace
        let server = BenchAnswer.Server(isIPv4: isIPv4, tcpPort: tcpPort, udpPort: udpPort, token: token)
        answer(index, .serving(server), endpoint: &core.endpoint.value)
        guests[index].stage = .serving(number: number)
        core.counters.add(.benchesServed)
    }

    /// A server is gone, or could not be started.
    mutating func ended(_ number: UInt64, endpoint: inout Endpoint) {
        guard let index = guests.firstIndex(where: { $0.number == number }) else { return }
        if case .starting = guests[index].stage {
            answer(index, .refused(.failed), endpoint: &endpoint)
        } else {
            guests.remove(at: index)
        }
    }

    mutating func service(core: inout AgentCore, now: Instant, into out: inout AgentOutbox) {
        guard let deadline, deadline.at <= now else { return }
        for index in guests.indices.reversed() where guests[index].until <= now {
            let guest = guests[index]
            switch guest.stage {
            case .asking:
                guests.remove(at: index)
                core.refuse(guest.stream, of: guest.node, into: &out)
            case .starting(let number, _, _):
                answer(index, .refused(.failed), endpoint: &core.endpoint.value)
                out.actions.append(.benchEnd(number))
            case .serving: dismiss(index, into: &out)
            }
        }
    }
}
