package import Base
package import Wire

/// What a node knows of its network, from the peers that it has sessions with.
package struct NetworkReport: Hashable, Sendable {
    /// The source address of this node's datagrams, as a beacon reports it.
    package struct ReflexiveAddress: Hashable, Sendable {
        package let beacon: NodeID
        package let name: String?
        package let address: SocketAddress
        package let roundTrip: Interval?

        package init(beacon: NodeID, name: String?, address: SocketAddress, roundTrip: Interval?) {
            self.beacon = beacon
            self.name = name
            self.address = address
            self.roundTrip = roundTrip
        }
    }

    package enum RelayState: String, Hashable, Sendable, CaseIterable {
        /// There is no session with it.
        case connecting
        /// There is a session, and no allocation yet.
        case binding
        /// It has no room, or is no relay.
        case refused
        case bound
    }

    package struct RelayFacts: Hashable, Sendable {
        package let node: NodeID
        package let name: String?
        /// Where it is reached, or will be.
        package let address: SocketAddress?
        /// Over TCP, since UDP does not get there.
        package let isTCP: Bool
        package let state: RelayState
        package let roundTrip: Interval?
        /// Kept for this node itself; else because a peer is there.
        package let isHome: Bool
    }

    /// Where the mesh listens.
    package let listening: [SocketAddress]
    package let reflexiveAddresses: [ReflexiveAddress]
    /// The mapping that follows from the reflexive addresses, over IPv4.
    package let mapping: NATMapping
    package let relays: [RelayFacts]
    /// How often the paths to the relays are used.
    package private(set) var keepAlive: Interval?

    package init(
        listening: [SocketAddress], reflexiveAddresses: [ReflexiveAddress], mapping: NATMapping, relays: [RelayFacts]
    ) {
        self.listening = listening
        self.reflexiveAddresses = reflexiveAddresses
        self.mapping = mapping
        self.relays = relays
    }
}

extension NetworkReport {
    init(_ traversal: Traversal, _ peers: PeerTable) {
        let reflexiveAddresses = traversal.location.reflexive.map { seen in
            let peer = peers[seen.beacon]
            return ReflexiveAddress(
                beacon: seen.beacon, name: peer?.certificate?.name, address: seen.address,
                roundTrip: peer?.paths.smoothedRoundTrip)
        }
        let relays = traversal.relays.clients.map { RelayFacts($0, peer: peers[$0.relay]) }
        self.init(
            listening: traversal.location.addresses, reflexiveAddresses: reflexiveAddresses, mapping: traversal.mapping,
            relays: relays)
        keepAlive = traversal.relays.keepAlive
    }
}

extension NetworkReport.RelayFacts {
    fileprivate init(_ client: RelayClient, peer: Peer?) {
        let isConnected = peer?.isConnected ?? false
        let state: NetworkReport.RelayState =
            switch client.state {
            case .bound: .bound
            case .refused: .refused
            case .connecting, .asking, .binding: isConnected ? .binding : .connecting
            }
        self.init(
            node: client.relay, name: peer?.certificate?.name,
            address: client.path?.remote ?? client.location.addresses.first, isTCP: client.path?.isTCP ?? false,
            state: state, roundTrip: isConnected ? peer?.paths.smoothedRoundTrip : nil, isHome: client.isHome)
    }
}
