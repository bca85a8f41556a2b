import CLinux
import Glibc

/// The worker's folder of cgroup v2 (kernel, Documentation/admin-guide/cgroup-v2.rst), made by the agent, ended here.
struct Cgroup {
    let path: String
    let descriptor: Int32

    init?(_ path: String) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if descriptor < 0 { return nil }
    }

    /// SIGKILL to every process in it and below it, at once, forks included. False where the kernel cannot (before 5.14).
    func kill() -> Bool {
        let file = openat(descriptor, "cgroup.kill", O_WRONLY | O_CLOEXEC)
        if file < 0 { return false }
        defer { close(file) }
        return writeAll(file, [UInt8(ascii: "1")]) == 0
    }

    /// Sends a signal, and SIGCONT after it, to each process in it and below it but `others`. A process that was moved there
    /// is in it without being a descendant of the shim.
    func signal(_ number: Int32, except others: Set<Int32>) {
        for folder in folders {
            for process in processes(folder) where !others.contains(process) {
                let pinned = asterism_pidfd_open(process)
                guard pinned >= 0 else { continue }
                defer { close(pinned) }
                // Read again while it is pinned: the number may have moved to another process.
                guard processes(folder).contains(process) else { continue }
                _ = asterism_pidfd_signal(pinned, number)
                _ = asterism_pidfd_signal(pinned, SIGCONT)
            }
        }
    }

    private func processes(_ folder: String) -> [Int32] {
        let text = String(decoding: readAll("\(folder)/cgroup.procs", limit: 1 << 20) ?? [], as: UTF8.self)
        return text.split(separator: "\n").compactMap { Int32($0) }
    }

    /// It and all cgroups below it.
    private var folders: [String] {
        var all = [path], next = 0
        while next < all.count, all.count < 1024 {
            all += Cgroup.below(all[next]).map { "\(all[next])/\($0)" }
            next += 1
        }
        return all
    }

    /// Whether a process is in it or below it.
    var isPopulated: Bool { value(of: "populated", in: "cgroup.events") != 0 }

    /// How many processes the kernel's OOM killer ended in it; 0 where memory is not controlled.
    var memoryKills: UInt64 { value(of: "oom_kill", in: "memory.events") }

    /// Removes it and the folders that the worker made below it; they must be empty of processes.
    func remove() { Cgroup.remove(path, depth: 0) }

    private static func remove(_ path: String, depth: Int) {
        guard depth < 32, rmdir(path) < 0, errno == EBUSY || errno == ENOTEMPTY else { return }
        for name in below(path) { remove("\(path)/\(name)", depth: depth + 1) }
        rmdir(path)
    }

    /// The names of the cgroups directly below one.
    private static func below(_ path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var below: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if entry.pointee.d_type == UInt8(DT_DIR), name != ".", name != ".." { below.append(name) }
        }
        return below
    }

    private func value(of key: String, in file: String) -> UInt64 {
        let text = String(decoding: readAll(file, in: descriptor, limit: 4096) ?? [], as: UTF8.self)
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count == 2, fields[0] == key { return UInt64(fields[1]) ?? 0 }
        }
        return 0
    }
}
