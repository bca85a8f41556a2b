import ArgumentParser
import Base
import Control
import Foundation
import Wire

struct Why: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Says how a peer is reached, what else was tried, and why it is relayed if it is.",
        discussion: "The peer must have been talked to; 'asterism ping' does.")

    @OptionGroup var common: Common
    @Argument(help: "A peer's name, overlay address, id, or the first digits of its id.") var peer: String

    func perform() throws {
        let link = try common.link(.agent)
        let answer = try link.call(AgentRequest.why(.init(peer: peer)))
        try show(answer, as: PathsView.self) { Why.text($0, terminal) }
    }

    static func text(_ view: PathsView, _ terminal: Terminal) -> String {
        let name = (view.name ?? view.node.short).printable
        var text = "\(name): \(headline(view))\n"
        if let reason = view.reason { text += "  because \(explanation(of: reason))\n" }
        text += "  address translation: here \(mapping(view.ownMapping)), there \(mapping(view.peerMapping))\n"
        if let bytes = view.datagramBytes { text += "  datagrams of up to \(bytes) bytes\n" }
        text += "\n" + table(view.paths).render(terminal)
        guard !view.transitions.isEmpty else { return text }
        var changes = Table([.init("AGO", right: true), .init("FROM", least: 8), .init("TO", least: 8), .init("CAUSE")])
        for change in view.transitions.reversed() {
            changes.add([
                .init(Units.age(.milliseconds(change.agoMilliseconds))),
                .init(change.from.map { way($0, change.fromIsRelayed) }), .init(way(change.to, change.toIsRelayed)),
                .init(cause(change.cause)),
            ])
        }
        return text + "\n" + changes.render(terminal)
    }

    private static func headline(_ view: PathsView) -> String {
        let primary = view.paths.first(where: \.isPrimary)
        let trip = primary?.roundTripMicroseconds.map { ", \(Units.roundTrip(microseconds: $0))" } ?? ""
        let address = primary.map { "\($0.address)" } ?? "?"
        return switch view.path {
        case .none: "no session"
        case .direct: "direct, \(address)\(trip)"
        case .relayed: "over the relay \(address)\(trip)"
        }
    }

    static func explanation(of reason: String) -> String {
        switch reason {
        case "trying": "direct paths are being tried right now"
        case "noCandidates": "the peer has told no address of its own"
        case "bothMappingsVary":
            "both are behind translators that show each far end another port, so neither knows where to send"
        case "ownMappingVaries":
            "the translator here shows each far end another port, and the peer's lets in only ports that it knows"
        case "peerMappingVaries":
            "the peer's translator shows each far end another port, and the one here lets in only ports that it knows"
        case "failed": "the direct path fell silent; it is taken back when it has answered for a while"
        case "ownUDPBlocked": "the network here lets no UDP out, so relays are reached over TCP"
        case "peerUDPBlocked": "the peer's network lets no UDP out, so it reaches relays over TCP"
        case "blocked": "nothing arrives directly although both addresses are known: a firewall drops it"
        case "unknown": "nothing arrives directly, and what is before one of the two is not known"
        default: reason
        }
    }

    private static func mapping(_ name: String) -> String {
        switch name {
        case "none": "none"
        case "blocked": "no UDP gets out"
        case "stable": "the same port for all (endpoint-independent)"
        case "varies": "another port for each (endpoint-dependent)"
        default: "not known"
        }
    }

    private static func cause(_ name: String) -> String {
        switch name {
        case "first": "the session was made there"
        case "better": "a better kind of path answered"
        case "faster": "it is faster"
        case "moved": "the peer moved"
        case "silent": "the old one fell silent"
        case "withdrawn": "the old one is no more"
        default: name
        }
    }

    private static func way(_ address: SocketAddress, _ isRelayed: Bool) -> String {
        isRelayed ? "relay \(address)" : "\(address)"
    }

    private static func table(_ paths: [PathsView.Path]) -> Table {
        var table = Table([
            .init("PATH", least: 12), .init("STATE"), .init("RTT", right: true), .init("ANSWERED", right: true),
            .init("HEARD", right: true, importance: 1), .init("UNANSWERED", right: true, importance: 2),
        ])
        for path in paths {
            let (state, style) = state(of: path)
            table.add([
                .init(way(path.address, path.isRelayed)), .init(state, style),
                .init(path.roundTripMicroseconds.map { Units.roundTrip(microseconds: $0) }),
                .init(path.sinceAnsweredMilliseconds.map { "\(Units.age(.milliseconds($0))) ago" }),
                .init(path.sinceHeardMilliseconds.map { "\(Units.age(.milliseconds($0))) ago" }),
                .init(path.missed > 0 ? "\(path.missed)" : nil),
            ])
        }
        return table
    }

    private static func state(of path: PathsView.Path) -> (String, Terminal.Style) {
        if path.isPrimary { return ("in use", .good) }
        if path.barredMilliseconds != nil { return ("failed", .bad) }
        if path.isAlive { return ("ready", .good) }
        return path.isPunching ? ("trying", .caution) : ("no answer", .faint)
    }
}
