import Base
import Mesh
import Wire

// Events of the mesh, by feature.

extension Agent {
    mutating func handle(_ event: MeshEvent, now: Instant, into out: inout AgentOutbox) {
        switch event {
        case .connected(let node, let session):
            if let certificate = session.certificate { routes.forgetFailures(of: certificate.overlayAddresses) }
            apply(finder.connected(node, session.certificate), now: now, into: &out)
            throughput.connected(node, core: &core, now: now)
            core.apply(session, with: node, now: now, into: &out)
        case .disconnected(let node, let reason):
            streams.disconnected(node)
            throughput.disconnected(node, into: &out)
            guests.disconnected(node, into: &out)
            // The code here that ends a session has already decided what happens next.
            guard core.uplink.node == node, reason != .local else { return }
            core.counters.add(.uplinksLost)
            core.loseUplink(node, .ended, now: now, into: &out)
        case .connectFailed(let node, let failure):
            apply(finder.failed(node, failure), now: now, into: &out)
            if core.uplink.node == node { core.loseUplink(node, .silent, now: now, into: &out) }
        case .message(let node, let bytes): receive(bytes, from: node, now: now, into: &out)
        case .stream(let node, let event): handle(event, of: node, now: now, into: &out)
        case .pong(_, let token, let roundTrip, let path):
            pings.pong(token: token, roundTrip: roundTrip, by: path, relay: core.relayName(of: path))
        case .relayUnreached(let relay): RelayChains.find(relay, finder: &finder, core: &core, now: now)
        // Nodes that look for this node should find it. Several changes in a row are registered together.
        case .candidatesChanged: registration.renew(by: now + Registration.coalesce)
        }
    }

    /// Hands the finder's results to those who asked.
    mutating func apply(_ results: [PeerFinder.Result], now: Instant, into out: inout AgentOutbox) {
        guard !results.isEmpty else { return }
        RelayChains.apply(results, endpoint: &core.endpoint.value, now: now, into: &out)
        routes.apply(results, endpoint: core.endpoint.value, now: now, into: &out)
        pings.apply(results, finder: &finder, now: now, into: &out)
        throughput.apply(results, core: &core, now: now, into: &out)
    }

    /// A datagram's message: the answer to a heartbeat.
    private mutating func receive(
        _ message: [UInt8], from node: NodeID, now: Instant, into out: inout AgentOutbox
    ) {
        guard let ack = heartbeats.receive(message, from: node, core: &core) else { return }
        core.reportAnswer(of: node, now: now, into: &out)
        reportJoined(enroller.takeMovers(), now: now, into: &out)
        reports.acknowledged(ack, health: health.published.digest)
        heartbeats.reportReady(into: &out)
        if case .leaving = core.departure { core.leave(now: now, into: &out) }
    }

    // MARK: - Joining

    /// `asker` waits for the outcome.
    mutating func join(
        _ token: String, name: String?, asker: RequestID?, now: Instant, into out: inout AgentOutbox
    ) {
        let request = Enroller.Request(token: token, name: name, asker: asker)
        let joined = enroller.join(request, certificate: &certificate, core: &core, now: now, into: &out)
        reportJoined(joined, now: now, into: &out)
    }

    /// Replies to those who asked this node to join and waited for it.
    mutating func reportJoined(_ askers: [RequestID], now: Instant, into out: inout AgentOutbox) {
        for asker in askers { out.reply(asker, JoinFleet.reply(status(now: now))) }
    }
}
