import Foundation

/// Prints each action as a line of text or of JSON.
struct InstallReport {
    let isJSON: Bool

    private struct Step: Encodable {
        var action: String
        var subject: String
        var note: String?
    }

    /// `action` is a verb in the past tense, such as `wrote`; `subject` a path, a unit or a command.
    func step(_ action: String, _ subject: String, note: String? = nil) {
        if isJSON, let line = try? JSONText.line(Step(action: action, subject: subject, note: note)) {
            writeOut(line)
        } else {
            let padded = action.padding(toLength: max(9, action.count), withPad: " ", startingAt: 0)
            writeOut("\(padded) \(subject)\(note.map { " (\($0))" } ?? "")\n")
        }
    }
}
