/// # Every kind of gateway against every other
///
/// The kinds are those that are found in the field, in RFC 4787's terms, with their common names. The *oracle* derives, from
/// the terms alone, what two of them allow; tests compare the mesh with it.
package enum GridSite: String, CaseIterable, Sendable {
    case open, firewall, fullCone, addressRestricted, portRestricted, portRestrictedRandom, masquerade
    case masqueradeWithoutFirewall
    case addressDependent, symmetricSequential, symmetricParity, symmetricRandom, doubleCone, doubleSymmetric
    case udpBlocked

    /// With IPv6 in addition to IPv4, behind a stateful firewall where there is a gateway for IPv4.
    package var dualSite: Scenario.Site {
        var site = self.site
        site.has6 = true
        if self != .open { site.firewall6 = .firewall() }
        if self == .udpBlocked { site.firewall6?.blocksUDP = true }
        return site
    }

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
                machine.remembersUnsolicited = true
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
        case .udpBlocked:
            {
                var office = NAT(port, .by(port), .random)
                office.blocksUDP = true
                return Scenario.Site([office])
            }()
        }
    }
}
