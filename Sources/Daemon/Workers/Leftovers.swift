import EventLoop
import Glibc
import ShimProtocol

/// # What a dead shim leaves behind
///
/// The kernel kills a worker's main process when its shim goes (PR_SET_PDEATHSIG), but not what that process had started.
/// Those processes are found in three ways: by the marker in their environment, which every program inherits unless it clears
/// its environment; by a parent that was found; and by their session, while the number of the worker's session cannot have
/// been reused. Processes of a cgroup need none of this.
///
/// A process is a zombie only when it has no thread left: one whose first thread has ended, while others work on, is shown
/// in the state of a zombie too.
///
/// A number read from /proc is pinned by a pidfd, and the marker read again, before anything is sent to it.
struct Leftovers {
    let marker: String
    /// The worker's session, if its shim has only just gone.
    private(set) var session: Int32?

    private struct Row {
        private(set) var process: Int32
        private(set) var parent: Int32
        private(set) var session: Int32
        private(set) var isZombie: Bool
    }

    /// Kills all that can be found, and returns their process numbers. None is left when the result is empty.
    func kill() -> [Int32] {
        let rows = names(in: "/proc").compactMap { Int32($0) }.compactMap(Leftovers.row)
        var found: Set<Int32> = []
        for row in rows where !row.isZombie && isMarked(row) { found.insert(row.process) }
        var size = -1
        while size != found.count {
            size = found.count
            for row in rows where !row.isZombie && found.contains(row.parent) { found.insert(row.process) }
        }
        found.remove(getpid())
        let parents = Dictionary(rows.map { ($0.process, $0.parent) }) { first, _ in first }
        for process in found.sorted() { send(to: process, parent: parents[process] ?? 0) }
        return found.sorted()
    }

    private func isMarked(_ row: Row) -> Bool {
        if let session, row.session == session { return true }
        return Leftovers.environment(row.process, has: "\(WorkerMarker.variable)=\(marker)")
    }

    private func send(to process: Int32, parent: Int32) {
        guard let pinned = try? PinnedProcess(process) else { return }
        // Its parent may have ended by now, and then another process is its parent; a marker does not change.
        guard let row = Leftovers.row(process), isMarked(row) || row.parent == parent else { return }
        pinned.kill()
    }

    /// The process whose environment has a variable; `nil` if there is none.
    static func process(having variable: String) -> Int32? {
        names(in: "/proc").compactMap { Int32($0) }.first { environment($0, has: variable) }
    }

    static func environment(_ process: Int32, has variable: String) -> Bool {
        let needle = Array(variable.utf8)
        // The kernel's own limit on arguments and environment together is a quarter of the stack, 2 MiB by default.
        if let bytes = readSmallFile("/proc/\(process)/environ", limit: 8 << 20), !bytes.isEmpty {
            return bytes.split(separator: 0).contains { $0.elementsEqual(needle) }
        }
        // The first thread may have ended, and its view of the memory with it; other threads still show it.
        for thread in names(in: "/proc/\(process)/task") where thread != "\(process)" {
            guard let bytes = readSmallFile("/proc/\(process)/task/\(thread)/environ", limit: 8 << 20) else { continue }
            if bytes.split(separator: 0).contains(where: { $0.elementsEqual(needle) }) { return true }
        }
        return false
    }

    private static func row(_ process: Int32) -> Row? {
        guard let bytes = readSmallFile("/proc/\(process)/stat", limit: 4096),
            let end = bytes.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let fields = String(decoding: bytes[(end + 1)...], as: UTF8.self).split(separator: " ")
        guard fields.count > 17, let parent = Int32(fields[1]), let session = Int32(fields[3]) else { return nil }
        let isEnded = fields[0] == "Z" || fields[0] == "X"
        return Row(
            process: process, parent: parent, session: session, isZombie: isEnded && Int(fields[17]) ?? 0 <= 1)
    }
}
