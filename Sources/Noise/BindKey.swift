import Base

/// # How a relay knows where a node is
///
/// A relay sends datagrams for a node to the address that the node's allocation is bound to. So an attacker who could
/// bind it wrongly could make the relay flood a third party. Authentication is not enough for a bind: a datagram may be
/// recorded and sent again from elsewhere, or with another source address. So the relay answers a bind with a
/// *challenge* of 16 bytes. It is valid for this allocation at this source address for two to four minutes. It accepts
/// the bind that returns them, since only a receiver at that address can have them. The relay keeps no state for it;
/// the challenge is a MAC under a secret of the relay.
///
/// ```
///   node                                        relay
///    │ ── bind, number 7, no challenge, MAC ──→  │   the MAC, by the allocation's key, is wrong: no answer
///    │ ←── challenge for this source, MAC ────── │   right: never longer than what it answers
///    │ ── bind, number 8, challenge, MAC ─────→  │   bound, if no bind with such a number came before
///    │ ←── bound (no challenge), MAC ─────────── │
/// ```
///
/// Numbers rise, so that a replayed bind from an earlier address of the node has no effect.
///
/// A node may reach the relay over another one. Its address is then that relay's address and a pair of allocations there, and
/// the challenge is valid for all three together.
package final class BindKey: Sendable {
    package static let count = 32
    package static let macCount = Cookie.macCount
    private let key: SecretBytes

    /// `nil` unless there are 32 bytes.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == BindKey.count else { return nil }
        key = SecretBytes(bytes)
    }

    package init(using generator: inout KeyGenerator) { key = generator.secretBytes(BindKey.count) }

    /// The bytes that are sent to the node, sealed.
    package var bytes: [UInt8] { key.bytes() }

    package func mac(of message: [UInt8]) -> [UInt8] { Cookie.mac(message.span.bytes, key: key).bytes() }

    /// Whether the last 16 bytes of a message are the MAC of those before.
    package func isValid(_ message: [UInt8]) -> Bool {
        guard message.count > BindKey.macCount else { return false }
        return Cookie.isValid(message.span.bytes, macAt: message.count - BindKey.macCount, key: key)
    }
}
