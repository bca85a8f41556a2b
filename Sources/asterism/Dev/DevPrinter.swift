import Base
import Control
import Foundation

/// Prints the events of a fleet for development: one plain line each for people, one JSON object a line for programs.
struct DevPrinter {
    let isJSON: Bool
    let terminal: Terminal

    /// A line of the JSON form. `text` is for people; the rest is there where it applies.
    private struct Line: Encodable {
        /// `note`, `event`, `step` or `error`.
        var kind: String
        var text: String
        var isObserved: Bool?
        var seconds: Double?
        var event: EventView?
    }

    func note(_ text: String) { printLine(Line(kind: "note", text: text), text) }

    func event(_ event: EventView) {
        let line = Events.line(event, isJSON ? Terminal(width: nil, hasColour: false) : terminal)
        printLine(Line(kind: "event", text: event.message, event: event), String(line.dropLast()))
    }

    func step(_ text: String, isObserved: Bool, seconds: Double) {
        let time = seconds < 1 ? "\(Int(seconds * 1000)) ms" : "\(Double(Int(seconds * 10)) / 10) s"
        let sign = terminal.styled(isObserved ? "✓" : "✗", isObserved ? .good : .bad)
        let rounded = Double(Int(seconds * 1000)) / 1000
        printLine(
            Line(kind: "step", text: text, isObserved: isObserved, seconds: rounded),
            "\(sign) \(text.printable) \(terminal.styled("(\(time))", .faint))")
    }

    func error(_ text: String) {
        if isJSON { printLine(Line(kind: "error", text: text), text) } else { writeError("asterism: error: \(text)") }
    }

    private func printLine(_ line: Line, _ text: String) {
        // Strings, numbers and views always encode; a number of seconds is finite.
        writeOut(isJSON ? try! JSONText.line(line) : text + "\n")
    }
}
