import Foundation
import Testing

@testable import asterism

@Suite struct DevTests {
    @Test func `without the other programs next to it, dev names the missing ones`() throws {
        let folder = try TemporaryFolder()
        // A link would be followed by /proc/self/exe; a copy lies alone. Another process makes it: what is open for
        // writing here may be so in a child that another test is just starting, and cannot be executed then.
        let copy = try DevProgram(
            name: "cp", ["/bin/cp", CommandRun.program, folder.path("asterism")], log: folder.path("log"))
        try #require(copy.hasEnded(within: 30) && copy.ending == "exit status 0")
        let program = try DevProgram(name: "dev", [folder.path("asterism"), "dev", "--demo"], log: folder.path("log"))
        #expect(program.hasEnded(within: 30))
        #expect(program.ending == "exit status 2")
        let lines = program.logTail(10)
        #expect(lines.count == 3)
        for (line, name) in zip(lines, ["asterism-controller", "asterismd", "asterism-shim"]) {
            #expect(line.contains("\(folder.path(name)) is missing"))
        }
    }

    @Test func `a worker of the directory is found by its marker, and nobody else's is`() throws {
        let folder = try TemporaryFolder()
        let directory = DevDirectory(folder.root)
        let generation = "\(directory.agentData("agent-1"))/workers/w/3"
        try FileManager.default.createDirectory(atPath: generation, withIntermediateDirectories: true)
        let nonce: UInt64 = 0x0123_4567_89ab_cdef
        var launch = Data("asterism".utf8)
        withUnsafeBytes(of: nonce.bigEndian) { launch.append(contentsOf: $0) }
        try launch.write(to: URL(filePath: "\(generation)/launch"))
        func start(_ marker: String) throws -> DevProgram {
            try DevProgram(
                name: "w", ["/usr/bin/env", "ASTERISM_WORKER=\(marker)", "/bin/sleep", "30"], log: folder.path("log"))
        }
        let ours = try start("w/3/0123456789abcdef"), foreign = try start("w/3/0123456789abcdee")
        let reader = try DevProgram(name: "r", ["/usr/bin/tail", "-f", folder.path("log")], log: folder.path("log2"))
        defer { for program in [ours, foreign, reader] { program.send(SIGKILL) } }
        var found: [Int32] = []
        for _ in 0..<200 where found.isEmpty {
            usleep(10_000)
            found = DevLeftovers(directory: directory).find().map(\.pid)
        }
        #expect(found == [ours.pid])
        ours.send(SIGKILL)
        #expect(ours.hasEnded(within: 5))
        #expect(ours.ending == "killed by signal 9")
        #expect(DevLeftovers(directory: directory).find().isEmpty)
    }

    @Test func `a process is one with its start time, and a zombie is none`() throws {
        let folder = try TemporaryFolder()
        let program = try DevProgram(name: "s", ["/bin/sleep", "30"], log: folder.path("log"))
        let process = try #require(DevProcess(program.pid))
        #expect(process.isAlive)
        // The kernel lets the parent continue before the new program's command line can be read.
        for _ in 0..<500 where process.arguments.isEmpty { usleep(1000) }
        #expect(process.arguments.last == "30")
        var other = process
        other.startTime += 1
        #expect(!other.isAlive)
        kill(program.pid, SIGKILL)
        for _ in 0..<500 where process.isAlive { usleep(10_000) }
        // Not waited for yet, and no longer alive.
        #expect(!process.isAlive)
        #expect(program.hasEnded(within: 5))
    }

    @Test func `agents are listed by number`() throws {
        let folder = try TemporaryFolder()
        for name in ["agent-10", "agent-2", "agent-1"] {
            try FileManager.default.createDirectory(
                atPath: folder.path("agents/\(name)"), withIntermediateDirectories: true)
        }
        #expect(DevDirectory(folder.root + "/").agentNames() == ["agent-1", "agent-2", "agent-10"])
    }
}
