package import Base

/// The ways to one peer, and why data goes the way it does.
package struct PathsView: Hashable, Sendable, Codable {
    package struct Path: Hashable, Sendable, Codable {
        package var address: SocketAddress
        /// `address` is a relay's.
        package var isRelayed: Bool
        /// The relay's name, or the first digits of its id.
        package var relay: String?
        /// The peer, or the relay, is reached over TCP.
        package var isTCP: Bool
        package var isPrimary: Bool
        /// A probe was answered there, and none went unanswered for long since.
        package var isAlive: Bool
        package var roundTripMicroseconds: Int64?
        package var sinceAnsweredMilliseconds: Int64?
        package var sinceHeardMilliseconds: Int64?
        package var missed: Int
        /// It failed, and is not taken for so long.
        package var barredMilliseconds: Int64?
        package var isPunching: Bool
        /// How long ago the newest probe was sent, and what came of it: `answered`, `waiting` or `unanswered`.
        package var sinceProbedMilliseconds: Int64?
        package var probe: String?
    }
    package struct Transition: Hashable, Sendable, Codable {
        package var agoMilliseconds: Int64
        package var from: SocketAddress?
        package var fromIsRelayed: Bool
        package var fromRelay: String?
        package var fromIsTCP: Bool
        package var to: SocketAddress
        package var toIsRelayed: Bool
        package var toRelay: String?
        package var toIsTCP: Bool
        /// `first`, `better`, `faster`, `moved`, `silent`, `withdrawn` or `debug`.
        package var cause: String
        /// How long data had been in doubt, where it was.
        package var doubtMilliseconds: Int64?
    }
    package enum Kind: String, Hashable, Sendable, Codable {
        /// There is no session.
        case none
        case direct, relayed
    }

    package var node: NodeID
    package var name: String?
    package var path: Kind
    /// Why it is relayed: `trying`, `noCandidates`, `bothMappingsVary`, `ownMappingVaries`, `peerMappingVaries`, `failed`,
    /// `blocked`, `ownUDPBlocked`, `peerUDPBlocked`, `unknown` or `relayOnly`.
    package var reason: String?
    /// `unknown`, `none`, `stable`, `varies` or `blocked`: what others see of the translator before this node, and the peer.
    package var ownMapping: String
    package var peerMapping: String
    package var datagramBytes: Int?
    /// Of the path in use: the largest IP packet that it carries, as far as is known; absent where this node carries no
    /// packets of the overlay.
    package var pathMTU: Int?
    package var paths: [Path]
    /// The last 32, oldest first.
    package var transitions: [Transition]
}
