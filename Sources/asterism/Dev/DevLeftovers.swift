import Foundation

/// # What is left of a fleet
///
/// Programs of the fleet are identified by their name and an argument that is a path in its directory. Workers are
/// identified by the marker in their environment: its nonce is in the launch file of a generation in that directory. Other
/// processes, such as `tail -f` of a log in the directory, never match.
struct DevLeftovers {
    let directory: DevDirectory

    private static let programs = ["asterismd", "asterism-controller", "asterism-shim"]

    func find() -> [DevProcess] {
        let launches = launchFiles()
        return DevProcess.all().filter { $0.pid != getpid() && (isProgram($0) || isWorker($0, launches)) }
    }

    private func isProgram(_ process: DevProcess) -> Bool {
        let arguments = process.arguments
        guard let program = arguments.first?.split(separator: "/").last, DevLeftovers.programs.contains(String(program))
        else { return false }
        return arguments.dropFirst().contains { $0.hasPrefix(directory.root + "/") }
    }

    private func isWorker(_ process: DevProcess, _ launches: [String: [Data]]) -> Bool {
        guard let marker = process.variable("ASTERISM_WORKER") else { return false }
        let parts = marker.split(separator: "/")
        guard parts.count == 3, let nonce = UInt64(parts[2], radix: 16) else { return false }
        let bytes = withUnsafeBytes(of: nonce.bigEndian) { Data($0) }
        return (launches["\(parts[0])/\(parts[1])"] ?? []).contains { $0.range(of: bytes) != nil }
    }

    /// The launch files of each worker's generation, by `name/generation`.
    private func launchFiles() -> [String: [Data]] {
        let manager = FileManager.default
        func entries(_ path: String) -> [String] { (try? manager.contentsOfDirectory(atPath: path)) ?? [] }
        var found: [String: [Data]] = [:]
        for agent in entries(directory.agents) {
            let workers = "\(directory.agentData(agent))/workers"
            for name in entries(workers) {
                for generation in entries("\(workers)/\(name)") {
                    guard let data = manager.contents(atPath: "\(workers)/\(name)/\(generation)/launch") else {
                        continue
                    }
                    found["\(name)/\(generation)", default: []].append(data)
                }
            }
        }
        return found
    }
}
