import Control
import Foundation
import Testing
import Wire

/// What an operator types on the machines of a fleet, and what they show.
extension Machine {
    // MARK: Packages

    /// `apt install ./NAME.deb …` as README has it, from files of the packages' folder; fails the test where apt does.
    func install(_ names: [String], from folder: String? = nil) throws {
        let folder = try #require(folder ?? Lab.packages)
        for name in names { try copy("\(folder)/\(name).deb", to: "/root/\(name).deb") }
        let files = names.map { "./\($0).deb" }.joined(separator: " ")
        try shell("apt-get install -y -qq --allow-downgrades \(files)", seconds: 120)
    }

    // MARK: Enrolment

    /// `asterism token create`, whose standard output is the token.
    func token(_ options: String = "") throws -> String {
        let token = try shell("asterism token create \(options)")
        guard token.hasPrefix("ast1-") else { throw Fault("no token: \(token)") }
        return token
    }

    /// `asterism join --token-file -`
    func join(_ token: String) throws -> Outcome {
        try run(["asterism", "join", "--token-file", "-"], input: token + "\n")
    }

    /// Joins, and fails the test where that is refused.
    func enrol(_ token: String) throws {
        let joined = try join(token)
        guard joined.status == 0 else { throw Fault("\(name) joins: \(joined.text)") }
    }

    // MARK: Views

    func nodes() throws -> [NodeView] { try run(["asterism", "nodes", "--json"]).view() }
    func workers() throws -> [WorkerView] { try run(["asterism", "worker", "ps", "--json"]).view() }
    func status() throws -> StatusView { try run(["asterism", "status", "--json"]).view() }

    func worker(_ name: String) throws -> WorkerView {
        try #require(try workers().first { $0.name == name }, "no worker \(name)")
    }

    /// As the controller on this machine sees the node.
    func state(of node: String) throws -> NodeState? { try nodes().first { $0.name == node }?.state }

    @discardableResult
    func waitUntilOnline(_ names: [String], within seconds: Double = 30) throws -> Double {
        var last: [String: NodeState] = [:]
        return try eventually("\(names) online", within: seconds, "\(last)") {
            last = Dictionary(try nodes().map { ($0.name, $0.state) }, uniquingKeysWith: { first, _ in first })
            return names.allSatisfy { last[$0] == .online }
        }
    }

    /// Runs a worker with `asterism worker run OPTIONS` on this machine, the controller's, and returns its pid on its node.
    @discardableResult
    func runWorker(_ name: String, _ options: String) throws -> Int32 {
        try shell("asterism worker run --name \(name) \(options)")
        return try #require(try worker(name).pid)
    }

    // MARK: Processes

    /// The user that a process runs as; `nil` where there is no such process.
    func user(of pid: Int32) throws -> String? {
        let outcome = try run(["ps", "-o", "user:32=", "-p", "\(pid)"])
        return outcome.status == 0 ? outcome.trimmed : nil
    }

    func isAlive(_ pid: Int32) throws -> Bool { try run(["test", "-d", "/proc/\(pid)"]).status == 0 }

    /// The cgroup v2 path of a process.
    func cgroup(of pid: Int32) throws -> String { try shell("sed -n 's/^0:://p' /proc/\(pid)/cgroup") }
}

extension Machine {
    /// No unit has failed, and the sandbox of none of ours ended it.
    func expectNoFailedUnit() throws {
        #expect(try shell("systemctl --failed --no-legend --plain") == "")
        let journal = try shell("journalctl -b 0 --no-pager -u 'asterism*'")
        for failure in ["status=31/SYS", "status=217/USER", "status=219/CGROUP", "status=226/NAMESPACE"] {
            #expect(!journal.contains(failure), "\(journal)")
        }
    }
}

extension Lab {
    /// Installs both packages on the first machine and the agent's on the others, and enrols all: what README documents.
    func makeFleet(tokenOptions: String = "") throws {
        let first = machines[0]
        try first.install(["asterism-controller", "asterism-agent"])
        for machine in machines.dropFirst() { try machine.install(["asterism-agent"]) }
        for machine in machines { try machine.enrol(try first.token(tokenOptions)) }
        try first.waitUntilOnline(machines.map(\.name))
    }
}
