import ArgumentParser
import Base
import Control
import Foundation

struct Events: Verb {
    static let configuration = CommandConfiguration(
        abstract: "Shows what happened in the fleet.",
        discussion: "Following continues until it is interrupted, and survives a restart of the controller.")

    @OptionGroup var common: Common
    @Flag(name: [.customShort("f"), .long], help: "Print new events as they happen; as JSON, one line for each.")
    var follow = false
    @Option(help: ArgumentHelp("Only events with a higher number.", valueName: "id")) var after: UInt64?
    @Option(name: [.customShort("n"), .long], help: "The most events to print at first.") var limit: Int64 = 100

    static let pollMicroseconds: UInt32 = 250_000

    func validate() throws {
        guard (1...10_000).contains(limit) else { throw ValidationError("--limit must be 1 to 10000, not \(limit)") }
    }

    func perform() throws {
        let link = try common.link(.controller)
        let answer = try link.call(EventsList(after: after, limit: limit))
        guard follow else {
            return try show(answer) { events in
                events.isEmpty ? "no events\n" : events.map { Events.line($0, terminal) }.joined()
            }
        }
        var last = after ?? 0
        var next = answer
        while true {
            try printEvents(next, &last)
            usleep(Events.pollMicroseconds)
            next = try link.call(EventsList(after: last, limit: limit))
        }
    }

    private func printEvents(_ answer: Answer<[EventView]>, _ last: inout UInt64) throws {
        let events = try answer.view()
        if common.json, case .array(let values) = try answer.json {
            for value in values { writeOut(try JSONText.line(value)) }
        } else {
            for event in events { writeOut(Events.line(event, terminal)) }
        }
        last = events.reduce(last) { max($0, $1.id) }
    }

    static func line(_ event: EventView, _ terminal: Terminal) -> String {
        let time = String(event.at.description.dropFirst(11).prefix(12))
        let subject = [event.nodeName ?? event.node?.short, event.worker].compactMap { $0 }.joined(separator: " ")
        let text = [event.kind.rawValue, subject, event.message].filter { !$0.isEmpty }.joined(separator: "  ")
            .printable
        let room = terminal.width.map { max(8, $0 - 14) }
        return terminal.styled(time, .faint) + "  "
            + terminal.styled(room.map { text.cut(to: $0) } ?? text, event.kind.style) + "\n"
    }
}

extension EventView.Kind {
    var style: Terminal.Style {
        switch self {
        case .nodeOnline, .nodeEnrolled, .verdictsReleased, .clockAgrees: .good
        case .nodeSuspect, .nodeRestarted, .verdictsHeld, .verdictChanged, .clockDiffers: .caution
        case .nodeOffline, .nodeRefused: .bad
        case .nodeLeft, .tokenCreated, .tokenRevoked, .workerRequested, .workerStopRequested, .workerRemoved,
            .workerChanged,
            .certificateRenewed, .nodeChanged:
            .plain
        }
    }
}
