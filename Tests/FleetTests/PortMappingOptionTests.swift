import Base
import Control
import Foundation
import Testing

@Suite struct PortMappingOptionTests {
    private static func agent(_ folder: String, _ words: [String]) throws -> Program {
        try Program(
            "asterismd",
            ["--data", folder, "--listen", "127.0.0.1:0", "--socket", "\(folder).sock", "--accelerators", "none"]
                + words,
            output: "\(folder).log")
    }

    private static func withFolder(_ body: (String) throws -> Void) throws {
        let folder = try temporaryFolder("mapping")
        defer {
            for path in [folder, "\(folder).log", "\(folder).sock"] {
                try? FileManager.default.removeItem(atPath: path)
            }
        }
        try body(folder)
    }

    @Test func `a word that is neither auto nor off is refused with the option's name`() throws {
        try Self.withFolder { folder in
            let agent = try Self.agent(folder, ["--port-mapping", "maybe"])
            #expect(agent.hasEnded(within: 10) && agent.exitStatus == 2)
            #expect(agent.text.contains("--port-mapping: 'maybe' is neither auto nor off"), "\(agent.text)")
        }
    }

    @Test(arguments: ["auto", "off"])
    func
        `a node that listens on loopback asks no gateway and states why, and one with the option off states nothing`(
            mode: String
        ) throws
    {
        try Self.withFolder { folder in
            let agent = try Self.agent(folder, ["--port-mapping", mode])
            defer { agent.end() }
            var view: StatusView?
            try eventually("the agent answers") {
                view = try ask("\(folder).sock", AgentRequest.status)
                return true
            }
            let mapping = view?.portMapping
            #expect((mapping == nil) == (mode == "off"))
            #expect(mapping?.externalAddress == nil && (mode == "off" || mapping?.problem != nil))
            agent.send(SIGTERM)
            #expect(agent.hasEnded(within: 10) && agent.exitStatus == 0)
        }
    }
}
