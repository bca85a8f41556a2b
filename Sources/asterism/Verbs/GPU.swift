import ArgumentParser
import Base
import Control
import Wire

struct GPU: Verb {
    static let configuration = CommandConfiguration(
        commandName: "gpu", abstract: "Lists accelerators with their health.",
        discussion:
            "The agent of this machine is asked first, then the controller, which knows those of the whole fleet.")

    @OptionGroup var common: Common
    @Flag(help: "Ask the controller for the accelerators of the whole fleet.") var fleet = false

    func perform() throws {
        let link = fleet ? try common.link(.controller) : try common.link(.agent, .controller)
        let answer = try link.call(AcceleratorsList())
        try showTable(answer, from: link, none: "no accelerators", GPU.table)
    }

    static func table(_ views: [AcceleratorView]) -> Table {
        var table = Table([
            .init("NODE", least: 8), .init("DEV"), .init("VERDICT"), .init("MODEL", least: 8, importance: 4),
            .init("UTIL", right: true, importance: 6), .init("MEMORY", right: true, importance: 5),
            .init("TEMP", right: true, importance: 3), .init("POWER", right: true, importance: 2),
            .init("PROCS", right: true, importance: 1), .init("EVIDENCE", least: 12, importance: 0),
        ])
        for view in views {
            let device = view.accelerator
            let used = device.memoryUsedBytes.map(Units.size), total = device.memoryTotalBytes.map(Units.size)
            let watts = [device.powerMilliwatts, device.powerLimitMilliwatts].compactMap { $0.map { "\($0 / 1000)" } }
            table.add([
                .init(view.nodeName), .init("\(device.vendor)\(device.index)"),
                .init(device.verdict.rawValue, device.verdict.style), .init(device.model),
                .init(device.utilizationPercent.map { "\($0)%" }),
                .init(total.map { "\(used ?? "?")/\($0)" } ?? used),
                .init(device.temperatureMilliCelsius.map { "\($0 / 1000)C" }),
                .init(watts.isEmpty ? nil : watts.joined(separator: "/") + "W"),
                .init("\(device.processes.count)"),
                .init(device.evidence.isEmpty ? nil : device.evidence.joined(separator: "; ")),
            ])
        }
        return table
    }
}
