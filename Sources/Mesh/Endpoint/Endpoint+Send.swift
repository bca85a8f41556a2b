package import Base

// The sending path, in the order of the functions:
//
//   layer above ──→ peers.mark ──→ flush ──→ for each marked peer: one datagram after the other, as long as there is
// something to send and the streams' congestion control allows it (`Peer+Send.swift`)

extension Endpoint {
    /// Makes datagrams of everything that waits. Called once at the end of each entry point of the layer above.
    package mutating func flush(now: Instant, into out: inout MeshOutbox) {
        sessions.dataPlane.flush(into: &out)
        out.closedSockets += traversal.takeClosedSockets()
        if traversal.location.takeChange() {
            out.events.append(.candidatesChanged)
            // Idle peers are informed at the next communication with them.
            for peer in sessions.peers where peer.isConnected && peer.liveness.isRecent(now) {
                sessions.peers.mark(peer)
            }
        }
        // Sending to one peer does not mark another, but ending one may.
        while let peer = sessions.peers.popMarked() {
            flush(peer, now: now, into: &out)
            sessions.peers.setTimer(of: peer, at: peer.deadline(traversal: traversal.deadline(of: peer), configuration))
        }
    }

    /// Datagrams to one peer at a time, so that one peer cannot delay the others.
    private static let burst = 64

    private mutating func flush(_ peer: Peer, now: Instant, into out: inout MeshOutbox) {
        sessions.startIfRequested(peer, random: &random, counters: &counters, now: now, into: &out)
        defer {
            followPath(of: peer)
            traversal.judgeTrial(with: peer, counters: &counters, now: now)
        }
        guard peer.isConnected, let keypair = peer.session.current, let address = peer.paths.primary,
            now - keypair.createdAt < MeshConfiguration.rejectAfter
        else { return }
        if credentials != nil { traversal.offerCandidates(to: peer, now: now) }
        var datagrams = 0
        while datagrams < Endpoint.burst,
            peer.sendNext(with: keypair, to: address, now: now, counters: &counters, into: &out)
        { datagrams += 1 }
        peer.sendReplies(with: keypair, now: now, counters: &counters, into: &out)
        peer.sendProbes(with: keypair, budget: &probes, now: now, counters: &counters, into: &out)
        traversal.suspectRelays(because: peer, peers: &sessions.peers, now: now)
        traversal.predictPorts(
            of: peer, with: keypair, random: &random, peers: &sessions.peers, counters: &counters, now: now, into: &out)
        peer.sendSizeProbes(with: keypair, budget: &probes, now: now, counters: &counters, into: &out)
        sessions.dataPlane.resize(peer)
    }

    /// Sends the data plane's packets on the path that the peer's path set has chosen.
    private mutating func followPath(of peer: Peer) {
        let news = peer.paths.takeNews()
        for transition in news { counters.switched(transition) }
        if let last = news.last { traversal.rerouted(peer, to: last.to, peers: &sessions.peers, now: last.at) }
        sessions.dataPlane.follow(peer)
    }
}
