import ArgumentParser

/// What is installed on a machine: the agent, the controller, or each in turn.
enum InstallRole: String, CaseIterable, ExpressibleByArgument {
    case agent, controller

    /// The program that the role's main unit runs.
    var daemon: String {
        switch self {
        case .agent: "asterismd"
        case .controller: "asterism-controller"
        }
    }

    /// The programs of the role. Both roles have the command line: a controller is operated with it.
    var programs: [String] {
        switch self {
        case .agent: ["asterism", "asterismd", "asterism-shim"]
        case .controller: ["asterism", "asterism-controller"]
        }
    }

    /// The unit that is restarted when its program is replaced.
    var service: String { "\(daemon).service" }

    /// The unit that is only started, because a restart ends what it holds: the workers of this node.
    var lastingService: String? { self == .agent ? "asterism-workers.service" : nil }

    /// The units in the order of their start.
    var services: [String] { [lastingService, service].compactMap { $0 } }

    var configuration: String { "/etc/asterism/\(rawValue).yaml" }

    /// Where the units keep state: StateDirectory= and RuntimeDirectory=.
    var stateDirectories: [String] {
        switch self {
        case .agent: ["/var/lib/asterism", "/run/asterism"]
        case .controller: ["/var/lib/asterism-controller", "/run/asterism-controller"]
        }
    }

    /// Debian's package with the same files.
    var package: String { "asterism-\(rawValue)" }
}
