import Base
import Daemon
import EventLoop
import Glibc
import Testing
import Wire

/// What /proc/self/mountinfo and /proc/self/cgroup hold of cgroups, recorded with Linux 6.18 in mount namespaces that were
/// made for it: `umount` of one of the hierarchies, `mount -t cgroup2`, `mount -t cgroup -o net_cls`.
private enum Recorded {
    static let pure = """
        91 90 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw

        """
    static let hybrid = """
        31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
        36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
        40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw

        """
    static let v1Only = """
        91 90 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
        92 91 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
        100 91 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd

        """
    static let withNetClass = """
        91 90 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw
        92 87 0:39 / /run/nc rw,relatime - cgroup none rw,net_cls

        """
    static let withNetClassBefore = """
        92 87 0:39 / /run/nc rw,relatime - cgroup none rw,net_cls
        91 90 0:38 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw

        """
    static let v1Lines = "13:net_cls:/\n9:name=systemd:/\n4:memory:/process_api/7cb6\n1:cpu:/\n"
}

@Suite struct WorkerCgroupChoiceTests {
    private static let unit = "asterism.slice/asterism-workers.service"
    private static let mounts: [(text: String, root: String?)] = [
        (Recorded.pure, "/sys/fs/cgroup"), (Recorded.hybrid, "/sys/fs/cgroup/unified"), (Recorded.v1Only, nil),
        (Recorded.withNetClass, "/sys/fs/cgroup"), (Recorded.withNetClassBefore, "/sys/fs/cgroup"),
    ]

    @Test(arguments: 0..<5)
    func `auto finds the unit's cgroup below the mount of cgroup v2`(index: Int) {
        let (text, mount) = Self.mounts[index]
        let mounts = ControlGroup.mountPoints(inMountInfo: text)
        #expect(mounts == [mount].compactMap { $0 })
        let found = WorkerCgroupChoice.find(mounts: mounts) { _ in nil }
        #expect(found.root == mount.map { "\($0)/\(Self.unit)" })
        #expect((found.problem == "cgroup v2 is not mounted") == (mount == nil))
        // The unit is not there, or was not delegated: no cgroup, and the reason with its place.
        let missing = WorkerCgroupChoice.find(mounts: mounts) { _ in Errno(ENOENT) }
        #expect(missing.root == nil)
        if let mount { #expect(missing.problem == "\(mount)/\(Self.unit): \(Errno(ENOENT).message)") }
    }

    @Test func `auto takes the first mount that has the unit`() {
        let found = WorkerCgroupChoice.find(mounts: ["/a", "/b", "/c"]) { $0.hasPrefix("/a/") ? Errno(EACCES) : nil }
        #expect(found == .init(root: "/b/\(Self.unit)", problem: nil))
    }

    @Test func `of a process's cgroups only the line of v2 counts`() {
        #expect(ControlGroup.ownPath(inCgroup: Recorded.v1Lines + "0::/asterism.slice/x\n") == "/asterism.slice/x")
        #expect(ControlGroup.ownPath(inCgroup: "0::/\n" + Recorded.v1Lines) == "/")
        #expect(ControlGroup.ownPath(inCgroup: Recorded.v1Lines) == nil)
    }

    @Test func `the option is auto, off or a directory of cgroup v2`() throws {
        #expect(try WorkerCgroupChoice(parsing: "auto") == .auto && WorkerCgroupChoice(parsing: "off") == .off)
        #expect(try WorkerCgroupChoice.off.find() == .init())
        #expect(try WorkerCgroupChoice(parsing: "/x") == .path("/x"))
        for text in ["", "on", "relative/path"] {
            let error = #expect(throws: StartError.self) { try WorkerCgroupChoice(parsing: text) }
            #expect(error?.option == "--workers-cgroup" && error?.message.contains("'\(text)'") == true)
        }
        for path in ["/tmp", "/tmp/nothing", "/nowhere/at/all", "/sys/fs/cgroup/freezer"] {
            let error = #expect(throws: StartError.self) { try WorkerCgroupChoice.path(path).find() }
            #expect(error?.message.contains("'\(path)' is not a directory of cgroup v2") == true)
        }
    }

    @Test(.enabled(if: testCgroup != nil, "no writable cgroup v2 on this machine"))
    func `a directory of cgroup v2 is taken, also one that is still to be made`() throws {
        let root = testCgroup!
        #expect(try WorkerCgroupChoice.path(root).find() == .init(root: root))
        try #require(mkdir(root, 0o755) == 0)
        defer {
            _ = system("rmdir '\(root)/asterism.slice/asterism-workers.service' '\(root)/asterism.slice' '\(root)'")
        }
        #expect(try WorkerCgroupChoice.path(root).find() == .init(root: root))
        #expect(WorkerCgroupChoice.find(mounts: [root], problem: WorkerCgroupChoice.problem(of:)).root == nil)
        _ = system("mkdir -p '\(root)/asterism.slice/asterism-workers.service'")
        let found = WorkerCgroupChoice.find(mounts: [root], problem: WorkerCgroupChoice.problem(of:))
        #expect(found == .init(root: "\(root)/\(Self.unit)"))
    }
}

extension WorkerTests {
    @Suite(.enabled(if: testCgroup != nil, "no writable cgroup v2 on this machine")) struct WorkerCgroupTests {
        @Test func `where no process can be put, containment is subreaper, with the reason, and workers run`() throws {
            let root = testCgroup!
            _ = system("mkdir -p '\(root)/shims' '\(root)/threads'")
            // A cgroup next to a threaded one is of type "domain invalid" (cgroup-v2.rst): its files are writable, and no
            // process can be put there.
            try FileDescriptor.open("\(root)/threads/cgroup.type", O_WRONLY).writeAll("threaded".utf8)
            let bench = try WorkerBench(cgroupRoot: root)
            defer { bench.tearDown() }
            #expect(bench.host.containment == .subreaper)
            #expect(bench.host.cgroupProblem?.contains("\(root)/shims: no process can be put there") == true)
            let worker = WorkerRef("free", generation: 1)
            let start = try bench.start(worker, "exit 0") { $0.limits.processes = 5 }
            #expect(start.containment == .subreaper && start.unenforced == ["limits.processes"])
            #expect(try bench.awaitEnd(worker).exit.isSuccess)
        }

        @Test func `two agents do not share a cgroup`() throws {
            let first = try WorkerBench(cgroupRoot: testCgroup)
            defer { first.tearDown() }
            #expect(first.host.containment == .cgroup && first.host.cgroupProblem == nil)
            let second = try WorkerBench(cgroupRoot: testCgroup)
            defer { second.tearDown() }
            #expect(second.host.containment == .subreaper)
            #expect(second.host.cgroupProblem?.hasSuffix("another agent uses it") == true)
            first.stopHost()
            second.stopHost()
            try second.startHost()
            #expect(second.host.containment == .cgroup)
            try first.startHost()
        }

        @Test func `a root that cannot be used gives a reason and no cgroup`() throws {
            let bench = try WorkerBench(cgroupRoot: "/tmp/no/such/folder")
            defer { bench.tearDown() }
            #expect(bench.host.containment == .subreaper)
            #expect(bench.host.cgroupProblem == "/tmp/no/such/folder: \(Errno(ENOENT).message)")
        }
    }
}
