import Control
import Foundation
import Testing

/// Disks that fill up while the daemons run.
@Suite struct DiskFullTests {
    /// A program whose data folder is a small disk of its own, in a mount namespace.
    private static func start(_ program: String, _ words: [String], data: String, output: String) throws -> Program {
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        let script = #"mount -t tmpfs -o size=512k,mode=0700 tmpfs "$0" && exec "$@""#
        return try Program(
            "/usr/bin/unshare",
            ["--mount", "--propagation", "private", "/bin/sh", "-c", script, data, "\(Program.directory)/\(program)"]
                + words, output: output)
    }

    /// Fills the disk that only the program sees.
    private static func fill(_ program: Program, _ data: String) throws {
        let file = open("/proc/\(program.pid)/root\(data)/full", O_WRONLY | O_CREAT, 0o600)
        guard file >= 0 else { throw Fault.last("\(data)/full") }
        defer { close(file) }
        let bytes = [UInt8](repeating: 0, count: 4096)
        while write(file, bytes, bytes.count) > 0 {}
        guard errno == ENOSPC else { throw Fault.last("filling") }
    }

    private static func critical(_ program: Program) -> [Substring] {
        program.text.split(separator: "\n").filter { $0.contains(" critical ") }
    }

    @Test(.enabled(if: geteuid() == 0, "it mounts small disks"))
    func `an agent whose disk is full ends with status 5 and one line`() throws {
        try Fleet.with(agents: 0) { fleet in
            let data = fleet.path("small"), socket = fleet.agentSocket("small")
            let words = [
                "--config", "none", "--data", data, "--listen", "127.0.0.1:0", "--socket", socket, "--name", "small",
                "--accelerators", "none", "--overlay", "off",
            ]
            let agent = try Self.start("asterismd", words, data: data, output: fleet.path("small.log"))
            try eventually("the agent listens") { agent.text.contains("running") }
            try Self.fill(agent, data)
            _ = try fleet.cli(["join", try fleet.token()], socket: socket)
            #expect(agent.hasEnded(within: 10))
            #expect(agent.exitStatus == 5, "\(agent.endSignal ?? 0): \(agent.text)")
            let lines = Self.critical(agent)
            #expect(
                lines.count == 1 && lines[0].contains("\(data)/membership") && lines[0].contains("ENOSPC"), "\(lines)")
        }
    }

    @Test(.enabled(if: geteuid() == 0, "it mounts small disks"))
    func `a controller whose disk is full ends with status 5 and one line`() throws {
        let root = try temporaryFolder("full")
        defer { try? FileManager.default.removeItem(atPath: root) }
        let data = "\(root)/data", socket = "\(root)/c.sock"
        let words = [
            "--config", "none", "--data", data, "--listen", "127.0.0.1:0", "--socket", socket, "--http", "off",
            "--name",
            "controller",
        ]
        let controller = try Self.start("asterism-controller", words, data: data, output: "\(root)/log")
        try eventually("the controller listens") { controller.text.contains("running") }
        try Self.fill(controller, data)
        // The log of the database has some space that it has reserved before.
        for _ in 0..<200 where controller.isRunning {
            let command = try Program(
                "asterism", ["token", "create", "--socket", socket], output: "\(root)/cli", errors: "\(root)/errors")
            #expect(command.hasEnded(within: 20))
        }
        #expect(controller.hasEnded(within: 10))
        #expect(controller.exitStatus == 5, "\(controller.endSignal ?? 0): \(controller.text)")
        let lines = Self.critical(controller)
        #expect(lines.count == 1 && lines[0].contains("controller.sqlite") && lines[0].contains("ENOSPC"), "\(lines)")
    }
}
