import ArgumentParser
import Base
import Control
import Wire

struct Nodes: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Lists the nodes of the fleet.",
        discussion: "With a name, shows that node in detail, as 'asterism node' does.")

    @OptionGroup var common: Common
    @Argument(help: "A node's name, id, or the first digits of its id.") var name: String?

    func perform() throws {
        if let name { return try NodeText.show(name, self) }
        let link = try common.link(.controller)
        let answer = try link.call(NodesList())
        try show(answer) { nodes in
            nodes.isEmpty
                ? "no node has enrolled yet; 'asterism token create' makes a token for one\n"
                : Nodes.table(nodes, wallClock()).render(terminal)
        }
    }

    static func table(_ nodes: [NodeView], _ now: UnixTime) -> Table {
        var table = Table([
            .init("NAME", least: 8), .init("STATE"), .init("VERDICT", importance: 6),
            .init("CPU", right: true, importance: 4),
            .init("MEM", right: true, importance: 5), .init("GPU", right: true, importance: 3),
            .init("WORKERS", right: true, importance: 8), .init("SEEN", right: true, importance: 7),
            .init("VERSION", importance: 1), .init("OVERLAY", importance: 2),
            .init("ADDRESS", least: 12, importance: 2),
            .init("ID", importance: 0),
        ])
        for node in nodes.sorted(by: { ($0.name, $0.id) < ($1.name, $1.id) }) {
            func percent(_ value: Int?) -> Table.Cell { .init(value.map { "\($0)%" }) }
            let accelerators = node.accelerators == 0 ? nil : node.accelerators
            let gpu = accelerators.map { count in "\(count)" + (node.acceleratorLoadPercent.map { ":\($0)%" } ?? "") }
            table.add([
                .init(node.name), .init(node.stateText, node.state.style),
                .init(node.verdict.rawValue, node.verdict.style),
                percent(node.processorLoadPercent), percent(node.memoryLoadPercent), .init(gpu),
                .init("\(node.workersRunning)/\(node.workersTotal)"),
                .init(node.lastHeartbeatAt.map { Units.age(now - $0) }), .init(node.agentVersion),
                .init(node.overlay4?.description), .init(node.address?.description), .init(node.id.short),
            ])
        }
        return table
    }
}

enum NodeText {
    static func show(_ name: String, _ verb: some Verb) throws {
        let link = try verb.common.link(.controller)
        try verb.show(try link.call(NodesGet(node: name))) { (node: NodeView) in
            details(node, wallClock()).render(verb.terminal)
        }
    }

    static func details(_ node: NodeView, _ now: UnixTime) -> Details {
        var details = Details()
        details.add("node", node.name, .heading)
        details.add("id", node.id.hex)
        details.add("state", node.stateText, node.state.style)
        details.add("verdict", node.verdict.rawValue, node.verdict.style)
        details.add("site", node.site.isEmpty ? nil : node.site)
        let labels = node.labels.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
        details.add("labels", labels.isEmpty ? nil : labels)
        details.add("roles", node.roles.joined(separator: ", "))
        details.add("address", node.address?.description)
        details.add("overlay", [node.overlay4, node.overlay6].overlayText)
        details.add("version", node.agentVersion)
        details.add("enrolled", "\(node.enrolledAt) (\(Units.age(now - node.enrolledAt)) ago)")
        details.add("certificate until", node.certificateExpiresAt.description)
        if let offset = node.clockOffsetMilliseconds, abs(offset) >= 60_000 {
            details.add("clock", Status.difference(offset), .bad)
        }
        details.add("last heartbeat", node.lastHeartbeatAt.map { "\(Units.age(now - $0)) ago" })
        details.add(
            "revision", "\(node.revision) of \(node.desiredRevision)",
            node.revision == node.desiredRevision ? .plain : .caution)
        details.add("workers", "\(node.workersRunning) running of \(node.workersTotal)")
        details.add("free slots", node.freeSlots.map(String.init))
        details.add("containment", node.containment?.rawValue)
        details.add("accelerators", node.accelerators == 0 ? nil : "\(node.accelerators)")
        if let host = node.host { add(host, to: &details) }
        return details
    }

    private static func add(_ host: HostStatus, to details: inout Details) {
        details.add("hostname", host.hostname)
        details.add("kernel", [host.kernel, host.architecture].compactMap { $0 }.joined(separator: " "))
        let processors = [host.processors.map { "\($0)" }, host.processorModel].compactMap { $0 }
        details.add("processors", processors.isEmpty ? nil : processors.joined(separator: " x "))
        details.add("cpu use", host.processorUsePermille.map { "\(Units.thousandths($0 * 100))%" })
        let loads = [host.load1Centi, host.load5Centi, host.load15Centi].compactMap { $0 }
        details.add("load", loads.isEmpty ? nil : loads.map { Units.thousandths($0 * 10) }.joined(separator: " "))
        if let total = host.memoryTotalBytes {
            let available = host.memoryAvailableBytes.map { "\(Units.size($0)) available of " } ?? ""
            details.add("memory", available + Units.size(total))
        }
        if let total = host.swapTotalBytes, total > 0 {
            details.add("swap", "\(host.swapFreeBytes.map { "\(Units.size($0)) free of " } ?? "")\(Units.size(total))")
        }
        details.add("up for", host.uptimeSeconds.map { Units.age(.seconds($0)) })
        for pressure in host.pressure {
            guard let some = pressure.some10Basis else { continue }
            let full = pressure.full10Basis.map { ", full \(Units.thousandths($0 * 10))%" } ?? ""
            details.add("pressure \(pressure.resource.rawValue)", "some \(Units.thousandths(some * 10))%\(full) in 10s")
        }
        for disk in host.disks {
            let size = disk.sizeBytes.map { size in
                (disk.availableBytes.map { "\(Units.size($0)) available of " } ?? "") + Units.size(size)
            }
            details.add(
                "disk \(disk.mountPoint)",
                [size, disk.fileSystem, disk.device, disk.isReadOnly ? "read-only" : nil].compactMap { $0 }
                    .joined(separator: ", "))
        }
    }
}

extension [IPAddress?] {
    /// The overlay addresses of a node, if it has any.
    var overlayText: String? {
        let known = compactMap { $0?.description }
        return known.isEmpty ? nil : known.joined(separator: ", ")
    }
}

extension NodeView {
    var stateText: String { isDraining ? "\(state.rawValue), draining" : state.rawValue }
}

extension NodeState {
    var style: Terminal.Style {
        switch self {
        case .online: .good
        case .suspect: .caution
        case .offline: .bad
        case .unknown, .left: .faint
        }
    }
}
