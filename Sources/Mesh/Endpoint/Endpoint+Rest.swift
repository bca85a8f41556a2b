import Base

// # What a peer takes of memory
//
// | since the last word | what is kept |
// |---|---|
// | 0 s | everything: keys made ready for their cipher, windows against replay, probes, queues |
// | 20 s | what it takes to go on: keys as they are, counters, certificates, paths with the newest probe of each |
// | 3 minutes | nothing: keys are too old by then, and the session is over (`MeshConfiguration.rejectAfter`) |
//
// Whoever rests is woken by the first word, in either direction, and nobody notices; only datagrams that come more than 20
// seconds late are taken for repeated ones.

extension Endpoint {
    private static let restAfter = Interval.seconds(20)

    /// When the peer is to rest, if nothing is said until then.
    func restTime(of peer: Peer) -> Instant? {
        guard peer.isConnected, !peer.isResting, let last = peer.lastWordAt else { return nil }
        return last + Endpoint.restAfter
    }

    mutating func restIfQuiet(_ peer: Peer, now: Instant) {
        guard let time = restTime(of: peer), time <= now else { return }
        peer.rest()
        guard configuration.hasDataPlane else { return }
        let indices = [peer.session.current, peer.session.previous].compactMap { $0?.localIndex }
        dataPlaneChanges.append(.rest(peer: peer.slot, indices: indices))
    }
}

extension Peer {
    fileprivate func rest() {
        isResting = true
        session.rest()
        paths.rest()
        streams.rest()
        if frames.isEmpty { frames = [] }
        if pings.isEmpty { pings = [] }
    }
}
