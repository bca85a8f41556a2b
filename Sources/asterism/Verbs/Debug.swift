import ArgumentParser
import Base
import Control
import Foundation
import Wire

struct Debug: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Disturbs paths on purpose, to test failover.", discussion: "Each takes --json.",
        subcommands: [DebugRebind.self, DebugDropPath.self, DebugRelayOnly.self])
}

struct DebugRebind: Verb {
    static let configuration = CommandConfiguration(
        commandName: "rebind", abstract: "Opens the agent's UDP sockets again, as after a change of network.",
        discussion: "Sessions go on; peers and relays follow to the new port, which lasts until the agent is restarted."
    )

    @OptionGroup var common: Common
    @Option(help: "The new port; without it, one that the kernel chooses.") var port: Int?

    func validate() throws {
        if let port, !(1...65_535).contains(port) {
            throw ValidationError("--port must be 1 to 65535, not \(port)")
        }
    }

    func perform() throws {
        let request = RebindSockets(port: port.map { Int64($0) })
        let answer = try common.link(.agent).call(request, repeats: false)
        try show(answer) { view in
            let before = view.before.map { ", no longer at \($0)" } ?? ""
            return "listens at \(view.address.map(String.init(describing:)) ?? "?")\(before)\n"
        }
    }
}

struct DebugDropPath: Verb {
    static let configuration = CommandConfiguration(
        commandName: "drop-path", abstract: "Treats a path to a peer as one that has fallen silent.",
        discussion: """
            Data leaves it at once, and it is not taken back for half a minute, the next time for a minute, and so on up \
            to ten. What the peer sends goes its own way.
            """)

    @OptionGroup var common: Common
    @Argument(help: "A peer's name, overlay address, id, or four or more first digits of its id.") var peer: String
    @Argument(help: "An address with its port, a relay's name or id, 'direct' or 'relay'.") var path: String

    func perform() throws {
        let answer = try common.link(.agent).call(
            DropPath(peer: peer, path: path), repeats: false)
        try show(answer) { Why.text($0, terminal) }
    }
}

struct DebugRelayOnly: Verb {
    static let configuration = CommandConfiguration(
        commandName: "relay-only", abstract: "Sends nothing to a peer but over relays, until it is turned off again.",
        discussion: """
            As it gets no answers directly, the peer goes over as well. It is forgotten when the agent is restarted, and \
            'asterism why' names it as the reason.
            """)

    enum Setting: String, CaseIterable, ExpressibleByArgument {
        case on, off
    }

    @OptionGroup var common: Common
    @Argument(help: "A peer's name, overlay address, id, or four or more first digits of its id.") var peer: String
    @Argument(help: "on or off.") var setting: Setting

    func perform() throws {
        let answer = try common.link(.agent).call(
            RelayOnly(peer: peer, isOn: setting == .on))
        try show(answer) { Why.text($0, terminal) }
    }
}
