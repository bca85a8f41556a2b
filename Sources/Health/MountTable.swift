import Base
import Wire

/// # Which file systems are asked for their size
///
/// `statvfs` on a dead NFS or FUSE mount never returns, and would block the agent's loop. So only file systems on local block
/// devices are asked, and only where no other file system is in front: neither mounted over them, nor anywhere on the path to
/// them. A block device is mounted many times (bind mounts, containers); it is reported once, by its shortest mount point.
/// Pseudo devices (loop images, RAM disks) and file systems that are images by nature report nothing of the machine's disks.
///
/// The text is /proc/PID/mountinfo, proc_pid_mountinfo(5):
///
///     36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
///     (1)(2)(3)   (4)   (5)      (6)     (7)   (8) (9)   (10)        (11)
struct MountTable {
    struct Disk {
        var status: DiskStatus
        /// `major:minor`, or the source for file systems with anonymous device numbers.
        var key: String
        /// False where `statvfs` could hang.
        var isReachable: Bool
    }
    private(set) var disks: [Disk] = []
    /// Every mount of a block device that nothing is mounted over.
    private var candidates: [Disk] = []
    /// Mount points that may hang when walked through.
    private var distant: [String] = []

    init(_ cursor: consuming TextCursor) {
        var mounts = 0
        while cursor.nextLine(), mounts < HealthLimits.mounts {
            mounts += 1
            add(&cursor)
        }
        // The shortest mount point of each device, in the table's order.
        for var disk in candidates {
            let point = disk.status.mountPoint
            disk.isReachable = !distant.contains { isAt(point, orBelow: $0) }
            guard let known = disks.firstIndex(where: { $0.key == disk.key }) else {
                if disks.count < Limits.disksPerNode { disks.append(disk) }
                continue
            }
            let better = disks[known]
            let isShorter = point.utf8.count < better.status.mountPoint.utf8.count
            if better.isReachable == disk.isReachable ? isShorter : disk.isReachable { disks[known] = disk }
        }
        candidates = []
    }

    private mutating func add(_ cursor: inout TextCursor) {
        guard cursor.word() != nil, cursor.word() != nil, let device = cursor.word(), cursor.word() != nil,
            let point = cursor.word()
        else { return }
        repeat {
            guard let word = cursor.word() else { return }
            if cursor.matches(word, "-") { break }
        } while true
        guard let kind = cursor.word(), let source = cursor.word() else { return }
        let options = cursor.word() ?? kind
        let mountPoint = unescaped(cursor, point)
        // A mount hides what was mounted at the same point before.
        candidates.removeAll { $0.status.mountPoint == mountPoint }
        let fileSystem = cursor.text(kind)
        if isDistant(fileSystem) {
            if mountPoint != "/" { distant.append(mountPoint) }
            return
        }
        guard isOnBlockDevice(cursor, device, source, fileSystem) else { return }
        let name = unescaped(cursor, source)
        let key = cursor.starts(device, "0:") ? name : cursor.text(device)
        var status = DiskStatus(mountPoint: mountPoint, device: name, fileSystem: fileSystem)
        // From the super block's options, since a read-only bind mount of a writable file system is no fault.
        status.isReadOnly = cursor.matches(options, "ro") || cursor.starts(options, "ro,")
        guard candidates.count < HealthLimits.diskMounts else { return }
        candidates.append(Disk(status: status, key: key, isReachable: true))
    }

    private func isOnBlockDevice(
        _ cursor: TextCursor, _ device: Range<Int>, _ source: Range<Int>, _ fileSystem: String
    ) -> Bool {
        guard cursor.starts(source, "/dev/") else { return false }
        // btrfs gives every file system an anonymous device number.
        if cursor.starts(device, "0:"), fileSystem != "btrfs" { return false }
        if cursor.starts(source, "/dev/loop") || cursor.starts(source, "/dev/ram") { return false }
        return !["squashfs", "iso9660", "udf", "erofs", "cramfs", "romfs"].contains(fileSystem)
    }

    /// File systems whose answer comes from another machine or another process.
    private func isDistant(_ fileSystem: String) -> Bool {
        if fileSystem.hasPrefix("fuse"), fileSystem != "fusectl" { return true }
        return [
            "nfs", "nfs4", "cifs", "smb3", "smbfs", "autofs", "9p", "virtiofs", "ceph", "lustre", "gpfs", "beegfs",
            "beegfs_nodev", "glusterfs", "afs", "orangefs", "pvfs2", "gfs2", "ocfs2", "wekafs", "panfs", "ncpfs",
        ].contains(fileSystem)
    }

    private func isAt(_ point: String, orBelow parent: String) -> Bool {
        point.hasPrefix(parent) && (point.utf8.count == parent.utf8.count || point.hasPrefix(parent + "/"))
    }

    /// Spaces, tabs, line feeds and backslashes are written as three octal digits (`\040`).
    private func unescaped(_ cursor: TextCursor, _ range: Range<Int>) -> String {
        let bytes = cursor.bytes
        guard bytes[range].contains(UInt8(ascii: "\\")) else { return cursor.text(range) }
        var text: [UInt8] = []
        var at = range.lowerBound
        while at < range.upperBound {
            if bytes[at] == UInt8(ascii: "\\"), at + 3 < range.upperBound, let value = octal(bytes[at + 1...at + 3]) {
                text.append(value)
                at += 4
            } else {
                text.append(bytes[at])
                at += 1
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private func octal(_ digits: ArraySlice<UInt8>) -> UInt8? {
        var value = 0
        for digit in digits {
            guard digit >= UInt8(ascii: "0"), digit <= UInt8(ascii: "7") else { return nil }
            value = value * 8 + Int(digit - UInt8(ascii: "0"))
        }
        return UInt8(exactly: value)
    }
}
