import Control
import Foundation

/// The file system that is installed to: this machine's, or a staging directory (`--root`, as make's DESTDIR).
struct InstallTarget {
    /// Without a slash at its end; empty for this machine.
    let root: String

    init(root: String?) {
        let path = root.map { $0.hasPrefix("/") ? $0 : "\(FileManager.default.currentDirectoryPath)/\($0)" } ?? ""
        self.root = String(path.reversed().drop { $0 == "/" }.reversed())
    }

    var isMachine: Bool { root.isEmpty }

    func real(_ path: String) -> String { root + path }

    /// Makes the staging directory where it is missing.
    func makeRoot() throws(Failure) {
        guard !isMachine else { return }
        do {
            try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        } catch {
            throw Failure(.refused, "--root: \(root): \(error.localizedDescription)")
        }
    }

    func exists(_ path: String) -> Bool {
        var status = stat()
        return lstat(real(path), &status) == 0
    }

    func read(_ path: String) -> String? {
        FileManager.default.contents(atPath: real(path)).map { String(decoding: $0, as: UTF8.self) }
    }

    /// Makes the directories above a path; returns those that were missing, the outermost first.
    func makeParents(of path: String) throws(Failure) -> [String] {
        var missing: [String] = []
        var parent = InstallTarget.parent(of: path)
        while parent != "/", !exists(parent) {
            missing.append(parent)
            parent = InstallTarget.parent(of: parent)
        }
        for directory in missing.reversed() {
            guard mkdir(real(directory), 0o755) == 0 || errno == EEXIST else { throw failure(directory) }
            // The umask of the caller's shell must not change the modes of installed files.
            guard chmod(real(directory), 0o755) == 0 else { throw failure(directory) }
        }
        return missing.reversed()
    }

    /// Replaces a file in one step, so that a running program keeps its own file and a reader sees a whole one.
    func write(_ file: InstallFile) throws(Failure) {
        let temporary = "\(file.path).asterism-new"
        unlink(real(temporary))
        let output = open(real(temporary), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard output >= 0 else { throw failure(file.path) }
        do throws(Failure) {
            defer { close(output) }
            switch file.content {
            case .text(let text): try put(Array(text.utf8)[...], to: output, file.path)
            case .copy(let source): try copy(source, to: output, file.path)
            }
            guard fchmod(output, mode_t(file.mode)) == 0, fsync(output) == 0 else { throw failure(file.path) }
        } catch {
            unlink(real(temporary))
            throw error
        }
        guard rename(real(temporary), real(file.path)) == 0 else {
            let failure = failure(file.path)
            unlink(real(temporary))
            throw failure
        }
    }

    /// Whether the file is there with this content and mode.
    func holds(_ file: InstallFile) -> Bool {
        var status = stat()
        guard lstat(real(file.path), &status) == 0, status.st_mode == S_IFREG | mode_t(file.mode) else { return false }
        switch file.content {
        case .text(let text): return FileManager.default.contents(atPath: real(file.path)) == Data(text.utf8)
        case .copy(let source):
            var other = stat()
            guard stat(source, &other) == 0 else { return false }
            if other.st_dev == status.st_dev, other.st_ino == status.st_ino { return true }
            return other.st_size == status.st_size
                && FileManager.default.contentsEqual(atPath: source, andPath: real(file.path))
        }
    }

    /// The failure that errno states, for a path.
    func failure(_ path: String) -> Failure {
        Failure(errno == ENOSPC ? .unavailable : .refused, "\(real(path)): \(String(cString: strerror(errno)))")
    }

    static func parent(of path: String) -> String {
        let parent = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
        return parent.isEmpty ? "/" : String(parent)
    }

    private func copy(_ source: String, to output: Int32, _ path: String) throws(Failure) {
        let input = open(source, O_RDONLY | O_CLOEXEC)
        guard input >= 0 else { throw Failure(.refused, "\(source): \(String(cString: strerror(errno)))") }
        defer { close(input) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = Foundation.read(input, &buffer, buffer.count)
            if count == 0 { return }
            guard count > 0 else { throw Failure(.refused, "\(source): \(String(cString: strerror(errno)))") }
            try put(buffer[..<count], to: output, path)
        }
    }

    private func put(_ bytes: ArraySlice<UInt8>, to output: Int32, _ path: String) throws(Failure) {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Foundation.write(output, $0.baseAddress, $0.count) }
            guard count >= 0 || errno == EINTR else { throw failure(path) }
            rest = rest.dropFirst(max(0, count))
        }
    }
}
