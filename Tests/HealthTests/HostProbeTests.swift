import Base
import Foundation
import Health
import Testing
import Wire

@Suite struct HostProbeTests {
    private func sample(_ machine: String) -> HostStatus {
        var probe = HostProbe(root: Fixtures.own.appending(path: "host/\(machine)").path())
        return probe.sample(now: .seconds(1))
    }

    @Test func `a recorded machine gives its figures`() {
        let status = sample("procfs")
        #expect(status.processors == 8)
        #expect(status.processorModel == "Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz")
        #expect([status.load1Centi, status.load5Centi, status.load15Centi] == [2, 4, 5])
        #expect(status.memoryTotalBytes == Int64(15_666_184 * 1024))
        #expect(status.swapTotalBytes == 0)
        #expect(status.swapFreeBytes == 0)
        #expect(status.pressure.map(\.resource) == [.cpu, .memory, .io])
        let memory = status.pressure[1]
        #expect([memory.some10Basis, memory.some60Basis, memory.someTotalMicroseconds] == [10, 200, 15])
        #expect([memory.full10Basis, memory.full60Basis, memory.fullTotalMicroseconds] == [20, 300, 25])
        #expect(status.pressure[0].full10Basis == nil, "this kernel's cpu has no full line")
        #expect(status.disks.map(\.device) == ["/dev/sda1", "/dev/mapper/rhel-root"])
        #expect(status.disks.map(\.mountPoint) == ["/", "/var/lib/containers/storage/overlay"])
        #expect(status.disks.map(\.fileSystem) == ["ext4", "xfs"])
    }

    @Test func `what a machine does not report is nil and never zero`() {
        let status = sample("procfs")
        #expect(status.memoryAvailableBytes == nil)
        #expect(status.uptimeSeconds == nil && status.hostname == nil && status.kernel == nil && status.bootID == nil)
        #expect(status.architecture == nil, "the running kernel's would be another machine's")
        #expect(status.processorUsePermille == nil, "one sample is no difference")
        var nowhere = HostProbe(root: "/nonexistent/machine/")
        #expect(nowhere.sample(now: .seconds(1)) == HostStatus())
        #expect(nowhere.sample(now: .seconds(100)) == HostStatus())
    }

    @Test func `irq pressure has full alone and no line end`() {
        let status = sample("node_exporter")
        #expect(status.pressure.map(\.resource) == [.cpu, .memory, .io, .irq])
        let irq = status.pressure[3]
        #expect(irq.some10Basis == nil && irq.someTotalMicroseconds == nil)
        #expect(irq.full10Basis == 0)
        #expect(irq.fullTotalMicroseconds == 8494)
        #expect(status.pressure[2].some60Basis == 34)
        #expect(status.pressure[2].fullTotalMicroseconds == 159_229_614)
        #expect(status.memoryTotalBytes == Int64(3_742_148 * 1024))
        #expect(status.swapFreeBytes == Int64(3_155_360 * 1024))
        #expect([status.load1Centi, status.load5Centi, status.load15Centi] == [21, 37, 39])
    }

    @Test func `each block device is a disk once, whatever else is mounted`() {
        let server = sample("node_exporter").disks
        #expect(server.map(\.device) == ["/dev/dm-2", "/dev/sda3", "/dev/sda", "/dev/mapper/rhel-root"])
        #expect(server[2].mountPoint.contains("/[vsanDatastore] bafb9e5a-8856"), "\\040 is a blank")
        let guest = sample("lxc-guest").disks
        #expect(guest.map(\.device) == ["/dev/mapper/vgroot-lvroot"] + (2...7).map { "/dev/nvme\($0)n1p1" })
        #expect(guest.first?.mountPoint == "/")
        #expect(sample("hidepid").disks.map(\.mountPoint) == ["/"])
        #expect(sample("bindmount").disks.map(\.mountPoint) == ["/host", "/host/media/volume1", "/host/media/volume2"])
        // A container sees its host's disk through the files that are bound into it.
        for container in ["containerd-pod", "docker"] {
            #expect(sample(container).disks.map(\.device) == ["/dev/mapper/ubuntu--vg-root"])
            #expect(sample(container).disks.map(\.mountPoint) == ["/etc/hosts"])
        }
    }

    @Test func `every folder of recorded machines is read without a figure out of range`() throws {
        let folders = Fixtures.list("host") { !$0.contains(".") }
        #expect(folders.count >= 7)
        for folder in folders {
            var probe = HostProbe(root: folder.path())
            expectPlausible(probe.sample(now: .seconds(1)), folder.lastPathComponent)
            expectPlausible(probe.sample(now: .seconds(100)), folder.lastPathComponent)
        }
    }

    @Test func `use of processors is the share of ticks that were not idle`() throws {
        let machine = try Machine(["proc/stat": "cpu  100 0 100 800 0 0 0 0 50 0\ncpu0 1 2 3 4\nintr 1\n"])
        var probe = HostProbe(root: machine.root)
        #expect(probe.sample(now: .seconds(1)).processorUsePermille == nil)
        // 30 user (of which 20 guest), 10 system, 40 idle, 10 iowait, 10 steal.
        try machine.write("proc/stat", "cpu  130 0 110 840 10 0 0 10 70 0\n")
        #expect(probe.sample(now: .seconds(2)).processorUsePermille == 500)
        #expect(probe.sample(now: .seconds(3)).processorUsePermille == nil, "no tick has passed")
        // iowait runs backwards.
        try machine.write("proc/stat", "cpu  140 0 110 870 5 0 0 10 70 0\n")
        #expect(probe.sample(now: .seconds(4)).processorUsePermille == 250)
        // A file from another boot.
        try machine.write("proc/stat", "cpu  1 0 1 1\n")
        #expect(probe.sample(now: .seconds(5)).processorUsePermille == nil)
        try machine.write("proc/stat", "cpu  2 0 1 2\n")
        #expect(probe.sample(now: .seconds(6)).processorUsePermille == 500)
        for broken in ["", "cpu\n", "cpu 1 2 3\n", "cpu a b c d\n", "cpu 99999999999999999999 1 1 1\n", "\0\0\0\0"] {
            try machine.write("proc/stat", broken)
            #expect(probe.sample(now: .seconds(7)).processorUsePermille == nil)
        }
    }

    @Test func `malformed files cost their own figures alone`() throws {
        let machine = try Machine([
            "proc/loadavg": "0.5 x 2.25", "proc/meminfo": "MemTotal: 9223372036854775807 kB\nMemAvailable: 5 kB\n:\n\n",
            "proc/uptime": "0.99 1\n", "proc/pressure/cpu": "some avg10=x avg60=1.00 total=\nfull\n",
            "proc/pressure/memory": "", "proc/pressure/io": "nonsense avg10=1.00\n", "proc/sys/kernel/hostname": "\n",
            "proc/sys/kernel/osrelease": "6.1.0-17-amd64", "proc/sys/kernel/arch": "aarch64\n",
            "proc/self/mountinfo":
                "1 2 3\n- - - - - - -\n1 2 8:1 / / rw - ext4\n1 2 8:1 / /a\\04 rw - ext4 /dev/sd\\134 \n",
            "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 50.00\nCPU part\t: 0xd40\n",
        ])
        var probe = HostProbe(root: machine.root + "//")
        let status = probe.sample(now: .seconds(1))
        #expect(status.load1Centi == 50)
        #expect(status.load5Centi == nil)
        #expect(status.memoryTotalBytes == nil)
        #expect(status.memoryAvailableBytes == 5120)
        #expect(status.uptimeSeconds == 0)
        #expect(status.pressure.map(\.resource) == [.cpu])
        #expect(status.pressure[0].some10Basis == nil)
        #expect(status.pressure[0].some60Basis == 100)
        #expect(status.pressure[0].someTotalMicroseconds == nil)
        #expect(status.hostname == nil)
        #expect(status.kernel == "6.1.0-17-amd64")
        #expect(status.architecture == "aarch64")
        #expect(status.processorModel == nil)
        #expect(status.disks.map(\.mountPoint) == ["/a\\04"])
        #expect(status.disks.map(\.device) == ["/dev/sd\\"])
    }

    @Test func `no file system is asked through one that may hang`() throws {
        let machine = try Machine([
            "proc/self/mountinfo": """
            21 0 8:1 / / rw - ext4 /dev/sda1 rw
            22 21 0:40 / /net rw - nfs4 server:/x rw
            23 22 8:2 / /net/disk rw - ext4 /dev/sdb1 rw
            24 21 8:3 / /covered rw - xfs /dev/sdc1 rw
            25 24 0:41 / /covered rw - nfs server:/y rw
            26 21 8:4 / /networks rw - ext4 /dev/sdd1 ro,errors=remount-ro
            27 21 0:42 / /f rw - fuse.sshfs me@there: rw
            28 27 8:5 / /f/a/b rw - ext4 /dev/sde1 rw
            29 21 8:5 / /second/way/to/it ro - ext4 /dev/sde1 rw
            30 21 7:0 / /snap rw - squashfs /dev/loop0 ro
            31 21 0:43 / /sub rw - btrfs /dev/sdf1 rw,subvol=/a
            32 21 0:43 / /sub2 rw - btrfs /dev/sdf1 rw,subvol=/b
            33 21 0:44 / /tmp rw - tmpfs /dev/fake rw
            """
        ])
        for folder in ["net/disk", "covered", "networks", "f/a/b", "second/way/to/it", "snap", "sub", "sub2"] {
            try machine.makeFolder(folder)
        }
        var probe = HostProbe(root: machine.root)
        let disks = probe.sample(now: .seconds(1)).disks
        #expect(disks.map(\.mountPoint) == ["/", "/net/disk", "/networks", "/second/way/to/it", "/sub"])
        #expect(disks.map { $0.sizeBytes != nil } == [true, false, true, true, true])
        #expect(disks.map { $0.availableBytes != nil } == [true, false, true, true, true])
        #expect(disks.map(\.isReadOnly) == [false, false, true, false, false])
    }

    @Test func `disks and their number are limited`() throws {
        let lines = (0..<5000).map { "1 2 8:\($0) / /m\($0) rw - ext4 /dev/sd\($0) rw\n" }
        let machine = try Machine(["proc/self/mountinfo": lines.joined()])
        var probe = HostProbe(root: machine.root)
        #expect(probe.sample(now: .seconds(1)).disks.count == Limits.disksPerNode)
    }

    @Test func `the mount table is read again only when it is due`() throws {
        let machine = try Machine(["proc/self/mountinfo": "1 2 8:1 / / rw - ext4 /dev/a rw\n"])
        var probe = HostProbe(root: machine.root, disksEvery: .seconds(10))
        #expect(probe.sample(now: .seconds(100)).disks.map(\.device) == ["/dev/a"])
        try machine.write("proc/self/mountinfo", "1 2 8:1 / / rw - ext4 /dev/b rw\n")
        #expect(probe.sample(now: .seconds(109)).disks.map(\.device) == ["/dev/a"])
        #expect(probe.sample(now: .seconds(110)).disks.map(\.device) == ["/dev/b"])
    }

    @Test func `the machine that runs this test is read plausibly, and the cost is reported`() throws {
        var probe = HostProbe()
        _ = probe.sample(now: .seconds(1))
        var sum: UInt64 = 0
        let end = ContinuousClock.now + .milliseconds(60)
        while ContinuousClock.now < end { sum &+= 1 }
        let status = probe.sample(now: .seconds(2))
        expectPlausible(status, "this machine")
        #expect(status.processors.map(Int.init) == ProcessInfo.processInfo.processorCount || status.processors ?? 0 > 0)
        #expect(status.memoryTotalBytes ?? 0 > 64 << 20)
        #expect(status.uptimeSeconds ?? 0 > 0)
        #expect(status.hostname?.isEmpty == false)
        #expect(status.kernel?.isEmpty == false)
        #expect(status.architecture?.isEmpty == false)
        #expect(status.bootID?.utf8.count == 36)
        #expect(status.processorUsePermille ?? 0 > 0, "a loop ran for six ticks")

        let rounds = 200
        let start = ContinuousClock.now
        for round in 0..<rounds { _ = probe.sample(now: .seconds(3) + .milliseconds(Int64(round))) }
        let quick = (ContinuousClock.now - start) / rounds
        let full = ContinuousClock.now
        for round in 0..<20 { _ = probe.sample(now: .seconds(1000 * Int64(round + 1))) }
        print(
            "HostProbe: \(quick) a sample, \((ContinuousClock.now - full) / 20) with facts and mount table; \(sum & 1)")
        print("HostProbe: \(status)")
    }

    private func expectPlausible(_ status: HostStatus, _ name: String) {
        let shares = status.pressure.flatMap { [$0.some10Basis, $0.some60Basis, $0.full10Basis, $0.full60Basis] }
        #expect(shares.allSatisfy { (0...10_000).contains($0 ?? 0) }, "\(name)")
        #expect(status.pressure.map(\.resource).count == Set(status.pressure.map(\.resource)).count, "\(name)")
        #expect((0...1000).contains(status.processorUsePermille ?? 0), "\(name)")
        #expect(status.processors ?? 1 > 0, "\(name)")
        #expect(status.memoryAvailableBytes ?? 0 <= status.memoryTotalBytes ?? .max, "\(name)")
        #expect(status.swapFreeBytes ?? 0 <= status.swapTotalBytes ?? .max, "\(name)")
        #expect(status.disks.count <= Limits.disksPerNode)
        for disk in status.disks {
            #expect(disk.device.hasPrefix("/dev/") && !disk.device.hasPrefix("/dev/loop"), "\(name): \(disk)")
            #expect(disk.availableBytes ?? 0 <= disk.sizeBytes ?? .max, "\(name): \(disk)")
        }
    }
}
