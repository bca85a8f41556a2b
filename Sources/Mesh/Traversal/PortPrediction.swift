import Base
import Wire

/// # Running port prediction
///
/// Runs a `PortPredictor` with one peer at a time, when nothing else has helped. Counts the sockets that it uses, and closes
/// those that lead nowhere.
///
/// If neither end has an endpoint-dependent mapping and still nothing arrives, one of the two may be behind a Linux machine
/// that translates without a firewall, such as a Kubernetes node. That machine remembers a probe that arrives before its
/// inside host has sent anything as a conversation with itself, and then gives the inside host another port for that
/// destination. So the mapping is endpoint-dependent after all, for one destination, and prediction helps if that end is the
/// opener: it is tried in both roles. (If both ends are behind such machines, only a relay is left.)
struct PortPrediction {
    private let node: NodeID
    private var current: (slot: Int, prediction: PortPredictor)?
    private var nextSocket: UInt16 = 1
    /// Sockets to close, passed to the driver with the next `flush`.
    private var closedSockets: [UInt16] = []

    /// Socket numbers are reused after some four thousand.
    private static let lastSocket: UInt16 = 4096 - 2 * PortPredictor.sockets

    /// `node`: this node.
    init(node: NodeID) { self.node = node }

    /// When there is something to do for the peer; `nil`: its ports are not being predicted.
    func deadline(of peer: Peer) -> Instant? { isRunning(with: peer) ? current?.prediction.deadline : nil }

    func isRunning(with peer: Peer) -> Bool { current?.slot == peer.slot }

    /// Sockets that are no longer used, since the last call.
    mutating func takeClosedSockets() -> [UInt16] {
        guard !closedSockets.isEmpty else { return [] }
        defer { closedSockets = [] }
        return closedSockets
    }

    /// The peer is about to be forgotten, and with it the sockets that lead to it.
    mutating func close(_ sockets: [UInt16]) { closedSockets += sockets }

    // MARK: - When

    /// The peer's candidates have come, and hole-punch probes are being sent: plans when to start prediction.
    func plan(with peer: Peer, own mapping: NATMapping, now: Instant) {
        peer.traversal.resetPrediction()
        guard !peer.paths.hasAliveDirect, let isOpener = isOpener(with: peer, own: mapping),
            peer.traversal.mayPredict(now)
        else { return }
        peer.traversal.planPrediction(
            at: now + (isOpener ? PortPredictor.openerAfter : PortPredictor.proberAfter)
                + (neitherIsDependent(peer, own: mapping) ? PortPredictor.plainAfter : .zero))
    }

    private func neitherIsDependent(_ peer: Peer, own mapping: NATMapping) -> Bool {
        mapping != .endpointDependent && peer.traversal.mapping != .endpointDependent
    }

    /// Whether this node would be the one with the endpoint-dependent mapping; `nil` where prediction cannot help.
    private func isOpener(with peer: Peer, own mapping: NATMapping) -> Bool? {
        switch (mapping, peer.traversal.mapping) {
        case (.endpointDependent, .endpointIndependent), (.endpointDependent, .none): true
        case (.endpointIndependent, .endpointDependent), (.none, .endpointDependent): false
        case (.endpointIndependent, .endpointIndependent), (.endpointIndependent, .none), (.none, .endpointIndependent):
            (node < peer.node) == (peer.traversal.predictionRound % 2 == 0)
        case (.endpointDependent, .endpointDependent), (.none, .none), (.unknown, _), (_, .unknown), (.blocked, _),
            (_, .blocked):
            nil
        }
    }

    // MARK: - Running

    /// Begins with the peer, unless another one's ports are being predicted.
    mutating func begin(
        with peer: Peer, own mapping: NATMapping, now: Instant, random: inout Random, counters: inout MeshCounters
    ) {
        guard current == nil, !peer.paths.hasAliveDirect, let isOpener = isOpener(with: peer, own: mapping) else {
            return
        }
        // Private addresses are not the outside of a NAT.
        let seen = peer.paths.addresses.filter { $0.isDirect && $0.socket == 0 }.map(\.remote)
            .filter { $0.ip.isIPv4 && !$0.ip.isPrivate }
        let role: PortPredictor.Role
        if isOpener {
            let targets = Array(seen.prefix(2))
            guard !targets.isEmpty else { return }
            if nextSocket > PortPrediction.lastSocket { nextSocket = 1 }
            role = .opener(targets, firstSocket: nextSocket)
            nextSocket += PortPredictor.sockets
        } else {
            guard let ip = seen.first?.ip else { return }
            role = .prober(ip, seen: seen.filter { $0.ip == ip }.map(\.port).suffix(4))
        }
        peer.traversal.predictionBegan(now: now)
        current = (peer.slot, PortPredictor(role, now: now, random: &random))
        counters.startedPrediction()
    }

    /// The destinations of probes that are due now; `nil` if the prediction with the peer is over: `end` is to follow.
    mutating func due(with peer: Peer, now: Instant) -> [PathAddress]? {
        guard let running = current, !peer.paths.hasAliveDirect, !running.prediction.isOver(now) else { return nil }
        return current?.prediction.due(now)
    }

    /// Ends the prediction with the peer, and closes the sockets that lead nowhere. True if the peer's ports are to be
    /// predicted once more, in the other role.
    mutating func end(with peer: Peer, own mapping: NATMapping) -> Bool {
        guard let (_, prediction) = current else { return false }
        current = nil
        var isRepeated = false
        if !peer.paths.hasAliveDirect {
            peer.traversal.predictionFailed()
            if neitherIsDependent(peer, own: mapping), peer.traversal.predictionRound == 1,
                isOpener(with: peer, own: mapping) != nil
            {
                peer.traversal.planPrediction(
                    at: prediction.startedAt + PortPredictor.length + PortPredictor.openerAfter)
                isRepeated = true
            }
        }
        if let numbers = prediction.socketNumbers {
            let used = peer.paths.addresses.filter { !$0.isTCP }.map(\.socket).filter { $0 != 0 }
            closedSockets += (peer.traversal.sockets + numbers).filter { !used.contains($0) }
            peer.traversal.setSockets(used)
        }
        return isRepeated
    }
}

extension IPAddress {
    /// RFC 1918, and the addresses behind a provider's NAT (RFC 6598).
    fileprivate var isPrivate: Bool {
        guard case .v4(let value) = self else { return false }
        return value >> 24 == 10 || value >> 20 == 0xac1 || value >> 16 == 0xc0a8 || value >> 22 == 0x191
    }
}
