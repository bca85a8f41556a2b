import ArgumentParser
import Base
import Control
import Foundation
import Wire

struct Why: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Reports how a peer is reached, what else was tried, and why it is relayed if it is.",
        discussion: "This node needs a session with the peer; 'asterism ping' makes one.")

    @OptionGroup var common: Common
    @Argument(help: "A peer's name, overlay address, id, or four or more first digits of its id.") var peer: String

    func perform() throws {
        let link = try common.link(.agent)
        let answer = try link.call(ExplainPaths(peer: peer))
        try show(answer) { Why.text($0, terminal) }
    }

    static func text(_ view: PathsView, _ terminal: Terminal) -> String {
        let name = (view.name ?? view.node.short).printable
        var text = "\(name): \(headline(view))\n"
        if let reason = view.reason { text += "  because \(explanation(of: reason))\n" }
        text += "  NAT mapping: \(mapping(view.ownMapping)) here, \(mapping(view.peerMapping)) there\n"
        if let bytes = view.datagramBytes {
            let mtu = view.pathMTU.map { "MTU \($0): " } ?? ""
            text += "  \(mtu)datagrams of up to \(bytes) bytes\n"
        }
        text += "\n" + table(view.paths).render(terminal)
        guard !view.transitions.isEmpty else { return text }
        var changes = Table([
            .init("AGO", right: true), .init("FROM", least: 8), .init("TO", least: 8), .init("CAUSE"),
            .init("IN DOUBT", right: true, importance: 2),
        ])
        for change in view.transitions.reversed() {
            changes.add([
                .init(Units.age(.milliseconds(change.agoMilliseconds))),
                .init(change.from.map { way($0, change.fromIsRelayed, change.fromRelay, isTCP: change.fromIsTCP) }),
                .init(way(change.to, change.toIsRelayed, change.toRelay, isTCP: change.toIsTCP)),
                .init(cause(change.cause)),
                .init(change.doubtMilliseconds.map { "\($0)ms" }),
            ])
        }
        return text + "\n" + changes.render(terminal)
    }

    static func headline(_ view: PathsView) -> String {
        let primary = view.paths.first(where: \.isPrimary)
        let trip = primary?.roundTripMicroseconds.map { ", \(Units.roundTrip(microseconds: $0))" } ?? ""
        let address = primary.map { way($0.address, $0.isRelayed, $0.relay, isTCP: $0.isTCP) } ?? "?"
        let note = view.paths.contains(where: \.isAlive) ? "" : ", but no path answers now"
        return switch view.path {
        case .none: "no session"
        case .direct: "direct, \(address)\(trip)\(note)"
        case .relayed: "over the \(address)\(trip)\(note)"
        }
    }

    static func explanation(of reason: PathsView.Reason) -> String {
        switch reason {
        case .trying: "direct paths are being tried right now"
        case .noCandidates: "the peer has sent no address of its own"
        case .bothMappingsDependent:
            "both NATs have an endpoint-dependent mapping, so neither end knows where to send"
        case .ownMappingDependent:
            "the NAT here has an endpoint-dependent mapping, and the peer's filter is port-dependent"
        case .peerMappingDependent:
            "the peer's NAT has an endpoint-dependent mapping, and the filter here is port-dependent"
        case .failed: "the direct path failed; it is used again when it has answered for a while"
        case .ownUDPBlocked: "the network here blocks UDP, so relays are reached over TCP"
        case .peerUDPBlocked: "the peer's network blocks UDP, so it reaches relays over TCP"
        case .blocked: "nothing arrives directly although both addresses are known: a firewall drops it"
        case .relayOnly: "requested by 'asterism debug relay-only'"
        case .unknown: "nothing arrives directly, and the NAT of one of the two is unknown"
        }
    }

    private static func mapping(_ mapping: PathsView.Mapping) -> String {
        switch mapping {
        case .untranslated: "none"
        case .blocked: "no UDP gets out"
        case .endpointIndependent: "endpoint-independent"
        case .endpointDependent: "endpoint-dependent"
        case .unknown: "not known"
        }
    }

    private static func cause(_ cause: PathsView.Cause) -> String {
        switch cause {
        case .first: "the first path that answered"
        case .better: "a better kind of path answered"
        case .faster: "it is faster"
        case .moved: "the peer moved"
        case .silent: "the old path failed"
        case .withdrawn: "the old path was withdrawn"
        case .debug: "requested by 'asterism debug'"
        }
    }

    /// `198.51.100.12:7950`, `relay beacon (198.51.100.2:7950)`.
    static func way(
        _ address: SocketAddress, _ isRelayed: Bool, _ relay: String?, isTCP: Bool, direct: String = ""
    ) -> String {
        let address = isTCP ? "tcp \(address)" : "\(address)"
        guard isRelayed else { return direct + address }
        return relay.map { "relay \($0.printable) (\(address))" } ?? "relay \(address)"
    }

    private static func table(_ paths: [PathsView.Path]) -> Table {
        var table = Table([
            .init("PATH", least: 12), .init("STATE"), .init("RTT", right: true), .init("LAST PROBE"),
            .init("ANSWERED", right: true, importance: 3), .init("RECEIVED", right: true, importance: 1),
            .init("UNANSWERED", right: true, importance: 2),
        ])
        for path in paths {
            let (state, style) = state(of: path)
            table.add([
                .init(way(path.address, path.isRelayed, path.relay, isTCP: path.isTCP)), .init(state, style),
                .init(path.roundTripMicroseconds.map { Units.roundTrip(microseconds: $0) }),
                .init(probe(of: path)),
                .init(path.sinceAnsweredMilliseconds.map { "\(Units.age(.milliseconds($0))) ago" }),
                .init(path.sinceReceivedMilliseconds.map { "\(Units.age(.milliseconds($0))) ago" }),
                .init(path.missed > 0 ? "\(path.missed)" : nil),
            ])
        }
        return table
    }

    private static func probe(of path: PathsView.Path) -> String? {
        guard let since = path.sinceProbedMilliseconds, let outcome = path.probe else { return nil }
        return "\(Units.age(.milliseconds(since))) ago, \(outcome.rawValue)"
    }

    private static func state(of path: PathsView.Path) -> (String, Terminal.Style) {
        if path.isPrimary { return ("in use", .good) }
        if path.barredMilliseconds != nil {
            return ("failed, barred for \(Units.age(.milliseconds(path.barredMilliseconds ?? 0)))", .bad)
        }
        if path.isAlive { return ("ready", .good) }
        return path.isPunching ? ("trying", .caution) : ("no answer", .faint)
    }
}
