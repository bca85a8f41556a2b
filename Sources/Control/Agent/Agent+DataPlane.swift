package import Base
package import Mesh
import Wire

// What the data plane, which the shell drives beside the agent, tells and is told.

extension Agent {
    /// Something that the data plane has learned.
    package mutating func learned(_ events: [DataPlaneEvent], now: Instant, into out: inout AgentOutbox) {
        for event in events {
            switch event {
            case .wanted(let address): handle(.overlayWanted(address), now: now, into: &out)
            case .active: break
            case .confirmed, .moved: endpoint.handle(event, now: now, wall: clock.wall(now), into: &out.mesh)
            }
        }
        finish(now: now, into: &out)
    }

    /// Traffic that the data plane has seen; to be told every second or so.
    package mutating func note(_ activities: [DataPlaneActivity], now: Instant, into out: inout AgentOutbox) {
        guard !activities.isEmpty else { return }
        endpoint.note(activities, now: now)
        finish(now: now, into: &out)
    }

    /// Replaces the rules for what peers of other applications may reach on this node.
    package mutating func setPolicy(_ rules: [PolicyRule], now: Instant, into out: inout AgentOutbox) {
        configuration.mesh.policy = rules
        endpoint.setPolicy(rules)
        finish(now: now, into: &out)
    }

    /// The kernel's answer to `DataPlaneChange.measure`, or what it said of a datagram that was too large (then there is
    /// no peer named).
    package mutating func measured(
        _ peer: Int?, at remote: SocketAddress, mtu: Int, now: Instant, into out: inout AgentOutbox
    ) {
        endpoint.measured(peer, at: remote, mtu: mtu)
        finish(now: now, into: &out)
    }

    /// All about the ways to a peer; `nil` for a stranger.
    package func report(on node: NodeID, now: Instant) -> PathReport? { endpoint.report(on: node, now: now) }

    /// The relays that the controller names; where it is one itself, it may not know its own addresses.
    mutating func use(
        _ relays: [ControllerAddress], _ membership: Membership, now: Instant, into out: inout AgentOutbox
    ) {
        let known = membership.admission.controllers
        let all = relays.map { relay in
            let other = known.first { $0.node == relay.node }.map { place(of: $0) }
            var ports = relay.tcpPorts
            for port in other?.tcpPorts ?? [] where !ports.contains(port) { ports.append(port) }
            return ControllerAddress(
                node: relay.node, addresses: relay.addresses + (other?.addresses ?? []), tcpPorts: ports)
        }
        endpoint.useRelays(all.filter { !$0.addresses.isEmpty }, now: now, into: &out.mesh)
    }

    /// Where a node may be reached: not by its own overlay addresses, which would lead the mesh through itself.
    func underlay(_ reply: LookUpReply, _ certificate: Certificate) -> [SocketAddress] {
        reply.addresses.filter { !certificate.overlayAddresses.contains($0.ip) }
    }
}
