import Foundation

/// The files in the directory of `asterism dev`:
///
/// ```
/// token                        the enrolment token, readable by its owner only
/// controller/controller.sock   its local socket
/// controller/http.sock         its HTTP API, unless --http names a port
/// controller/data/             its store
/// controller/log               its log
/// controller/port              the UDP port it listens on, kept for the next start
/// agents/<name>/agent.sock     and data/ and log, for each agent
/// ```
struct DevDirectory: Equatable {
    let root: String

    init(_ root: String) {
        var root = root
        while root.count > 1, root.hasSuffix("/") { root.removeLast() }
        self.root = root
    }

    var token: String { "\(root)/token" }
    var controller: String { "\(root)/controller" }
    var controllerSocket: String { "\(controller)/controller.sock" }
    var controllerHTTP: String { "\(controller)/http.sock" }
    var agents: String { "\(root)/agents" }
    func agent(_ name: String) -> String { "\(agents)/\(name)" }
    func agentData(_ name: String) -> String { "\(agent(name))/data" }
    func agentSocket(_ name: String) -> String { "\(agent(name))/agent.sock" }

    /// Agents that have a folder, by name, `agent-2` before `agent-10`.
    func agentNames() -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: agents)) ?? []
        return names.sorted { ($0.count, $0) < ($1.count, $1) }
    }
}
