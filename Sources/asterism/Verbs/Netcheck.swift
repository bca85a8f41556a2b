import ArgumentParser
import Base
import Control
import Foundation

struct Netcheck: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Reports what the network permits this node to do, and how that is known.",
        discussion: """
            Beacons report the reflexive address. STUN servers (asterismd --stun) reveal more. They are asked again \
            each time, which takes up to ten seconds. For each value that is unknown, the reason is printed.
            """)

    @OptionGroup var common: Common

    func perform() throws {
        let link = try common.link(.agent)
        try show(try link.call(NetworkCheck())) { Netcheck.text($0, terminal) }
    }

    /// One page, the most important results first.
    static func text(_ view: NetcheckView, _ terminal: Terminal) -> String {
        var parts = [summary(view, terminal), machine(view, terminal), reflexiveAddresses(view, terminal)]
        parts.append(natSection(view, terminal))
        if let pod = view.kubernetes { parts.append(kubernetes(pod, terminal)) }
        parts.append(relays(view.relays, terminal) + keepAlive(view, terminal))
        parts.append(portMapping(view.portMapping, terminal))
        return parts.filter { !$0.isEmpty }.joined(separator: "\n")
    }

    private static func heading(_ text: String, _ terminal: Terminal) -> String {
        terminal.styled(text, .heading) + "\n"
    }

    // MARK: - UDP

    private static func summary(_ view: NetcheckView, _ terminal: Terminal) -> String {
        var details = Details()
        for (name, family, isIPv4) in [("UDP over IPv4", view.ipv4, true), ("UDP over IPv6", view.ipv6, false)] {
            let (text, style) = udp(view, family, isIPv4: isIPv4)
            details.add(name, text, style)
        }
        return details.render(terminal)
    }

    private static func udp(
        _ view: NetcheckView, _ family: NetcheckView.Family, isIPv4: Bool
    ) -> (String, Terminal.Style) {
        let beacons = view.beacons.count { $0.seen.ip.isIPv4 == isIPv4 }
        let servers = view.stun.filter { $0.address?.ip.isIPv4 == isIPv4 }
        let answering = servers.count { $0.seen != nil }
        switch family.udp.value {
        case .works:
            let witnesses = [
                beacons > 0 ? counted(beacons, "beacon") : nil, answering > 0 ? counted(answering, "STUN server") : nil,
            ].compactMap { $0 }
            guard !witnesses.isEmpty else { return ("works: an answer arrived", .good) }
            return ("works: \(witnesses.joined(separator: " and ")) answered", .good)
        case .blocked where isIPv4 && view.relays.contains { $0.isTCP && $0.state == .bound }:
            return ("blocked: relays are reached over TCP alone", .bad)
        case .blocked:
            let who =
                servers.count == 1 ? "the STUN server does not answer" : "none of \(servers.count) STUN servers answers"
            return ("blocked, as it seems: \(who), and no beacon; else they are all down", .bad)
        case nil: return ("unknown: \(reason(family.udp.unknown))", .caution)
        }
    }

    private static func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

    // MARK: - Addresses

    private static func machine(_ view: NetcheckView, _ terminal: Terminal) -> String {
        var details = Details()
        for interface in view.interfaces {
            let addresses = interface.addresses.map { "\($0)" }.joined(separator: ", ")
            details.add(interface.name.printable, addresses + (interface.isOverlay ? " (the overlay)" : ""))
        }
        details.add("gateway", view.gateway4.map { "\($0.address) at \($0.interface)" } ?? "none over IPv4")
        let listening = view.listening.map { "\($0)" }.joined(separator: ", ")
        details.add("mesh", listening.isEmpty ? "unknown: the agent has no address to listen at" : listening)
        return heading("This machine", terminal) + details.render(terminal)
    }

    private static func reflexiveAddresses(_ view: NetcheckView, _ terminal: Terminal) -> String {
        let title = heading("Reflexive addresses", terminal)
        guard !view.beacons.isEmpty || !view.stun.isEmpty else {
            return title + "unknown: no beacon has answered, and asterismd was given no --stun server\n"
        }
        var table = Table([
            .init("FROM", least: 12), .init("SEEN", least: 12), .init("RTT", right: true),
            .init("SECOND ADDRESS", importance: 1), .init("SOFTWARE", least: 8, importance: 0),
        ])
        for beacon in view.beacons {
            table.add([
                .init("beacon \(beacon.name ?? beacon.node.short)"), .init("\(beacon.seen)"),
                .init(beacon.roundTripMicroseconds.map { Units.roundTrip(microseconds: $0) }), .init(nil), .init(nil),
            ])
        }
        for server in view.stun {
            // A name does not show which of its addresses was asked.
            let isNamed = server.address.map { "\($0)" != server.name } ?? false
            let place = isNamed ? " (\(server.address!))" : ""
            table.add([
                .init("STUN \(server.name)\(place)"),
                server.problem.map { .init($0, .bad) } ?? .init(server.seen.map { "\($0)" }),
                .init(server.roundTripMicroseconds.map { Units.roundTrip(microseconds: $0) }),
                .init(server.otherAddress.map { "\($0)" }), .init(server.software),
            ])
        }
        return title + table.render(terminal)
    }

    // MARK: - NAT and firewall

    private static func natSection(_ view: NetcheckView, _ terminal: Terminal) -> String {
        var text = ""
        for (name, family) in [("IPv4", view.ipv4), ("IPv6", view.ipv6)] {
            // The first lines have already stated that a family is absent.
            if family.udp.unknown == .noAddress { continue }
            if name == "IPv6", family.mapping.value == nil, family.filtering.value == nil { continue }
            var details = Details()
            details.add("mapping", mapping(family.mapping), style(family.mapping))
            details.add("filtering", filtering(family.filtering), style(family.filtering))
            details.add("ports", ports(family))
            details.add("hairpin", hairpin(family.hairpin))
            details.add("lifetime", lifetime(family.lifetime))
            if !text.isEmpty { text += "\n" }
            text += heading("NAT and firewall (\(name))", terminal) + details.render(terminal)
        }
        return text
    }

    private static func mapping(_ finding: NetcheckView.Finding<NetcheckView.Mapping>) -> String {
        switch finding.value {
        case .untranslated: "none: this node has its own address outside"
        case .endpointIndependent:
            "endpoint-independent: all destinations see one port, so peers know where to send"
        case .addressDependent:
            "address-dependent: each destination address sees another port; peers must predict it, or use a relay"
        case .addressAndPortDependent:
            "address- and port-dependent: each destination sees another port; peers must predict it, or use a relay"
        case .endpointDependent:
            "endpoint-dependent: destinations see different ports; peers must predict one, or use a relay"
        case nil: "unknown: \(reason(finding.unknown))"
        }
    }

    private static func filtering(_ finding: NetcheckView.Finding<NetcheckView.Filtering>) -> String {
        switch finding.value {
        case .endpointIndependent:
            "endpoint-independent: any source gets in; every peer can reach this node directly"
        case .addressDependent:
            "address-dependent: only addresses of earlier packets get in, from any port; peers use hole punching"
        case .addressAndPortDependent:
            "address- and port-dependent: only destinations of earlier packets get in; peers use hole punching"
        case nil: "unknown: \(reason(finding.unknown))"
        }
    }

    /// A result is good where it makes direct paths simple.
    private static func style(_ finding: NetcheckView.Finding<NetcheckView.Mapping>) -> Terminal.Style {
        switch finding.value {
        case .untranslated, .endpointIndependent: .good
        case .addressDependent, .addressAndPortDependent, .endpointDependent: .caution
        case nil: .faint
        }
    }

    private static func style(_ finding: NetcheckView.Finding<NetcheckView.Filtering>) -> Terminal.Style {
        switch finding.value {
        case .endpointIndependent: .good
        case .addressDependent, .addressAndPortDependent: .caution
        case nil: .faint
        }
    }

    private static func ports(_ family: NetcheckView.Family) -> String {
        switch family.ports.value {
        case .preserving: "preserved: the external port is the internal one, unless it is in use"
        case .sequential: "sequential: each new mapping's port is \(family.portStep.map(String.init) ?? "a little") on"
        case .random: "random: no pattern; port prediction must try many"
        case nil: "unknown: \(reason(family.ports.unknown))"
        }
    }

    private static func hairpin(_ finding: NetcheckView.Finding<NetcheckView.Decision>) -> String {
        switch finding.value {
        case .yes: "yes: nodes behind the same NAT reach each other at their external addresses"
        case .no: "no: nodes behind the same NAT reach each other only at their internal addresses"
        case nil: "unknown: \(reason(finding.unknown))"
        }
    }

    private static func lifetime(_ life: NetcheckView.Lifetime) -> String {
        if life.unknown == .pending { return "unknown: it is being measured, which takes up to five minutes" }
        guard let least = life.atLeastSeconds else { return "unknown: \(reason(life.unknown))" }
        guard let below = life.belowSeconds else {
            return "more than \(least) s without a datagram; the mapping lasts for minutes"
        }
        return least == 0
            ? "less than \(below) s without a datagram; an idle mapping expires at once"
            : "\(least) to \(below) s without a datagram; then the mapping expires"
    }

    static func reason(_ reason: NetcheckView.Unknown?) -> String {
        switch reason {
        case .pending: "NAT discovery is running"
        case .noAnswer: "no server has answered"
        case .oneAddress: "one server with one address was asked; a comparison needs two"
        case .noOtherAddress: "no STUN server has a second address to answer from (RFC 5780)"
        case .otherIsSilent: "the STUN server's second address does not answer"
        case .notServed: "the STUN server does not support CHANGE-REQUEST or RESPONSE-PORT"
        case .noNAT: "there is no NAT"
        case .tooFew: "too few mappings were seen"
        case .notAsked: "asterismd was given no --stun server for this"
        case .noFleet: "this node is in no fleet, and asterismd was given no --stun server for this"
        case .oneBeacon: "one beacon has answered; a comparison needs two"
        case .noAddress: "this machine has no address of that family"
        case .daily: "it is measured in the background, once a day, with a STUN server that has a second address"
        case nil: "not reported"
        }
    }

    private static func kubernetes(_ pod: NetcheckView.Kubernetes, _ terminal: Terminal) -> String {
        var details = Details()
        details.add("pod", pod.pod ?? "unknown: HOSTNAME is not set")
        details.add("namespace", pod.namespace ?? "unknown: no service account is mounted")
        switch pod.sourceNAT.value {
        case .yes:
            details.add(
                "SNAT", "yes: outside, the pod is seen at another address (its node's, or a gateway's)", .caution)
        case .no: details.add("SNAT", "no: outside, the pod is seen at its own address", .good)
        case nil: details.add("SNAT", "unknown: \(reason(pod.sourceNAT.unknown))")
        }
        return heading("Kubernetes", terminal) + details.render(terminal)
    }

    private static func relays(_ relays: [NetcheckView.Relay], _ terminal: Terminal) -> String {
        let title = heading("Relays", terminal)
        guard !relays.isEmpty else { return title + "none: this node knows no relay\n" }
        var table = Table([
            .init("RELAY", least: 8), .init("STATE"), .init("RTT", right: true), .init("ADDRESS", least: 12),
            .init("FOR", importance: 0),
        ])
        for relay in relays {
            let style: Terminal.Style =
                switch relay.state {
                case .bound: .good
                case .refused: .bad
                case .connecting, .binding: .caution
                }
            table.add([
                .init(relay.name ?? relay.node.short), .init(relay.state.rawValue, style),
                .init(relay.roundTripMicroseconds.map { Units.roundTrip(microseconds: $0) }),
                .init(relay.address.map { (relay.isTCP ? "tcp " : "") + "\($0)" }),
                .init(relay.isHome ? "this node" : "a peer"),
            ])
        }
        return title + table.render(terminal)
    }

    private static func keepAlive(_ view: NetcheckView, _ terminal: Terminal) -> String {
        guard let seconds = view.keepAliveSeconds, !view.relays.isEmpty else { return "" }
        var details = Details()
        let isMeasured = view.ipv4.lifetime.atLeastSeconds != nil
        let why = isMeasured ? "by the lifetime that was measured" : "no lifetime was measured"
        details.add("keepalive", "every \(seconds) s while idle: \(why)")
        return details.render(terminal)
    }

    private static func portMapping(_ mapping: PortMappingView?, _ terminal: Terminal) -> String {
        var details = Details()
        let style: Terminal.Style = mapping.map { $0.problem == nil ? .good : .caution } ?? .faint
        details.add("port mapping", mapping.map(Status.text) ?? "not asked for (asterismd --port-mapping)", style)
        return details.render(terminal)
    }
}
