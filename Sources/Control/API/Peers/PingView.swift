package import Base

package struct PingView: Hashable, Sendable, Codable {
    package var node: NodeID
    package var name: String?
    package var sent: Int
    /// One for each answer, in the order of arrival.
    package var roundTripsMicroseconds: [Int64]
    /// The same answers, each with the path that it arrived on.
    package var answers: [PingAnswer]
}

package struct PingAnswer: Hashable, Sendable, Codable {
    /// Of the ping that it answers, from 1.
    package var number: Int
    package private(set) var roundTripMicroseconds: Int64
    /// Of the path: the peer's, or a relay's.
    package let address: SocketAddress
    package let isRelayed: Bool
    /// The relay's name, or the first digits of its id.
    package var relay: String?
    /// The peer, or the relay, is reached over TCP.
    package let isTCP: Bool
}
