/// # How programs end
///
/// The exit statuses of `asterism`, `asterismd` and `asterism-controller`. Scripts and units rely on them, so they do not
/// change; a new reason gets a new number.
package enum ExitStatus: Int32, CaseIterable, Sendable {
    case ok = 0
    /// The fleet refused, or the result is a failure. Of a daemon: permission denied, or damaged or foreign state.
    case refused = 1
    /// The command line or a file is wrong; nothing was asked of the fleet.
    case usage = 2
    /// Neither the agent nor the controller could be reached.
    case unreachable = 3
    case notFound = 4
    /// No answer in time, or cannot be done now; trying later may help.
    case unavailable = 5

    /// The meaning for users of the command line.
    package var meaning: String {
        switch self {
        case .ok: "done"
        case .refused: "refused by the fleet, or what was asked for failed"
        case .usage: "wrong command line, file or value"
        case .unreachable: "cannot connect to the agent or controller"
        case .notFound: "no such node, worker, token or peer"
        case .unavailable: "no answer in time, or not possible now"
        }
    }

    /// The meaning for the agent and the controller; `nil` for a status that they never exit with.
    package var daemonMeaning: String? {
        switch self {
        case .ok: "stopped by a signal"
        case .refused: "refused: permission denied, or damaged or foreign state"
        case .usage: "wrong option, configuration file or value"
        case .unavailable: "not possible now: a port or the state folder is in use, or the disk is full"
        case .unreachable, .notFound: nil
        }
    }

    /// The part of a daemon's `--help` that documents the statuses.
    package static let daemonTable = allCases.compactMap { status in
        status.daemonMeaning.map { "  \(status.rawValue)  \($0)" }
    }.joined(separator: "\n")

    package init(_ code: APIError.Code) {
        switch code {
        case .notFound: self = .notFound
        case .invalid: self = .usage
        case .conflict, .refused, .limit: self = .refused
        case .unavailable, .timeout: self = .unavailable
        }
    }
}
