package import Base
package import Wire

// What this node knows of the network that it is in, without asking anybody.

/// How a node is seen by those that it talks to anyway.
package struct NetworkReport: Hashable, Sendable {
    /// A beacon's word on where this node's datagrams seem to come from.
    package struct Sight: Hashable, Sendable {
        package var beacon: NodeID
        package var name: String?
        package var address: SocketAddress
        package var roundTrip: Interval?

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
        /// There is a session, and no leg yet.
        case binding
        /// It has no room, or is none.
        case refused
        case bound
    }

    package struct RelayFacts: Hashable, Sendable {
        package var node: NodeID
        package var name: String?
        /// Where it is reached, or will be.
        package var address: SocketAddress?
        /// Over TCP, since UDP does not get there.
        package var isTCP: Bool
        package var state: RelayState
        package var roundTrip: Interval?
        /// Kept for this node's own sake; else because a peer is there.
        package var isHome: Bool
    }

    /// Where the mesh listens.
    package var listening: [SocketAddress]
    package var sights: [Sight]
    /// What comes of the sights, over IPv4.
    package var mapping: NATMapping
    package var relays: [RelayFacts]
    /// How often the ways to the relays are used.
    package var keepAlive: Interval?

    package init(listening: [SocketAddress], sights: [Sight], mapping: NATMapping, relays: [RelayFacts]) {
        self.listening = listening
        self.sights = sights
        self.mapping = mapping
        self.relays = relays
    }
}

extension Endpoint {
    package func networkReport(now: Instant) -> NetworkReport {
        let summaries = summaries(now: now)
        func summary(_ node: NodeID) -> PeerSummary? { summaries.first { $0.node == node } }
        let sights = reflexive.map { beacon, address in
            let peer = summary(beacon)
            return NetworkReport.Sight(
                beacon: beacon, name: peer?.name, address: address, roundTrip: peer?.roundTrip)
        }
        let relays = relayClients.map { client in
            let peer = summary(client.relay), isConnected = peer?.isConnected ?? false
            return NetworkReport.RelayFacts(
                node: client.relay, name: peer?.name,
                address: client.path?.remote ?? client.whereabouts.addresses.first,
                isTCP: client.path?.isTCP ?? false,
                state: state(of: client, isConnected: isConnected), roundTrip: isConnected ? peer?.roundTrip : nil,
                isHome: client.isHome)
        }
        var report = NetworkReport(listening: ownAddresses, sights: sights, mapping: natMapping, relays: relays)
        report.keepAlive = keepAlive
        return report
    }

    private func state(of client: RelayClient, isConnected: Bool) -> NetworkReport.RelayState {
        if client.isBound { return .bound }
        if case .refused = client.state { return .refused }
        return isConnected ? .binding : .connecting
    }
}
