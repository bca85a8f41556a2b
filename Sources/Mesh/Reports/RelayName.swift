package import Base
package import Wire

/// The name of a relay's node, for people.
package struct RelayName: Hashable, Sendable {
    package let path: PathAddress
    package let node: NodeID
    package let name: String?
    /// The relay before it, of a path over two.
    package let first: String?
}

extension RelayName {
    /// The relays of a peer's paths, including former paths.
    static func all(of paths: PathSet, _ relays: RelayAllocations, _ peers: PeerTable) -> [RelayName] {
        let known = paths.addresses + paths.transitions.flatMap { [$0.from, $0.to].compactMap { $0 } }
        var names: [RelayName] = []
        for path in known where !names.contains(where: { $0.path == path }) {
            guard let node = relays.relay(of: path) else { continue }
            let first = path.via.flatMap {
                relays.relay(of: PathAddress(path.remote, allocations: $0, socket: path.socket))
            }
            names.append(
                RelayName(
                    path: path, node: node, name: peers[node]?.certificate?.name,
                    first: first.map { peers[$0]?.certificate?.name ?? $0.short }))
        }
        return names
    }
}
