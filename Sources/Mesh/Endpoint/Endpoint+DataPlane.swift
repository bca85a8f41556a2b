package import Base
import Wire

// What the data plane reports. `DataPlaneUpdates` has the other direction.

extension Endpoint {
    /// Something that the data plane has learned.
    package mutating func handle(
        _ event: DataPlaneEvent, now: Instant, wall: UnixTime, into out: inout MeshOutbox
    ) {
        sessions.wall = wall
        switch event {
        case .confirmed(let index, let remote):
            guard let (peer, keypair) = sessions.find(index),
                confirm(keypair, of: peer, from: remote, now: now, into: &out)
            else { return }
            peer.liveness.received(now)
            sessions.peers.mark(peer)
        case .moved(let index, let remote, let counter):
            guard let (peer, keypair) = sessions.find(index), keypair === peer.session.current,
                counter >= keypair.movedAt
            else { return }
            keypair.movedAt = counter
            peer.paths.noteReceived(from: remote, isNewest: true, now: now)
            sessions.peers.mark(peer)
        // For the driver, and for the layer above, which looks for the node that has the address.
        case .active, .sessionRequested: break
        }
        flush(now: now, into: &out)
    }

    /// Traffic that the data plane has seen. To be called about every second, and every tenth of a second while there is
    /// traffic.
    package mutating func note(_ activities: [DataPlaneActivity], now: Instant) {
        sessions.note(activities, counters: &counters, now: now)
    }

    /// The kernel's path MTU to an address. `slot` where it was asked about one peer; otherwise it concerns all peers at that
    /// address.
    package mutating func measured(_ slot: Int?, at remote: SocketAddress, mtu: Int) {
        sessions.measured(slot, at: remote, mtu: mtu)
    }

    /// Replaces the rules for peers of other applications, for sessions that are open as well. A packet that a removed
    /// rule allowed is denied from then on, except as a reply to what this node sends.
    package mutating func setPolicy(_ rules: [PolicyRule]) { sessions.dataPlane.setRules(rules, of: sessions.peers) }
}
