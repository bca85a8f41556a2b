import Base
import Control
import Foundation
import Testing
import Wire

/// What a reload of the agent's configuration changes in the fleet.
@Suite struct ReloadTests {
    @Test func `a site and labels that are reloaded are those of the fleet's list`() throws {
        try Fleet.with(agents: 0) { fleet in
            let file = fleet.path("agent.yaml")
            func write(_ text: String) throws {
                try text.write(toFile: file, atomically: true, encoding: .utf8)
                chmod(file, 0o644)
            }
            func isDescribed(_ site: String, _ labels: [Label]) throws -> Bool {
                let node = try #require(try fleet.nodes().first)
                return node.site == site && node.labels == labels
            }
            try write("site: one\nlabel: {zone: a, rack: r1}\n")
            try fleet.startAgent("node", token: try fleet.token(), ["--config", file])
            try fleet.waitUntilOnline(1)
            #expect(try isDescribed("one", [Label("rack", "r1"), Label("zone", "a")]))
            let before = try #require(try fleet.nodes().first).id

            try write("site: two\nlabel: {zone: b}\n")
            try fleet.agent("node").send(SIGHUP)
            try eventually("the fleet knows the new site and labels") { try isDescribed("two", [Label("zone", "b")]) }
            #expect(try fleet.agent("node").text.contains("reloaded: site, label\n"))
            #expect(try fleet.nodes().map(\.id) == [before] && fleet.agent("node").isRunning)
        }
    }
}
