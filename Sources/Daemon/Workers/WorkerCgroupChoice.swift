package import EventLoop
import Glibc

/// # Which cgroup holds the workers
///
/// `--workers-cgroup` selects it. The default, `auto`, is the cgroup of the unit `asterism-workers.service` where systemd has
/// started that, below any mount of cgroup v2: at /sys/fs/cgroup, or at /sys/fs/cgroup/unified next to cgroup v1. Without it,
/// only their shims keep track of workers' processes.
package enum WorkerCgroupChoice: Hashable, Sendable {
    case auto
    case off
    /// A directory of cgroup v2 that only workers use, or that can be made in one.
    case path(String)

    package init(parsing text: String) throws(StartError) {
        switch text {
        case "auto": self = .auto
        case "off": self = .off
        default:
            guard text.hasPrefix("/") else {
                throw StartError(
                    WorkerCgroupChoice.option, "'\(text)' is neither auto, off nor the absolute path of a directory")
            }
            self = .path(text)
        }
    }

    package static let option = "--workers-cgroup"
    /// From the mount point of cgroup v2 on.
    package static let unit = "asterism.slice/asterism-workers.service"

    /// The cgroup, or none, with the reason where one may have been expected.
    package struct Found: Hashable, Sendable {
        package private(set) var root: String?
        package private(set) var problem: String?

        package init(root: String? = nil, problem: String? = nil) {
            self.root = root
            self.problem = problem
        }
    }

    package func find() throws(StartError) -> Found {
        switch self {
        case .off: return Found()
        case .auto:
            return WorkerCgroupChoice.find(
                mounts: ControlGroup.mountPoints(), problem: WorkerCgroupChoice.problem(of:))
        case .path(let path):
            let isThere = access(path, F_OK) == 0
            // Every cgroup of v2 has this file, and none of v1 (cgroup-v2.rst).
            guard access("\(isThere ? path : Files.parent(of: path))/cgroup.controllers", F_OK) == 0 else {
                throw StartError(
                    WorkerCgroupChoice.option,
                    "'\(path)' is not a directory of cgroup v2; give one, or auto or off")
            }
            return Found(root: path)
        }
    }

    /// Why a cgroup is not delegated to this user: systemd's Delegate= grants write access to these files
    /// (systemd.resource-control(5)).
    package static func problem(of folder: String) -> Errno? {
        for file in ["", "/cgroup.procs", "/cgroup.subtree_control"] where access(folder + file, W_OK) < 0 {
            return Errno(errno)
        }
        return nil
    }

    /// The unit's cgroup below the first mount that has one. `problem` returns why a directory cannot be used.
    package static func find(mounts: [String], problem: (String) -> Errno?) -> Found {
        guard !mounts.isEmpty else { return Found(problem: "cgroup v2 is not mounted") }
        var reasons: [String] = []
        for mount in mounts {
            let folder = "\(mount)/\(unit)"
            guard let reason = problem(folder) else { return Found(root: folder) }
            reasons.append("\(folder): \(reason.message)")
        }
        return Found(problem: reasons.joined(separator: "; "))
    }
}
