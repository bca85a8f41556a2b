import ArgumentParser
import Base

@main
struct Asterism: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "asterism",
        abstract: "Inspects and operates an Asterism fleet.",
        discussion: """
            Each verb takes --json. Verbs about workers, nodes, tokens and events ask the controller; status, peers \
            and gpu ask this machine's agent, or the controller where there is no agent; ping, why, netcheck, debug, \
            capture, top, bench and join ask the agent.

            Sockets: --socket, else --dir, else ASTERISM_SOCKET (agent) and ASTERISM_CONTROLLER_SOCKET, else \
            /run/asterism/agent.sock and /run/asterism-controller/controller.sock.

            Exit status:
            \(Exit.table)
            """,
        version: AsterismVersion.current,
        subcommands: [
            Dev.self, Token.self, Join.self, Status.self, Nodes.self, NodeDetail.self, Peers.self, Ping.self,
            Why.self, Netcheck.self, Debug.self, Capture.self, Top.self, Bench.self, Worker.self, GPU.self,
            Events.self, VersionVerb.self, Install.self, Uninstall.self, BenchServe.self,
        ])

    static func main() {
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            Exit.finish(error)
        }
    }
}
