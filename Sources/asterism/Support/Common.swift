import ArgumentParser
import Control
import Foundation

/// The options of every verb.
struct Common: ParsableArguments {
    @Flag(help: "Print the answer as JSON, with sorted keys: one document, or a line each while following.")
    var json = false

    @Option(help: ArgumentHelp("The socket of the agent or controller to ask.", valueName: "path"))
    var socket: String?

    @Option(help: ArgumentHelp("The directory of a fleet made by 'asterism dev' (or ASTERISM_DIR).", valueName: "dir"))
    var dir: String?

    @Option(help: ArgumentHelp("With --dir: the agent to ask; by default the first by name.", valueName: "name"))
    var agent: String?

    @Option(help: ArgumentHelp("Seconds to wait for an answer.", valueName: "seconds"))
    var timeout: Double = 10

    func validate() throws {
        guard timeout > 0, timeout <= 86_400 else { throw ValidationError("--timeout must be above 0, in seconds") }
        if agent != nil, directory == nil { throw ValidationError("--agent needs --dir") }
    }

    private var environment: [String: String] { ProcessInfo.processInfo.environment }
    private var directory: String? { dir ?? environment["ASTERISM_DIR"].flatMap { $0.isEmpty ? nil : $0 } }

    /// The sockets of the programs, in the order in which they are tried.
    func places(_ order: [Program]) throws -> [Place] {
        if let socket { return [Place(program: nil, path: socket)] }
        return try order.map { Place(program: $0, path: try path($0)) }
    }

    private func path(_ program: Program) throws -> String {
        switch program {
        case .controller:
            if let directory { return DevDirectory(directory).controllerSocket }
            return set("ASTERISM_CONTROLLER_SOCKET") ?? "/run/asterism-controller/controller.sock"
        case .agent:
            guard let directory else { return set("ASTERISM_SOCKET") ?? "/run/asterism/agent.sock" }
            let folder = DevDirectory(directory)
            guard let name = agent ?? folder.agentNames().first else { return folder.agentSocket("agent-1") }
            return folder.agentSocket(name)
        }
    }

    private func set(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// A link to the first program of the order that answers.
    func link(_ order: Program...) throws -> Link { try Link.open(try places(order), timeout: timeout) }
}
