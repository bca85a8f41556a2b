import ArgumentParser
import Base
import Control
import Foundation
import Platform
import Wire

/// The wall clock, for ages in tables.
func wallClock() -> UnixTime { Clock.wall() }

struct Status: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Shows the state of the agent or the controller.",
        discussion: "The agent of this machine is asked first, then the controller.")

    @OptionGroup var common: Common
    @Flag(help: "Print all figures in Prometheus' text format, for a collector of text files.") var prometheus = false

    func validate() throws {
        if prometheus, common.json { throw ValidationError("give --prometheus or --json, and not both") }
    }

    func perform() throws {
        let link = try common.link(.agent, .controller)
        try show(try link.call(StatusGet())) { prometheus ? Prometheus.text($0) : text($0) }
    }

    func text(_ view: StatusView) -> String {
        let now = wallClock()
        var details = Details()
        details.add(view.program.rawValue, view.name ?? view.node.short, .heading)
        details.add("node", view.node.short)
        details.add("version", view.version)
        details.add("fleet", view.fleet ?? "none yet; 'asterism join --token-file -' joins one")
        details.add("phase", view.phase.rawValue, view.phase.style)
        details.add("join", view.joinProblem, .bad)
        details.add("running for", Units.age(now - view.startedAt))
        details.add("certificate", view.certificateExpiresAt.map { expiry($0, now) })
        details.add("overlay", [view.overlay4, view.overlay6].overlayText)
        details.add("cryptography", view.cryptography)
        if let mapping = view.portMapping {
            details.add("port mapping", Status.text(mapping), mapping.problem == nil ? .plain : .caution)
        }
        for controller in view.controllers ?? [] {
            let addresses = (controller.names + controller.addresses.map(\.description)).joined(separator: ", ")
            details.add(
                "controller",
                "\(controller.node.short) \(addresses) \(controller.isConnected ? "connected" : "not connected")",
                controller.isConnected ? .good : .bad)
        }
        if let lostAt = view.controllerLostAt {
            details.add("controller lost", "\(Units.age(now - lostAt)) ago", .bad)
        }
        details.add("not accepted", view.descriptionProblem, .bad)
        if let clock = view.clock, clock.differs {
            details.add("clock", "differs: \(clock.own) here, \(clock.controller) at the controller", .bad)
        }
        for clock in view.nodeClocks ?? [] {
            details.add("clock of \(clock.name)", Status.difference(clock.offsetMilliseconds), .bad)
        }
        if let nodes = view.nodes {
            details.add(
                "nodes",
                "\(nodes.online) online, \(nodes.suspect) suspect, \(nodes.offline) offline, \(nodes.left) left, "
                    + "\(nodes.unknown) unknown", nodes.suspect + nodes.offline > 0 ? .caution : .plain)
        }
        if let total = view.workersTotal { details.add("workers", "\(view.workersActive ?? 0) active of \(total)") }
        details.add("revision", view.revision.map(String.init))
        details.add("containment", view.containment?.rawValue)
        details.add("verdict", view.verdict?.rawValue, view.verdict?.style ?? .plain)
        let counted = view.counters.filter { $0.count != 0 }
        for counter in counted { details.add(counter.name, "\(counter.count)") }
        return details.render(terminal)
    }

    /// `1h ahead`, of this program's clock.
    static func difference(_ milliseconds: Int64) -> String {
        let amount = Units.age(.milliseconds(Int64(clamping: milliseconds.magnitude)))
        return "\(amount) \(milliseconds > 0 ? "ahead of" : "behind") the controller's"
    }

    /// `203.0.113.9:7950 by PCP from 192.168.1.1, for 2h, then renewed`, or why there is none.
    static func text(_ mapping: PortMappingView) -> String {
        guard let address = mapping.externalAddress, let how = mapping.protocol else {
            return "none: \(mapping.problem ?? "not asked for")"
        }
        let gateway = mapping.gateway.map { " from \($0)" } ?? ""
        let life = mapping.lifetimeSeconds.map { ", for \(Units.age(.seconds($0))), then renewed" } ?? ""
        return "\(address) by \(how.rawValue)\(gateway)\(life)\(mapping.problem.map { "; \($0)" } ?? "")"
    }

    private func expiry(_ at: UnixTime, _ now: UnixTime) -> String {
        at < now ? "expired \(Units.age(now - at)) ago" : "valid for \(Units.age(at - now))"
    }
}

extension StatusView.Phase {
    fileprivate var style: Terminal.Style {
        switch self {
        case .member, .serving: .good
        case .unenrolled, .enrolling: .caution
        }
    }
}

extension Verdict {
    var style: Terminal.Style {
        switch self {
        case .healthy: .good
        case .unknown: .faint
        case .degraded: .caution
        case .failed: .bad
        }
    }
}
