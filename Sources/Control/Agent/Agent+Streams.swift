import Base
import Mesh
import Wire

// Events of streams, by service. The control stream is one that this node has opened to its controller. On any other, the
// first byte names the service.

extension Agent {
    mutating func handle(
        _ event: StreamEvent, of node: NodeID, now: Instant, into out: inout AgentOutbox
    ) {
        switch event {
        case .opened(let stream):
            let isRequested = PeerService.allCases.contains { accepts($0, from: node) }
            streams.opened(stream, of: node, isRequested: isRequested, core: &core, now: now, into: &out)
        case .readable(let stream):
            if core.uplink.isControlStream(stream, of: node) { return readControlStream(now: now, into: &out) }
            if let named = streams.readable(stream, of: node, core: &core, into: &out) {
                return begin(named, now: now, into: &out)
            }
            throughput.readable(stream, of: node, core: &core, into: &out)
            guests.readable(stream, of: node, core: &core, now: now, into: &out)
        case .writable(let stream):
            if core.uplink.isControlStream(stream, of: node) { core.uplink.write(to: &core.endpoint.value) }
        case .reset(let stream, _), .stopped(let stream, _), .closed(let stream):
            if core.uplink.isControlStream(stream, of: node) { return core.loseControlStream(now: now, into: &out) }
            if streams.lost(stream, of: node, endpoint: &core.endpoint.value, into: &out) { return }
            throughput.lost(stream, of: node, into: &out)
            guests.lost(stream, of: node, endpoint: &core.endpoint.value, into: &out)
        case .acknowledged: break
        case .openable: core.uplink.streamsOpenable(now: now)
        }
    }

    // MARK: - Services for peers

    private func accepts(_ service: PeerService, from node: NodeID) -> Bool {
        guard core.departure == .none else { return false }
        switch service {
        case .throughput: return guests.accepts(node, anonymous: streams.count, core: core)
        }
    }

    private mutating func begin(_ stream: PeerStreams.Named, now: Instant, into out: inout AgentOutbox) {
        switch stream.service {
        case .throughput: guests.begin(stream, core: &core, now: now, into: &out)
        }
    }

    // MARK: - The control stream

    /// A control stream has opened. A node that enrols sends its proof. A member registers, sends its clock, and renews
    /// its certificate if that is due.
    mutating func beginControlStream(in session: PeerSession, now: Instant, into out: inout AgentOutbox) {
        reports.forget()
        switch core.standing {
        case .unenrolled: break
        case .enrolling(let enrolment): enroller.enrol(enrolment, session, core: &core, now: now)
        case .member:
            registration.begin(now: now)
            core.compareClocks(now: now)
            certificate.begin(core: &core, now: now, into: &out)
        }
    }

    private mutating func readControlStream(now: Instant, into out: inout AgentOutbox) {
        guard let link = core.uplink.link else { return }
        let received = core.uplink.receive(from: &core.endpoint.value, into: &out.mesh)
        core.counters.add(.messagesUnreadable, received.unreadable)
        for message in received.messages {
            handle(message, now: now, into: &out)
            // A message may have ended the session it came in.
            guard core.uplink.isControlStream(link.stream, of: link.node) else { return }
        }
        if received.isOver { core.loseControlStream(now: now, into: &out) }
    }
}
