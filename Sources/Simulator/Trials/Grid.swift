/// # Every kind of gateway against every other
///
/// The kinds are those that are found in the field, by RFC 4787's terms, with the names that people use. The *oracle* says,
/// from the terms alone, what two of them allow; whoever tests holds the mesh to it.
package enum GridSite: String, CaseIterable, Sendable {
    case open, firewall, fullCone, addressRestricted, portRestricted, portRestrictedRandom, masquerade
    case masqueradeWithoutFirewall
    case addressDependent, symmetricSequential, symmetricParity, symmetricRandom, doubleCone, doubleSymmetric

    package var site: Scenario.Site {
        typealias NAT = NATGateway.Behaviour
        let independent = NATGateway.Dependence.endpointIndependent
        let address = NATGateway.Dependence.addressDependent
        let port = NATGateway.Dependence.addressAndPortDependent
        return switch self {
        case .open: Scenario.Site()
        case .firewall: Scenario.Site([.firewall()])
        case .fullCone: Scenario.Site([NAT(independent, .by(independent), .random)])
        case .addressRestricted: Scenario.Site([NAT(independent, .by(address), .random)])
        case .portRestricted: Scenario.Site([NAT(independent, .by(port), .preserving)])
        case .portRestrictedRandom: Scenario.Site([NAT(independent, .by(port), .random)])
        case .masquerade: Scenario.Site([NAT(port, .by(port), .preserving)])
        case .masqueradeWithoutFirewall:
            {
                var machine = NAT(port, .by(port), .preserving)
                machine.remembersStrangers = true
                return Scenario.Site([machine])
            }()
        case .addressDependent: Scenario.Site([NAT(address, .by(address), .random)])
        case .symmetricSequential: Scenario.Site([NAT(port, .by(port), .sequential(step: 1))])
        case .symmetricParity: Scenario.Site([NAT(port, .by(port), .parity)])
        case .symmetricRandom: Scenario.Site([NAT(port, .by(port), .random)])
        case .doubleCone:
            Scenario.Site([NAT(independent, .by(port), .random), NAT(independent, .by(independent), .random)])
        case .doubleSymmetric:
            Scenario.Site([NAT(independent, .by(port), .random), NAT(port, .by(port), .random)])
        }
    }
}

/// What two sites allow.
package enum Reach: String, Sendable {
    /// A direct path comes about by sending from both ends at the same time, or needs not even that.
    case direct
    /// One end's port has to be guessed, and can be.
    case guessed
    /// None but through a relay.
    case relayed
    /// A relay, but for luck: a datagram from the one end must pass another from the other end on its way.
    case unlikely

    /// By RFC 4787's terms alone.
    package init(_ a: Scenario.Site, _ b: Scenario.Site) {
        // Between two firewalls that translate nothing both ends know where to send.
        if a.has6, b.has6 {
            self = .direct
            return
        }
        let sides = [Side(a), Side(b)]
        if sides.allSatisfy(\.isStable) {
            // Who shoots first at such a machine makes it vary; the other end may be open enough not to mind.
            let spoilt = sides.contains(where: \.admitsAnyPort) ? 0 : sides.count(where: \.remembersStrangers)
            self = [.direct, .guessed, .unlikely][spoilt]
        } else if sides.allSatisfy({ !$0.isStable }) {
            self = .relayed
        } else {
            let stable = sides.first(where: \.isStable)!
            // The other end comes from a port that nobody knows beforehand: the stable end must let it in.
            let isSpoilt = stable.remembersStrangers && !sides.contains { !$0.isStable && $0.admitsAnyPort }
            self = stable.admitsAnyPort ? .direct : isSpoilt ? .unlikely : .guessed
        }
    }

    private struct Side {
        /// The outside address is the same for all far ends, or can be known.
        var isStable = true
        /// A datagram from an address that was spoken to gets in, whatever its port.
        var admitsAnyPort = true
        var remembersStrangers = false

        init(_ site: Scenario.Site) {
            for gateway in site.gateways {
                let isKnown = gateway.mapping == .endpointIndependent || gateway.ports == .preserving
                if gateway.translates, !isKnown { isStable = false }
                switch gateway.filtering {
                case .open, .by(.endpointIndependent), .by(.addressDependent): break
                case .by(.addressAndPortDependent): admitsAnyPort = false
                }
                if gateway.remembersStrangers { remembersStrangers = true }
                // A mapping of its own for each far end lets in nobody else.
                if gateway.mapping == .addressAndPortDependent { admitsAnyPort = false }
            }
        }
    }
}
