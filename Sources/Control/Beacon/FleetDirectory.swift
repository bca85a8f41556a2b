import Base
import Mesh
import Wire

/// # The beacon's directory
///
/// Members register where they can be reached, and look each other up. The relays that a member may use are sent to it when
/// it registers (`RelayOrder`).
struct FleetDirectory {
    private var directory = Directory()

    /// The number of relays that are sent to a member.
    private static let relayLimit = 4

    // MARK: - Registration

    /// A member's session has begun: it can be reached where it comes from.
    mutating func connected(_ node: NodeID, core: borrowing ControllerCore, now: Instant) {
        directory.register(node, addresses: [], through: [], observed: core.endpoint.value.address(of: node), now: now)
    }

    /// A heartbeat has come from the member.
    mutating func noteReceived(_ node: NodeID, core: borrowing ControllerCore, now: Instant) {
        if let address = core.endpoint.value.address(of: node) { directory.observe(node, at: address, now: now) }
    }

    mutating func apply(_ register: Register, of slot: Int, core: inout ControllerCore, now: Instant) {
        let node = core.registry[slot].record.node
        directory.register(
            node, addresses: register.addresses, through: register.relays, tcpPorts: register.tcpPorts,
            observed: core.endpoint.value.address(of: node), now: now)
        sendRelays(to: slot, core: &core, now: now)
    }

    // MARK: - Look-ups

    func lookUp(
        _ asked: LookUp, overlay: OverlayAddresses, core: borrowing ControllerCore, now: Instant
    ) -> LookUpReply {
        if FleetDirectory.isOwn(asked, overlay, core: core) {
            let own = core.endpoint.value.credentials?.certificate
            return LookUpReply(
                asked, node: core.nodeID, addresses: core.settings.addresses, certificate: own?.encoded())
        }
        let slot: Int? =
            switch asked {
            case .node(let node): core.registry.slot(of: node)
            case .address(let address): core.registry.slot(at: address)
            case .name(let name): core.registry.slot(named: name)
            }
        guard let slot else {
            if case .node(let node) = asked { return LookUpReply(asked, node: node) }
            return LookUpReply(asked, node: nil)
        }
        let record = core.registry[slot].record, entry = directory.lookUp(record.node, now: now)
        return LookUpReply(
            asked, node: record.node, addresses: entry?.addresses ?? [], relays: entry?.places ?? [],
            certificate: record.certificate.encoded())
    }

    private static func isOwn(
        _ asked: LookUp, _ overlay: OverlayAddresses, core: borrowing ControllerCore
    ) -> Bool {
        switch asked {
        case .node(let node): node == core.nodeID
        case .address(let address): overlay.isOwn(address)
        case .name(let name): name == core.settings.name
        }
    }

    // MARK: - Relays

    /// Sends a member the relays that it may use, if they are not those that it was sent.
    private func sendRelays(to slot: Int, core: inout ControllerCore, now: Instant) {
        var order = RelayOrder(for: core.registry[slot].record.node)
        if core.settings.isRelay { order.add(core.address, in: .controller) }
        for entry in core.registry.entries where entry.certificate.roles.contains(.beacon) && entry.state == .online {
            guard let known = directory.lookUp(entry.record.node, now: now) else { continue }
            order.add(
                ControllerAddress(
                    node: entry.record.node, addresses: known.addresses, tcpPorts: known.tcpPorts),
                in: .site(entry.certificate.site))
        }
        let relays = order.first(FleetDirectory.relayLimit)
        guard core.registry[slot].lacks(relays) else { return }
        if core.send(.relays(relays), to: slot) { core.registry[slot].noteSent(relays) }
    }
}
