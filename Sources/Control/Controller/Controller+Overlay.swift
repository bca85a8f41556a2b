import Base
import Mesh
import Wire

// Who has which address in the overlay, and where its owner is.

extension Controller {
    /// The next free IPv4 address; `.any4` when there is none.
    mutating func takeOverlayAddress() -> IPAddress {
        while let address = overlay.address(counters.overlay) {
            counters.overlay += 1
            // A store that was restored from a copy may have forgotten how far it had counted.
            if registry.slot(at: address) == nil { return address }
        }
        return .any4
    }

    /// A member whose certificate has no overlay address is given one when it comes: it enrolled before there were any,
    /// or while the network was full of others. `shown` is what it came with; the last answer may have been lost.
    mutating func giveOverlayAddress(
        _ slot: Int, shown: Certificate?, now: Instant, into out: inout ControllerOutbox
    ) {
        guard let shown, shown.overlay4.isUnspecified else { return }
        if registry[slot].certificate.overlay4.isUnspecified {
            guard overlay.address(counters.overlay) != nil else { return }
            reissue(slot, as: registry[slot].certificate.description, now: now, into: &out)
        }
        sendCertificate(slot)
    }

    // MARK: - The directory

    func lookUp(_ asked: LookUp, now: Instant) -> LookUpReply {
        let own = endpoint.credentials?.certificate
        if isOwn(asked) {
            return LookUpReply(asked, node: nodeID, addresses: settings.addresses, certificate: own?.encoded())
        }
        let slot: Int? =
            switch asked {
            case .node(let node): registry.slot(of: node)
            case .address(let address): registry.slot(at: address)
            case .name(let name): registry.slot(named: name)
            }
        guard let slot else {
            if case .node(let node) = asked { return LookUpReply(asked, node: node) }
            return LookUpReply(asked, node: nil)
        }
        let record = registry[slot].record, entry = directory.lookUp(record.node, now: now)
        return LookUpReply(
            asked, node: record.node, addresses: entry?.addresses ?? [], relays: entry?.places ?? [],
            certificate: record.certificate.encoded())
    }

    // MARK: - Relays

    /// Tells a node which relays it may use, if it does not know (`RelayOrder`).
    mutating func tellRelays(_ slot: Int, now: Instant) {
        var order = RelayOrder(for: registry[slot].record.node)
        if settings.isRelay { order.add(whereabouts, in: .controller) }
        for entry in registry.entries where entry.certificate.roles.contains(.beacon) && entry.state == .online {
            guard let known = directory.lookUp(entry.record.node, now: now) else { continue }
            order.add(
                ControllerAddress(
                    node: entry.record.node, addresses: known.addresses, tcpPorts: known.tcpPorts),
                in: .site(entry.certificate.site))
        }
        let relays = order.first(Controller.relaysTold)
        guard registry[slot].toldRelays != relays else { return }
        if send(.relays(relays), to: slot) { registry[slot].toldRelays = relays }
    }

    /// Where this controller is, for agents.
    var whereabouts: ControllerAddress {
        ControllerAddress(
            node: nodeID, addresses: settings.addresses, tcpPorts: settings.tcpPorts, names: settings.names)
    }

    private static let relaysTold = 4

    private func isOwn(_ asked: LookUp) -> Bool {
        switch asked {
        case .node(let node): node == nodeID
        case .address(let address): address == overlay.controller || address == overlay6
        case .name(let name): name == settings.name
        }
    }
}
