package import Base
package import Mesh
import Wire

/// What two sites allow.
package enum Reach: String, Sendable {
    /// Simultaneous sending from both ends makes a direct path, or not even that is needed.
    case direct
    /// One end's port has to be predicted, and can be.
    case predicted
    /// There is only a path through a relay.
    case relayed
    /// A relay, except by chance: a datagram from one end must cross another from the other end in flight.
    case unlikely

    /// How long two nodes are watched until all methods have been tried.
    package var watch: Interval {
        switch self {
        case .direct, .relayed: .seconds(4)
        case .predicted, .unlikely: .seconds(16)
        }
    }

    /// By RFC 4787's terms alone.
    package init(_ a: Scenario.Site, _ b: Scenario.Site) {
        if Side(a).isBlocked || Side(b).isBlocked {
            self = .relayed
            return
        }
        // Between two firewalls without translation, both ends know where to send.
        if a.has6, b.has6 {
            self = .direct
            return
        }
        let sides = [Side(a), Side(b)]
        if sides.allSatisfy(\.isStable) {
            // The first sender to such a machine makes its mapping endpoint-dependent; the other end may be open enough for
            // that to have no effect.
            let spoilt = sides.contains(where: \.admitsAnyPort) ? 0 : sides.count(where: \.remembersUnsolicited)
            self = [.direct, .predicted, .unlikely][spoilt]
        } else if sides.allSatisfy({ !$0.isStable }) {
            self = .relayed
        } else {
            let stable = sides.first(where: \.isStable)!
            // The other end sends from a port that cannot be known beforehand: the endpoint-independent end must let it in.
            let isSpoilt = stable.remembersUnsolicited && !sides.contains { !$0.isStable && $0.admitsAnyPort }
            self = stable.admitsAnyPort ? .direct : isSpoilt ? .unlikely : .predicted
        }
    }

    /// The reasons for being relayed that the one node may report once all has been tried; empty where it must not be
    /// relayed.
    package static func reasons(of own: Scenario.Site, to peer: Scenario.Site) -> Set<PathReport.RelayReason> {
        let own = Side(own), peer = Side(peer)
        if own.isBlocked { return [.ownUDPBlocked] }
        if peer.isBlocked { return [.peerUDPBlocked] }
        return switch (own.isStable, peer.isStable) {
        case (false, false): [.bothMappingsDependent]
        case (false, true): [.ownMappingDependent]
        case (true, false): [.peerMappingDependent]
        case (true, true): [.blocked]
        }
    }

    private struct Side {
        var isBlocked = false
        /// The outside address is the same for all destinations, or can be known.
        var isStable = true
        /// A datagram from an address that was sent to gets in, whatever its port.
        var admitsAnyPort = true
        var remembersUnsolicited = false

        init(_ site: Scenario.Site) {
            for gateway in site.gateways {
                if gateway.blocksUDP { isBlocked = true }
                let isKnown = gateway.mapping == .endpointIndependent || gateway.ports == .preserving
                if gateway.isNAT, !isKnown { isStable = false }
                switch gateway.filtering {
                case .open, .by(.endpointIndependent), .by(.addressDependent): break
                case .by(.addressAndPortDependent): admitsAnyPort = false
                }
                if gateway.remembersUnsolicited { remembersUnsolicited = true }
                // A separate mapping for each far end lets in no other sender.
                if gateway.mapping == .addressAndPortDependent { admitsAnyPort = false }
            }
        }
    }
}

extension Trial.Outcome {
    /// The reasons that the two report, the left one first.
    package var reasons: [PathReport.RelayReason?] { [reason, rightReason] }

    /// Whether both nodes report why they are relayed, as the oracle derives it, and nothing where they are not relayed.
    package func hasTrueReasons(_ left: Scenario.Site, _ right: Scenario.Site) -> Bool {
        func isTrue(
            _ path: PathAddress?, _ reason: PathReport.RelayReason?, _ own: Scenario.Site, _ peer: Scenario.Site
        )
            -> Bool
        {
            guard let path, path.isRelayed else { return reason == nil }
            return reason.map { Reach.reasons(of: own, to: peer).contains($0) } ?? false
        }
        return isTrue(leftPath, reason, left, right) && isTrue(rightPath, rightReason, right, left)
    }
}
