package import Base
package import Mesh

// What the data plane, which the shell drives, reports to the agent and asks of it.

extension Agent {
    /// Something that the data plane has learned.
    package mutating func learned(_ events: [DataPlaneEvent], now: Instant, into out: inout AgentOutbox) {
        for event in events {
            switch event {
            case .sessionRequested(let address): handle(.overlayRequested(address), now: now, into: &out)
            case .active: break
            case .confirmed, .moved:
                core.endpoint.value.handle(event, now: now, wall: core.clock.wall(now), into: &out.mesh)
            }
        }
        finish(now: now, into: &out)
    }

    /// Traffic that the data plane has seen; to be reported every second or so.
    package mutating func note(_ activities: [DataPlaneActivity], now: Instant, into out: inout AgentOutbox) {
        guard !activities.isEmpty else { return }
        core.endpoint.value.note(activities, now: now)
        finish(now: now, into: &out)
    }

    /// Replaces the rules for what peers of other applications may reach on this node.
    package mutating func setPolicy(_ rules: [PolicyRule], now: Instant, into out: inout AgentOutbox) {
        core.configuration.mesh.policy = rules
        core.endpoint.value.setPolicy(rules)
        finish(now: now, into: &out)
    }

    /// The kernel's answer to `DataPlaneChange.measure`, or its report of a datagram that was too large (then no peer is
    /// named).
    package mutating func measured(
        _ peer: Int?, at remote: SocketAddress, mtu: Int, now: Instant, into out: inout AgentOutbox
    ) {
        core.endpoint.value.measured(peer, at: remote, mtu: mtu)
        finish(now: now, into: &out)
    }

    /// The report on the paths to a peer; `nil` for a node without a session.
    package func report(on node: NodeID, now: Instant) -> PathReport? { core.endpoint.value.report(on: node, now: now) }

    /// What the mesh has counted, by name.
    package var figures: [(name: String, count: Int)] { core.endpoint.value.figures }
}
