import Control
import Foundation
import Testing

/// How a node joins by hand.
@Suite struct JoinTests {
    @Test func `an agent without a token waits, and asterism join enrols it`() throws {
        try Fleet.with(agents: 0) { fleet in
            try fleet.startAgent("waiter")
            try eventually("the agent listens") {
                try fleet.ask("waiter", .status, as: StatusView.self).phase == .unenrolled
            }
            usleep(1_500_000)
            #expect(try fleet.nodes().isEmpty)
            #expect(try fleet.agent("waiter").isRunning)
            let end = try fleet.cli(
                ["join", "--json", "--name", "chosen", try fleet.token()], socket: fleet.agentSocket("waiter"))
            #expect(end.status == 0, "\(end.errors)")
            let view: StatusView = try end.view()
            #expect(view.phase == .member)
            #expect(view.name == "chosen")
            #expect(view.fleet == (try fleet.status().fleet))
            try fleet.waitUntilOnline(1)
            #expect(try fleet.nodes().map(\.name) == ["chosen"])
            let node = try #require(try fleet.nodes().first).id
            // A newer token of the same fleet leads a member to its controller, and enrols nothing.
            let again = try fleet.cli(["join", try fleet.token()], socket: fleet.agentSocket("waiter"))
            #expect(again.status == 0, "\(again.errors)")
            #expect(try fleet.nodes().map(\.name) == ["chosen"])
            // It is a member after a restart, without any token, under the name that it is configured with.
            try fleet.agent("waiter").end()
            try fleet.startAgent("waiter")
            try eventually("the agent is back") {
                try fleet.ask("waiter", .status, as: StatusView.self).phase == .member
            }
            try eventually("and the controller lists it") {
                let nodes = try fleet.nodes()
                return nodes.map(\.id) == [node] && nodes[0].state == .online && nodes[0].name == "waiter"
            }
        }
    }

    @Test func `a name that another node has is refused`() throws {
        try Fleet.with(agents: 1) { fleet in
            try fleet.startAgent("second")
            try eventually("the agent listens") { (try? fleet.counters(agent: "second")) != nil }
            let end = try fleet.cli(
                ["join", "--name", "agent-1", try fleet.token()], socket: fleet.agentSocket("second"))
            #expect(end.status == 1)
            #expect(end.errors.contains("another node of the fleet has this name"), "\(end.errors)")
            #expect(try fleet.counters()["enrolmentsRefused.nameTaken"] == 1)
            #expect(try fleet.nodes().count == 1)
        }
    }

    @Test func `a second agent on one folder is refused, and the first goes on`() throws {
        try Fleet.with(agents: 1) { fleet in
            let second = try Program(
                "asterismd",
                ["--data", fleet.agentData("agent-1"), "--listen", "127.0.0.1:0", "--socket", fleet.path("x.sock")],
                output: fleet.path("second.log"))
            #expect(second.hasEnded(within: 10))
            #expect(second.exitStatus != 0)
            #expect(second.text.contains("--data"), "\(second.text)")
            #expect(try fleet.agent("agent-1").isRunning)
        }
    }
}
