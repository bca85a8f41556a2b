package import Base
import OrderedCollections
package import Wire

/// # Addresses of nodes
///
/// A beacon keeps, for each node that registers with it, the addresses at which the node may be reached. A node registers
/// only itself: the entry's key is the session's peer, never a field of a message. An entry lives `lifetime` unless it is
/// registered again. The last registration counts: messages of one session keep their order, and a node has one session.
package struct Directory: Sendable {
    package struct Entry: Hashable, Sendable {
        package var addresses: [SocketAddress]
        /// Its allocations at relays.
        package let places: [RelayedAddress]
        /// Where it accepts datagrams over TCP.
        package let tcpPorts: [UInt16]
        package let expires: Instant
    }
    package static let lifetime = Interval.seconds(120)

    private var entries = OrderedDictionary<NodeID, Entry>()
    private let limit: Int

    package init(limit: Int = Limits.directoryEntries) { self.limit = limit }

    package var count: Int { entries.count }

    /// Registers or renews. `observed` is the source address of the node as the beacon sees it, if it is direct; it comes
    /// first. False if there is no room.
    @discardableResult
    package mutating func register(
        _ node: NodeID, addresses: [SocketAddress], through places: [RelayedAddress], tcpPorts: [UInt16] = [],
        observed: SocketAddress?, now: Instant
    ) -> Bool {
        if entries[node] == nil, entries.count >= limit {
            expire(now)
            guard entries.count < limit else { return false }
        }
        var all = observed.map { [$0] } ?? []
        for address in addresses where !all.contains(address) && all.count < Limits.addressesPerPeer {
            all.append(address)
        }
        entries[node] = Entry(
            addresses: all, places: Array(places.prefix(Limits.homeRelays)), tcpPorts: tcpPorts,
            expires: now + Directory.lifetime)
        return true
    }

    /// A datagram of the node came from there after its last registration: it may have moved since.
    package mutating func observe(_ node: NodeID, at observed: SocketAddress, now: Instant) {
        guard let entry = entries[node], entry.expires > now, entry.addresses.first != observed else { return }
        let others = entry.addresses.dropFirst().filter { $0 != observed }
        entries[node]?.addresses = [observed] + others
    }

    package func lookUp(_ node: NodeID, now: Instant) -> Entry? {
        guard let entry = entries[node], entry.expires > now else { return nil }
        return entry
    }

    package mutating func remove(_ node: NodeID) { entries.removeValue(forKey: node) }

    /// Removes expired entries.
    package mutating func expire(_ now: Instant) { entries.removeAll { $0.value.expires <= now } }
}
