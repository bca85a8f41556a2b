package import EventLoop
import Glibc
package import Wire

/// A subtree of cgroup v2 (kernel, Documentation/admin-guide/cgroup-v2.rst) that was handed to the agent:
///
/// ```
/// <root>/shims              every shim
/// <root>/<name>.<number>    one worker's generation, with its limits
/// ```
///
/// The root must not be the agent's own service, or a restart of that would end the workers or fail. Controllers that the
/// root does not have are not used; `Slot.unenforced` then names the limits that hold for each process alone, by
/// setrlimit(2), or not at all.
package struct WorkerCgroups: Sendable {
    package let root: String
    /// Of memory, cpu and pids, those that limit the workers here.
    package let controllers: [String]

    /// Prepares the subtree; an error means that workers run without cgroups.
    package init(root: String) throws(Errno) {
        self.root = root
        if mkdir(root, 0o755) < 0, errno != EEXIST { throw Errno(errno) }
        if mkdir("\(root)/shims", 0o755) < 0, errno != EEXIST { throw Errno(errno) }
        let useful = ["memory", "cpu", "pids"]
        // One at a time: a refused controller would make the others fail too.
        for name in useful { try? WorkerCgroups.put("+\(name)", "\(root)/cgroup.subtree_control") }
        let given = readSmallFile("\(root)/cgroup.subtree_control", limit: 4096) ?? []
        let names = String(decoding: given, as: UTF8.self).split { $0 == " " || $0 == "\n" }.map(String.init)
        controllers = useful.filter { names.contains($0) }
        // Proof that processes may be moved here: the file must be there and writable.
        try succeed(access("\(root)/shims/cgroup.procs", W_OK))
    }

    var shims: String { "\(root)/shims" }

    package func path(_ worker: WorkerRef) -> String { "\(root)/\(worker.name).\(worker.generation)" }

    /// Makes a worker's cgroup with those of its limits that can be enforced.
    func make(_ worker: WorkerRef, _ limits: WorkerLimits) throws(Errno) {
        let path = path(worker)
        if mkdir(path, 0o755) < 0 {
            // A folder left by an incomplete launch is empty; otherwise this fails.
            guard errno == EEXIST else { throw Errno(errno) }
            remove(path)
            try succeed(mkdir(path, 0o755))
        }
        do throws(Errno) {
            if controllers.contains("memory") {
                // If only one process of many is killed, the worker is neither ended nor working.
                try WorkerCgroups.put("1", "\(path)/memory.oom.group")
                if let bytes = limits.memoryBytes { try WorkerCgroups.put("\(bytes)", "\(path)/memory.max") }
            }
            if controllers.contains("cpu"), let millicores = limits.cpuMillicores {
                try WorkerCgroups.put("\(millicores * 100) 100000", "\(path)/cpu.max")
            }
            if controllers.contains("pids"), let processes = limits.processes {
                try WorkerCgroups.put("\(processes)", "\(path)/pids.max")
            }
        } catch {
            rmdir(path)
            throw error
        }
    }

    /// SIGKILL to all in it; returns whether a process is still there.
    func kill(_ worker: WorkerRef) -> Bool {
        let path = path(worker)
        try? WorkerCgroups.put("1", "\(path)/cgroup.kill")
        let text = readSmallFile("\(path)/cgroup.events", limit: 4096) ?? []
        return String(decoding: text, as: UTF8.self).contains("populated 1")
    }

    func remove(_ worker: WorkerRef) { remove(path(worker)) }

    private func remove(_ path: String, depth: Int = 0) {
        guard rmdir(path) < 0, errno == EBUSY || errno == ENOTEMPTY, depth < 32 else { return }
        for name in names(in: path) {
            var status = stat()
            if lstat("\(path)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
                remove("\(path)/\(name)", depth: depth + 1)
            }
        }
        rmdir(path)
    }

    private static func put(_ text: String, _ path: String) throws(Errno) {
        try FileDescriptor.open(path, O_WRONLY).writeAll(text.utf8)
    }
}
