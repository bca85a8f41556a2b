import EventLoop
import Glibc

/// # Folders that other users pass through
///
/// A worker of another user must reach its own `work` folder, so the folders above it have mode 0711: others may pass
/// through them and not list them. Their content is private by its own mode: files 0600, `work` 0700.
///
/// Modes are set by chmod(2). The mode that mkdir(2) is given is reduced by the umask, which is 0077 in the shipped unit
/// and in many shells; and systemd sets a state directory to its unit's `StateDirectoryMode=` at each start.
enum PassableFolder {
    static let mode: mode_t = 0o711

    /// Makes the folder if it is not there, and lets others through if this process owns it.
    static func make(_ path: String, hidingAllBut known: String? = nil) throws(Errno) {
        if mkdir(path, mode) < 0, errno != EEXIST { throw Errno(errno) }
        try open(path, hidingAllBut: known)
    }

    /// Lets others through a folder that this process owns; a folder of another user is left unchanged.
    ///
    /// A folder that lets no other user through hides all its content. With `known`, that stays so: every other entry that
    /// others could read or enter becomes private before the folder lets them through.
    static func open(_ path: String, hidingAllBut known: String? = nil) throws(Errno) {
        let folder = try FileDescriptor.open(path, O_RDONLY | O_DIRECTORY)
        var status = stat()
        try succeed(fstat(folder.raw, &status))
        guard status.st_uid == geteuid(), status.st_mode & mode != mode else { return }
        for name in known == nil ? [] : names(in: path) where name != known {
            var entry = stat()
            guard fstatat(folder.raw, name, &entry, AT_SYMLINK_NOFOLLOW) == 0, entry.st_uid == geteuid(),
                [S_IFREG, S_IFDIR].contains(entry.st_mode & S_IFMT), entry.st_mode & 0o077 != 0
            else { continue }
            try succeed(fchmodat(folder.raw, name, entry.st_mode & 0o7700, 0))
        }
        try succeed(fchmod(folder.raw, status.st_mode & 0o7777 | mode))
    }

    /// Makes a folder that only its owner may use.
    static func makePrivate(_ path: String) throws(Errno) {
        try succeed(mkdir(path, 0o700))
        try succeed(chmod(path, 0o700))
    }
}
