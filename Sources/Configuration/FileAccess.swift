import Control
package import Daemon
import EventLoop
import Glibc
import YAML

/// Who owns a configuration file, and who may write it.
struct FileAccess: Hashable {
    var isRegular: Bool
    var mode: UInt32
    var owner: UInt32
    var group: UInt32

    /// Why the program, which runs as `user`, does not use the file; `nil` where it may.
    ///
    /// A configuration names programs that run with the rights of the daemon (`accelerators: exec:...`, `shim`), so a user
    /// who may write it has those rights. The rule is sudo's for sudoers.
    func problem(for user: UInt32) -> String? {
        guard isRegular else { return "not a regular file" }
        guard user == 0 else { return nil }
        let others = mode & 0o002 != 0, members = mode & 0o020 != 0 && group != 0
        let writer: String? =
            others ? "any user" : members ? "group \(group)" : owner != 0 ? "its owner, uid \(owner)," : nil
        return writer.map {
            "\($0) may write this file, and the program runs as root; use chown root:root and chmod 0644"
        }
    }
}

extension ConfigurationFile {
    /// `--config` with this name reads no file.
    package static let none = "none"

    /// Reads the file that `named` names, or the program's own, which need not be there. Throws everything that is wrong.
    package static func load(_ named: String?, for program: DaemonProgram) throws(StartFailure) -> ConfigurationFile {
        if named == none { return ConfigurationFile(path: none) }
        let path = named ?? program.defaultFile
        guard let bytes = try content(of: path, isNamed: named != nil) else { return ConfigurationFile(path: path) }
        do throws(ConfigurationErrors) { return try ConfigurationFile(path: path, bytes, for: program) } catch {
            throw StartFailure(.usage, error.lines)
        }
    }

    /// `nil` where there is no file and none was named.
    private static func content(of path: String, isNamed: Bool) throws(StartFailure) -> [UInt8]? {
        let access: FileAccess, bytes: [UInt8]
        do throws(Errno) {
            // A pipe without a writer must not stop the start.
            let file = try FileDescriptor.open(path, O_RDONLY | O_NONBLOCK)
            var status = stat()
            guard fstat(file.raw, &status) == 0 else { throw Errno(errno) }
            access = FileAccess(
                isRegular: status.st_mode & S_IFMT == S_IFREG, mode: status.st_mode & 0o7777, owner: status.st_uid,
                group: status.st_gid)
            bytes = access.isRegular ? try file.readAll(limit: YAMLText.limit + 1) : []
        } catch {
            if error.code == ENOENT, !isNamed { return nil }
            // More than the limit, so that the reader can report an oversized file.
            if error.code == EFBIG { return [UInt8](repeating: UInt8(ascii: "#"), count: YAMLText.limit + 1) }
            throw StartFailure(ExitStatus(error), ["\(path): \(error.message)"])
        }
        if let problem = access.problem(for: geteuid()) { throw StartFailure(.refused, ["\(path): \(problem)"]) }
        return bytes
    }
}
