import Foundation

/// Properties of the standard output: its width, and whether colour is used. Colour is for terminals only, and is not
/// used where NO_COLOR is set (https://no-color.org) or the terminal is dumb.
struct Terminal {
    /// Columns; `nil` where output goes to a file or a pipe, which is never cut.
    var width: Int?
    var hasColour: Bool
    /// Lines; `nil` where it is not known.
    var rows: Int?
    /// Whether earlier output can be overwritten.
    var isRedrawable = false

    static func standardOutput(_ environment: [String: String] = ProcessInfo.processInfo.environment) -> Terminal {
        guard isatty(STDOUT_FILENO) == 1 else { return Terminal(width: nil, hasColour: false) }
        var size = winsize()
        let isKnown = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        let columns = environment["COLUMNS"].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
        let isDumb = environment["TERM"] == "dumb"
        return Terminal(
            width: isKnown ? Int(size.ws_col) : columns ?? 80,
            hasColour: (environment["NO_COLOR"] ?? "").isEmpty && !isDumb,
            rows: isKnown && size.ws_row > 0 ? Int(size.ws_row) : nil, isRedrawable: !isDumb)
    }

    /// The meaning of a colour, not the colour itself.
    enum Style {
        case plain, good, caution, bad, faint, heading

        var code: String? {
            switch self {
            case .plain: nil
            case .good: "32"
            case .caution: "33"
            case .bad: "31"
            case .faint: "2"
            case .heading: "1"
            }
        }
    }

    func styled(_ text: String, _ style: Style) -> String {
        guard hasColour, let code = style.code, !text.isEmpty else { return text }
        return "\u{1b}[\(code)m\(text)\u{1b}[0m"
    }
}
