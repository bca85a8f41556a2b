import Foundation
import Testing

/// A third-party distributed program, on the mesh alone.
extension OverlayTests {
    private static let script = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Overlay/ray.sh").standardizedFileURL.path()

    /// What the download needs, and the way to the programs.
    private static let environment = ProcessInfo.processInfo.environment.filter { name, _ in
        name == "TMPDIR" || name.hasPrefix("PIP_") || name.lowercased().hasSuffix("_proxy")
    }.merging(["ASTERISM_PROGRAMS": Program.directory]) { $1 }

    @Test(
        .enabled(if: ProcessInfo.processInfo.environment["ASTERISM_RAY"] == "1", "downloads Ray: set ASTERISM_RAY=1"))
    func `a Ray cluster runs over the mesh`() throws {
        let output = "/tmp/asterism-ray-\(getpid()).log"
        defer { unlink(output) }
        let program = try Program(
            "/bin/bash", [Self.script], output: output, environment: Self.environment)
        // Most of it is the download.
        let hasEnded = program.hasEnded(within: 600)
        if !hasEnded {
            // It removes what it made.
            kill(program.pid, SIGTERM)
            _ = program.hasEnded(within: 20)
        }
        try #require(hasEnded, "\(program.text)")
        if program.exitStatus == 77 { try Test.cancel("\(program.text)") }
        #expect(program.exitStatus == 0, "\(program.text)")
        Self.notify("Ray:\n\(program.text)")
    }
}
