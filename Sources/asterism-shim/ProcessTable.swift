import CLinux
import Glibc

/// What /proc states of other processes. Every answer may be stale when it is read; only a pidfd pins a process.
enum ProcessTable {
    struct Entry {
        var state: UInt8
        var parent: Int32
        var threads: UInt64
        /// Clock ticks since the boot.
        var start: UInt64

        /// It has ended and waits for its parent. One whose first thread has ended, while others work on, is in the
        /// same state, and alive.
        var isZombie: Bool { (state == UInt8(ascii: "Z") || state == UInt8(ascii: "X")) && threads <= 1 }
    }

    /// /proc/PID/stat (proc_pid_stat(5)). The name in parentheses may hold anything, so the fields are counted from the
    /// last one.
    static func entry(_ process: Int32) -> Entry? {
        guard let text = readAll("/proc/\(process)/stat", limit: 4096),
            let end = text.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let fields = text[(end + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 19, let state = fields[0].first, let parent = number(fields[1]),
            let threads = number(fields[17]), let start = number(fields[19])
        else { return nil }
        return Entry(state: state, parent: Int32(truncatingIfNeeded: parent), threads: threads, start: start)
    }

    static var bootID: String {
        let bytes = readAll("/proc/sys/kernel/random/boot_id", limit: 64) ?? []
        return String(decoding: bytes.filter { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
    }

    /// The children of one process, by `/proc/PID/task/TID/children` of all its threads. The kernel promises a complete
    /// list only while nothing ends or forks; callers ask again. `nil` where the kernel has no such file.
    static func children(of process: Int32) -> [Int32]? {
        guard hasChildrenFiles else { return nil }
        var all: [Int32] = []
        for thread in numbers(in: "/proc/\(process)/task") {
            let text = readAll("/proc/\(process)/task/\(thread)/children", limit: 1 << 20) ?? []
            for field in text.split(separator: UInt8(ascii: " ")) {
                if let child = number(field) { all.append(Int32(truncatingIfNeeded: child)) }
            }
        }
        return all
    }

    /// CONFIG_PROC_CHILDREN.
    private static let hasChildrenFiles = access("/proc/self/task/\(getpid())/children", R_OK) == 0

    /// The names in a folder that are numbers: processes in /proc, threads in /proc/PID/task.
    static func numbers(in path: String) -> [Int32] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var all: [Int32] = []
        while let entry = readdir(folder) {
            let digits = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if let value = number(digits[...]) { all.append(Int32(truncatingIfNeeded: value)) }
        }
        return all
    }

    private static func number(_ text: ArraySlice<UInt8>) -> UInt64? {
        guard !text.isEmpty, text.count < 20 else { return nil }
        var value: UInt64 = 0
        for byte in text where byte != UInt8(ascii: "\n") {
            guard (48...57).contains(byte) else { return nil }
            value = value * 10 + UInt64(byte - 48)
        }
        return value
    }
}
