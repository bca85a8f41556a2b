import Glibc

/// Where cgroup v2 is, and whether workers can be contained by it. On a host it is writable for root. In a pod it is
/// read-only or missing, and then containment means walking process trees.
package struct ControlGroup: Hashable, Sendable {
    /// The mount point, /sys/fs/cgroup on most machines; next to cgroup v1 often /sys/fs/cgroup/unified.
    package var mount: String
    /// Whether a cgroup can be made below `mount` by this user.
    package var isWritable: Bool
    /// Our own cgroup, a path from `mount` on, `/` for the root; nil if this process is in none that is visible here.
    package var own: String?
    /// The controllers that are v2's and can be given to children: empty where v1 holds them.
    package var controllers: [String]

    /// Nil if cgroup v2 is not mounted.
    package static func detect(proc: String = "/proc") -> ControlGroup? {
        guard let mount = mountPoint(inMountInfo: text("\(proc)/self/mountinfo")) else { return nil }
        return ControlGroup(
            mount: mount,
            // EROFS, EACCES: the kernel knows better than the mount's options.
            isWritable: access(mount, W_OK) == 0 && access("\(mount)/cgroup.procs", W_OK) == 0,
            own: ownPath(inCgroup: text("\(proc)/self/cgroup")),
            controllers: text("\(mount)/cgroup.controllers").split { $0 == " " || $0 == "\n" }.map(String.init))
    }

    /// The first cgroup2 of a mountinfo.
    package static func mountPoint(inMountInfo text: String) -> String? { mountPoints(inMountInfo: text).first }

    /// Every cgroup2 of a mountinfo (proc(5)): the fifth field, with the type after the lone hyphen.
    package static func mountPoints(inMountInfo text: String) -> [String] {
        text.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard let hyphen = fields.firstIndex(of: "-"), hyphen > 4, hyphen + 1 < fields.count,
                fields[hyphen + 1] == "cgroup2"
            else { return nil }
            return unescaped(fields[4])
        }
    }

    /// The mount points that this process sees.
    package static func mountPoints(proc: String = "/proc") -> [String] {
        mountPoints(inMountInfo: text("\(proc)/self/mountinfo"))
    }

    /// The line of v2 in /proc/PID/cgroup is the one with hierarchy 0 and no controllers.
    package static func ownPath(inCgroup text: String) -> String? {
        text.split(separator: "\n").first { $0.hasPrefix("0::") }.map { String($0.dropFirst(3)) }
    }

    /// Space, tab, newline and backslash are three octal digits after a backslash.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = [], rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(3)
            if byte == UInt8(ascii: "\\"), digits.count == 3,
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 8)
            {
                bytes.append(value)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func text(_ path: String) -> String {
        guard let file = try? FileDescriptor.open(path, O_RDONLY), let bytes = try? file.readAll(limit: 1 << 20) else {
            return ""
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
