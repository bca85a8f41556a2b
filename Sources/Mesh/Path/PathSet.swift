package import Base
import Wire

/// The ways to one peer. A session does not know them; it is sealed and opened the same whatever carries it. Today a
/// path is an address: the one that the peer was last heard from is used, and the others are tried when a handshake gets
/// no answer.
package struct PathSet: Sendable {
    /// Where data goes.
    package private(set) var primary: SocketAddress?
    /// Where else the peer may be, best first.
    package private(set) var candidates: [SocketAddress] = []
    package private(set) var heardAt: Instant?
    /// RFC 6298's estimate; `nil` before the first sample.
    package private(set) var smoothedRoundTrip: Interval?

    package init(_ addresses: [SocketAddress] = []) { add(addresses) }

    package mutating func add(_ addresses: [SocketAddress]) {
        for address in addresses where !candidates.contains(address) && candidates.count < Limits.addressesPerPeer {
            candidates.append(address)
        }
        if primary == nil { primary = candidates.first }
    }

    /// An authentic datagram came from there, newer than all before it. True if the peer has moved.
    package mutating func heard(from address: SocketAddress, now: Instant) -> Bool {
        heardAt = now
        guard primary != address else { return false }
        let moved = primary != nil
        primary = address
        if !candidates.contains(address) {
            if candidates.count >= Limits.addressesPerPeer { candidates.removeLast() }
            candidates.insert(address, at: 0)
        }
        return moved
    }

    package mutating func measured(_ roundTrip: Interval) {
        guard let smoothed = smoothedRoundTrip else {
            smoothedRoundTrip = roundTrip
            return
        }
        smoothedRoundTrip = (smoothed * 7 + roundTrip) / 8
    }

    /// Where the `attempt`th first message goes: where the peer was last heard, and from the second attempt on to every
    /// other candidate too.
    package func targets(attempt: Int) -> [SocketAddress] {
        guard let primary else { return candidates }
        return attempt == 0 ? [primary] : [primary] + candidates.filter { $0 != primary }
    }
}
