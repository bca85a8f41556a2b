import Base
import Wire

// Guessing ports, when nothing else has helped.

extension Endpoint {
    /// The peer's candidates have come, and shots are on their way: when to resort to guessing.
    mutating func planGuess(of peer: Peer, now: Instant) {
        peer.guessAt = nil
        peer.guessRound = 0
        guard !peer.paths.hasAliveDirect, let isOpener = guessRole(with: peer) else {
            return
        }
        if let last = peer.guessedAt, now - last < PortGuess.coolDown { return }
        peer.guessAt =
            now + (isOpener ? PortGuess.openerAfter : PortGuess.proberAfter)
            + (neitherVaries(with: peer) ? PortGuess.plainAfter : .zero)
    }

    private func neitherVaries(with peer: Peer) -> Bool { natMapping != .varies && peer.natMapping != .varies }

    /// Whether this node would be the one whose mappings vary; `nil` where guessing is of no use.
    ///
    /// Where neither varies and yet nothing arrives, one of the two is a Linux machine that translates without a
    /// firewall, such as a node of Kubernetes: a shot that comes before its own inside has spoken is remembered as a
    /// conversation with the machine itself, and the inside gets another port for that far end from then on. So it varies
    /// after all, for one far end, and guessing helps if that end is the opener: it is tried both ways. (Where both are
    /// such machines, each spoils the other, and a relay is all there is.)
    private func guessRole(with peer: Peer) -> Bool? {
        switch (natMapping, peer.natMapping) {
        case (.varies, .stable), (.varies, .none): true
        case (.stable, .varies), (.none, .varies): false
        case (.stable, .stable), (.stable, .none), (.none, .stable): (nodeID < peer.node) == (peer.guessRound % 2 == 0)
        case (.varies, .varies), (.none, .none), (.unknown, _), (_, .unknown), (.blocked, _), (_, .blocked): nil
        }
    }

    mutating func guessPorts(of peer: Peer, with epoch: Epoch, now: Instant, into out: inout MeshOutbox) {
        if let at = peer.guessAt, at <= now {
            peer.guessAt = nil
            beginGuess(of: peer, now: now)
        }
        guard var present = guess, present.slot == peer.slot else { return }
        guard !peer.paths.hasAliveDirect, !present.guess.isOver(now) else { return endGuess() }
        for address in present.guess.due(now) {
            // Whoever finds a way answers by it, and that is how it is known.
            sealAlone(.ping(token: 0), with: epoch, of: peer, to: address, now: now, into: &out)
            counters.guessesSent += 1
        }
        guess = present
    }

    private mutating func beginGuess(of peer: Peer, now: Instant) {
        guard guess == nil, !peer.paths.hasAliveDirect, let isOpener = guessRole(with: peer) else { return }
        // Private addresses are nobody's translator's.
        let seen = peer.paths.addresses.filter { $0.isDirect && $0.socket == 0 }.map(\.remote)
            .filter { $0.ip.isIPv4 && !$0.ip.isPrivate }
        let role: PortGuess.Role
        if isOpener {
            let targets = Array(seen.prefix(2))
            guard !targets.isEmpty else { return }
            if guessSockets > Endpoint.lastGuessSocket { guessSockets = 1 }
            role = .opener(targets, firstSocket: guessSockets)
            guessSockets += PortGuess.sockets
        } else {
            guard let ip = seen.first?.ip else { return }
            role = .prober(ip, seen: seen.filter { $0.ip == ip }.map(\.port).suffix(4))
        }
        peer.guessedAt = now
        guess = (peer.slot, PortGuess(role, now: now, random: &random))
        counters.guesses += 1
    }

    /// Numbers of sockets are used again after some four thousand.
    private static let lastGuessSocket: UInt16 = 4096 - 2 * PortGuess.sockets

    /// Closes the sockets that lead nowhere.
    mutating func endGuess() {
        defer { guess = nil }
        if let present = guess, let peer = peers[present.slot], !peer.paths.hasAliveDirect {
            peer.guessRound += 1
            if neitherVaries(with: peer), peer.guessRound == 1, guessRole(with: peer) != nil {
                peer.guessAt = present.guess.startedAt + PortGuess.length + PortGuess.openerAfter
                mark(peer)
            }
        }
        guard let present = guess, let numbers = present.guess.socketNumbers else { return }
        let used = peers[present.slot]?.paths.addresses.filter { !$0.isTCP }.map(\.socket).filter { $0 != 0 } ?? []
        let before = peers[present.slot]?.sockets ?? []
        peers[present.slot]?.sockets = used
        closedSockets += (before + numbers).filter { !used.contains($0) }
    }
}

extension IPAddress {
    /// RFC 1918, and what a provider has behind its own translator (RFC 6598).
    var isPrivate: Bool {
        guard case .v4(let value) = self else { return false }
        return value >> 24 == 10 || value >> 20 == 0xac1 || value >> 16 == 0xc0a8 || value >> 22 == 0x191
    }
}
