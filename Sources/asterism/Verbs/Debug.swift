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
        discussion: "Sessions continue. Peers and relays use the new port, until the agent is restarted."
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
        commandName: "drop-path", abstract: "Blocks a path to a peer as if it had failed.",
        discussion: """
            Data leaves the path at once. It is not used again for half a minute, the next time for a minute, and so \
            on up to ten minutes. The peer still chooses its own path.
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
        commandName: "relay-only", abstract: "Uses only relays to reach a peer, until it is turned off.",
        discussion: """
            The peer gets no direct answers, so it uses relays too. The setting lasts until the agent is restarted. \
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
