import Foundation

/// What /proc states of a process. A number alone may be given to another process, a number and a start time never within one
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
