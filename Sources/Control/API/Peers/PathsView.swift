package import Base

/// The paths to one peer, and why data uses the one in use.
package struct PathsView: Hashable, Sendable, Codable {
    package struct Path: Hashable, Sendable, Codable {
        package let address: SocketAddress
        /// `address` is a relay's.
        package let isRelayed: Bool
        /// The relay's name, or the first digits of its id.
        package var relay: String?
        /// The peer, or the relay, is reached over TCP.
        package let isTCP: Bool
        package let isPrimary: Bool
        /// A probe was answered there, and none went unanswered for long since.
        package var isAlive: Bool
        package private(set) var roundTripMicroseconds: Int64?
        package private(set) var sinceAnsweredMilliseconds: Int64?
        package private(set) var sinceReceivedMilliseconds: Int64?
        package let missed: Int
        /// It failed, and is not used for this time.
        package private(set) var barredMilliseconds: Int64?
        package let isPunching: Bool
        /// How long ago the newest probe was sent, and what came of it.
        package private(set) var sinceProbedMilliseconds: Int64?
        package private(set) var probe: ProbeOutcome?
    }
    package enum ProbeOutcome: String, Hashable, Sendable, Codable, CaseIterable {
        case answered, waiting, unanswered
    }
    package struct Transition: Hashable, Sendable, Codable {
        package let agoMilliseconds: Int64
        package private(set) var from: SocketAddress?
        package let fromIsRelayed: Bool
        package private(set) var fromRelay: String?
        package let fromIsTCP: Bool
        package let to: SocketAddress
        package let toIsRelayed: Bool
        package private(set) var toRelay: String?
        package let toIsTCP: Bool
        package let cause: Cause
        /// How long data had been in doubt, where it was.
        package private(set) var doubtMilliseconds: Int64?
    }
    /// Why data changed its path.
    package enum Cause: String, Hashable, Sendable, Codable, CaseIterable {
        /// There was none before.
        case first
        /// A better kind of path answered.
        case better
        case faster
        /// The peer moved.
        case moved
        /// The old path fell silent.
        case silent
        /// The old path is no more.
        case withdrawn
        /// `asterism debug` requested it.
        case debug
    }
    /// Why data goes over a relay.
    package enum Reason: String, Hashable, Sendable, Codable, CaseIterable {
        case trying, noCandidates, bothMappingsDependent, ownMappingDependent, peerMappingDependent, failed
        case ownUDPBlocked, peerUDPBlocked, blocked, unknown, relayOnly
    }
    /// What others see of the NAT before a node.
    package enum Mapping: String, Hashable, Sendable, Codable, CaseIterable {
        case unknown
        case untranslated = "none"
        case endpointIndependent, endpointDependent
        /// No UDP gets out.
        case blocked
    }
    package enum Kind: String, Hashable, Sendable, Codable {
        /// There is no session.
        case none
        case direct, relayed
    }

    package var node: NodeID
    package var name: String?
    package let path: Kind
    /// Why it is relayed.
    package var reason: Reason?
    /// Of this node, and of the peer.
    package let ownMapping: Mapping
    package let peerMapping: Mapping
    package var datagramBytes: Int?
    /// The largest IP packet that the path in use carries, as far as is known. Absent where this node carries no
    /// packets of the overlay.
    package var pathMTU: Int?
    package var paths: [Path]
    /// The last 32, oldest first.
    package let transitions: [Transition]
}
