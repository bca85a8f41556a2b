import Foundation

/// What /proc says of a process. A number alone may be given to another process, a number and a start time never within one
/// boot.
struct DevProcess: Hashable {
    var pid: Int32
    /// Clock ticks after the boot: field 22 of /proc/PID/stat, proc_pid_stat(5).
    var startTime: UInt64

    /// `nil` where there is none, or only a zombie. A first thread that has ended while others live is shown as one, too.
    init?(_ pid: Int32) {
        guard let text = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            let end = text.lastIndex(of: ")")
        else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, let start = UInt64(fields[19]) else { return nil }
        if fields[0] == "Z" || fields[0] == "X", Int(fields[17]) ?? 0 <= 1 { return nil }
        self.pid = pid
        startTime = start
    }

    var isAlive: Bool { DevProcess(pid) == self }

    var arguments: [String] { DevProcess.words("/proc/\(pid)/cmdline") }

    /// The value of a variable in the environment it was started with.
    func variable(_ name: String) -> String? {
        DevProcess.words("/proc/\(pid)/environ").first { $0.hasPrefix(name + "=") }.map {
            String($0.dropFirst(name.count + 1))
        }
    }

    private static func words(_ path: String) -> [String] {
        guard let data = FileManager.default.contents(atPath: path) else { return [] }
        return data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    static func all() -> [DevProcess] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap { Int32($0) }.compactMap { DevProcess($0) }
    }
}

/// # What is left of a fleet
///
/// Programs of the fleet are known by their name and an argument that lies in its directory; workers by the marker in their
/// environment, whose nonce is in the launch file of a generation in that directory. Nobody else's process is ever taken
/// for one, `tail -f` of a log in the directory included.
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
