import Control
import Foundation
import Testing
import Wire

/// Workers of other users, as a fleet runs them whose agent has the umask and the folders of the shipped unit.
@Suite(.enabled(if: geteuid() == 0, "only root may run workers as other users")) struct OtherUserTests {
    private static let script = ["/bin/sh", "-c", "id -u; touch here && ls"]

    private static func runs(_ fleet: Fleet, _ name: String) throws {
        try fleet.run(name, script) { $0.user = "nobody" }
        try fleet.wait(for: name, .succeeded)
        #expect(try fleet.log(name) == Array("65534\nhere\n".utf8))
    }

    @Test func `user nobody runs in a folder of its own under umask 077 and StateDirectoryMode 0700`() throws {
        let mask = umask(0o077)
        defer { umask(mask) }
        try Fleet.with(agents: 1) { fleet in
            // The fleet's own folder has mode 0700, and is above the agent's.
            let refused = #expect(throws: APIError.self) {
                try fleet.run("early", Self.script) { $0.user = "nobody" }
            }
            #expect(refused?.field?.hasSuffix("workingDirectory") == true)
            #expect(
                refused?.message.contains("user 65534 may not pass through '\(fleet.root)'") == true,
                "\(refused as Any)")
            #expect(try fleet.workers().isEmpty)
            chmod(fleet.root, 0o711)
            try Self.runs(fleet, "first")
            // As systemd sets it at each start.
            try fleet.agent("agent-1").end()
            chmod(fleet.agentData("agent-1"), 0o700)
            try fleet.startAgent("agent-1")
            try eventually("the agent is back") {
                try fleet.ask("agent-1", .workersList, as: [WorkerView].self).count == 1
            }
            try Self.runs(fleet, "second")
        }
    }
}
