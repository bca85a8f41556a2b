import Foundation
import Testing

@testable import asterism

/// The keeper of the workers' cgroup, on what /proc shows of each layout of cgroups. The mount point is a directory here.
@Suite struct WorkersKeeperTests {
    /// A process with its own /proc files, as a script that was started with them.
    private struct Layout {
        var name: String
        /// Lines of /proc/self/cgroup.
        var cgroup: String
        /// Lines of /proc/self/mountinfo; MOUNT stands for the directory of the mounts.
        var mounts: String
        /// The unit's cgroup below that directory, which is there before the start.
        var directory: String?
        /// Where the keeper must be; `nil` where there is nothing to keep.
        var keeper: String?
    }

    private static let unit = "asterism.slice/asterism-workers.service"

    private static let layouts = [
        Layout(
            name: "cgroup v2 alone", cgroup: "0::/\(unit)\n",
            mounts: "30 24 0:26 / MOUNT rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n", directory: unit,
            keeper: "\(unit)/keeper"),
        Layout(
            name: "cgroup v2 with one mount of v1", cgroup: "1:net_cls:/x\n0::/\(unit)\n",
            mounts: """
                24 1 0:22 / /sys rw shared:7 - sysfs sysfs rw
                30 24 0:26 / MOUNT rw,nosuid shared:9 master:3 - cgroup2 cgroup2 rw
                40 30 0:36 / /mnt/net_cls rw - cgroup net_cls rw,net_cls

                """, directory: unit, keeper: "\(unit)/keeper"),
        Layout(
            name: "hybrid", cgroup: "9:name=systemd:/\(unit)\n4:memory:/\(unit)\n0::/\(unit)\n",
            mounts: """
                31 23 0:28 / MOUNT rw - tmpfs tmpfs rw,mode=755
                35 31 0:32 / MOUNT/memory rw - cgroup cgroup rw,memory
                41 31 0:38 / MOUNT/unified rw - cgroup2 cgroup2 rw

                """, directory: "unified/\(unit)", keeper: "unified/\(unit)/keeper"),
        Layout(
            name: "a part of the hierarchy, as a container without a cgroup namespace sees it",
            cgroup: "0::/machine.slice/box.scope/\(unit)\n",
            mounts: "30 24 0:26 /machine.slice/box.scope MOUNT rw - cgroup2 cgroup2 rw\n", directory: unit,
            keeper: "\(unit)/keeper"),
        Layout(
            name: "cgroup v1 alone", cgroup: "4:memory:/\(unit)\n1:name=systemd:/\(unit)\n",
            mounts: "35 31 0:32 / MOUNT rw - cgroup cgroup rw,memory\n", directory: unit, keeper: nil),
        Layout(
            name: "cgroup v1 with a membership of v2 that is mounted nowhere",
            cgroup: "4:memory:/\(unit)\n0::/\(unit)\n",
            mounts: "35 31 0:32 / MOUNT rw - cgroup cgroup rw,memory\n", directory: unit, keeper: nil),
        Layout(
            name: "a mount that does not hold the membership", cgroup: "0::/\(unit)\n",
            mounts: "30 24 0:26 / MOUNT rw - cgroup2 cgroup2 rw\n", directory: nil, keeper: nil),
    ]

    @Test(arguments: layouts.indices)
    func `the keeper moves to a leaf of the cgroup v2 that it is in, and stays`(_ index: Int) throws {
        let layout = WorkersKeeperTests.layouts[index]
        let folder = try TemporaryFolder()
        let mount = folder.path("cgroup")
        let proc = folder.path("proc")
        for directory in [mount, proc, layout.directory.map { "\(mount)/\($0)" }].compactMap(\.self) {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        }
        _ = try folder.write("proc/cgroup", layout.cgroup)
        _ = try folder.write("proc/mountinfo", layout.mounts.replacing("MOUNT", with: mount))
        let script = try folder.write(
            "keeper", String(decoding: PackageResources.asterism_workers_keeper, as: UTF8.self))

        let errors = folder.path("errors")
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT, 0o600)
        let pid = try WorkersKeeperTests.spawn(["/bin/sh", script, "keep", proc], &actions)
        var isKept = false
        for _ in 0..<1000 where !isKept {
            isKept = (try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)) == "sleep\n"
            if !isKept { usleep(10_000) }
        }
        var status: Int32 = 0
        let isRunning = waitpid(pid, &status, WNOHANG) == 0
        if isRunning {
            kill(pid, SIGKILL)
            waitpid(pid, &status, 0)
        }
        let reported = try String(contentsOfFile: errors, encoding: .utf8)
        #expect(isKept && isRunning && reported.isEmpty, "\(layout.name): \(reported)")

        let walk = FileManager.default.enumerator(atPath: mount)?.allObjects as? [String] ?? []
        let members = walk.filter { $0.hasSuffix("cgroup.procs") }
        #expect(members == (layout.keeper.map { ["\($0)/cgroup.procs"] } ?? []), "\(layout.name)")
        if let keeper = layout.keeper {
            let text = try String(contentsOfFile: "\(mount)/\(keeper)/cgroup.procs", encoding: .utf8)
            #expect(text == "\(pid)\n", "\(layout.name)")
        }
    }

    /// Starts a program in the background; the processes of this test are its own.
    private static func spawn(
        _ words: [String], _ actions: UnsafePointer<posix_spawn_file_actions_t>? = nil
    ) throws -> pid_t {
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { arguments.forEach { free($0) } }
        // Threads of the test library block signals, and a program inherits that.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t(), all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF))
        var pid: pid_t = 0
        try #require(posix_spawn(&pid, words[0], actions, &attributes, &arguments, environ) == 0)
        return pid
    }

    @Test func `a stop of the workers' unit ends workers in the agent's cgroup, and nothing else`() throws {
        let folder = try TemporaryFolder()
        let workers = try (0..<2).map { _ in try WorkersKeeperTests.spawn(["/bin/sleep", "600"]) }
        // One that ignores the first signal is killed.
        let stubborn = try WorkersKeeperTests.spawn(["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"])
        let agent = try WorkersKeeperTests.spawn(["/bin/sleep", "600"])
        let other = try WorkersKeeperTests.spawn(["/bin/sleep", "600"])
        let guest = try WorkersKeeperTests.spawn(["/bin/sleep", "600"])
        let unit = "/asterism.slice/asterismd.service\n"
        for (pid, name, cgroup) in [
            (workers[0], "sleep", "0::\(unit)"), (workers[1], "sleep", "4:memory:/x\n1:name=systemd:\(unit)"),
            (stubborn, "sh", "0::\(unit)"), (agent, "asterismd", "0::\(unit)"),
            (other, "sleep", "0::/system.slice/other-asterismd.service.d\n"),
            (guest, "sleep", "0::/machine.slice/box.service/payload\(unit)"),
        ] {
            let directory = folder.path("proc/\(pid)")
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            _ = try folder.write("proc/\(pid)/cgroup", cgroup)
            _ = try folder.write("proc/\(pid)/comm", name + "\n")
        }
        let script = try folder.write(
            "keeper", String(decoding: PackageResources.asterism_workers_keeper, as: UTF8.self))
        let keeper = try WorkersKeeperTests.spawn(["/bin/sh", script, "end", folder.path("proc")])
        var status: Int32 = 0
        for pid in workers {
            #expect(waitpid(pid, &status, 0) == pid && status & 0x7f == SIGTERM)
            // As the kernel does when a process is gone.
            try FileManager.default.removeItem(atPath: folder.path("proc/\(pid)"))
        }
        #expect(waitpid(stubborn, &status, 0) == stubborn && status & 0x7f == SIGKILL)
        #expect(waitpid(keeper, &status, 0) == keeper && status == 0)
        for pid in [agent, other, guest] {
            #expect(waitpid(pid, &status, WNOHANG) == 0)
            kill(pid, SIGKILL)
            waitpid(pid, &status, 0)
        }
    }

    /// A worker that gets two signals may treat the second one as an order to give up at once.
    @Test func `a stop of the workers' unit signals shims, and workers only when no shim is left`() throws {
        let folder = try TemporaryFolder()
        func signals(_ name: String) -> Int {
            (try? String(contentsOfFile: folder.path(name), encoding: .utf8))?.utf8.count ?? 0
        }
        func counting(_ name: String) throws -> pid_t {
            let path = folder.path(name)
            let pid = try WorkersKeeperTests.spawn([
                "/bin/sh", "-c", "trap 'printf x >>\(path)' TERM; : >\(path).ready; while :; do sleep 0.05; done",
            ])
            for _ in 0..<1000 where access("\(path).ready", F_OK) != 0 { usleep(10_000) }
            return pid
        }
        let shim = try counting("shim"), worker = try counting("worker")
        for (pid, name) in [(shim, "asterism-shim"), (worker, "sh")] {
            try FileManager.default.createDirectory(
                atPath: folder.path("proc/\(pid)"), withIntermediateDirectories: true)
            _ = try folder.write("proc/\(pid)/cgroup", "0::/asterism.slice/asterismd.service\n")
            _ = try folder.write("proc/\(pid)/comm", name + "\n")
        }
        let script = try folder.write(
            "keeper", String(decoding: PackageResources.asterism_workers_keeper, as: UTF8.self))
        let keeper = try WorkersKeeperTests.spawn(["/bin/sh", script, "end", folder.path("proc")])
        for _ in 0..<1000 where signals("shim") == 0 { usleep(10_000) }
        usleep(1_500_000)
        #expect(signals("shim") == 1)
        #expect(signals("worker") == 0)
        // The shim is gone.
        try FileManager.default.removeItem(atPath: folder.path("proc/\(shim)"))
        for _ in 0..<1000 where signals("worker") == 0 { usleep(10_000) }
        #expect(signals("worker") == 1)
        try FileManager.default.removeItem(atPath: folder.path("proc/\(worker)"))
        var status: Int32 = 0
        #expect(waitpid(keeper, &status, 0) == keeper && status == 0)
        for pid in [shim, worker] {
            kill(pid, SIGKILL)
            waitpid(pid, &status, 0)
        }
    }
}
