import Base

/// # What travels in a UDP datagram
///
/// The first byte is the kind. The next three are zero, except a packet's flags in the second. Then follow:
///
/// ```
/// 1 first message    sender 4 | ephemeral 32 | static 32+16 | payload n+16 | MAC1 16 | MAC2 16
/// 2 second message   sender 4 | receiver 4 | ephemeral 32 | payload n+16 | MAC1 16 | MAC2 16
/// 3 cookie reply     receiver 4 | nonce 24 | sealed cookie 16+16
/// 4 frames           receiver 4 | counter 8 | sealed frames n+16
/// 5 packet           receiver 4 | counter 8 | sealed IP packet n+16
/// 6 to a relay       far allocation 4 | near allocation 4 | a datagram of kind 1 to 5, or of 6 to 9 over two relays
/// 7 from a relay     near allocation 4 | far allocation 4 | the same
/// 8 bind             allocation 4 | number 8 | challenge 16 | MAC 16
/// 9 bind answer      allocation 4 | number 8 | challenge 16 | MAC 16
/// ```
///
/// Integers are big-endian. `sender` and `receiver` are session indices: the receiver chose the number, so that a
/// datagram's session is found without its source address. The 16 bytes before the sealed part of kinds 4 and 5 are
/// authenticated with it. Packets are sealed with separate keys and counters, so that the data plane shares nothing. The
/// Noise messages are those of `Noise_IK_25519_ChaChaPoly_BLAKE2b`.
///
/// An *allocation* is a node's place at a relay. It is named by a number that the relay gave the node in their session,
/// together with a key. The node proves its address by a bind. The relay answers a bind with a challenge that holds only for
/// the bind's source address. It accepts the next bind if that contains the challenge (`RelayBind`). The relay changes kind 6
/// to kind 7 and nothing else, so a train of datagrams is forwarded unchanged. A relay may be reached over another one.
/// Datagrams for it then travel as the content of kinds 6 and 7, nested once at most.
package enum DatagramKind: UInt8, Hashable, Sendable, CaseIterable {
    case handshakeFirst = 1
    case handshakeSecond = 2
    case cookieReply = 3
    case frames = 4
    case packet = 5
    case toRelay = 6
    case fromRelay = 7
    case bind = 8
    case bindAnswer = 9

    /// Between a node and a relay, and not between the two nodes of a session.
    package var isForRelays: Bool {
        switch self {
        case .toRelay, .fromRelay, .bind, .bindAnswer: true
        case .handshakeFirst, .handshakeSecond, .cookieReply, .frames, .packet: false
        }
    }
}
